"""One SVG of how time and memory grow with jobs and with nodes, made of a run's data alone: the same data give the same
bytes. Grey text and lines on no background, so that it reads on white and on black."""

import math

WIDTH, HEIGHT = 860, 640
PANEL_WIDTH, PANEL_HEIGHT = 330, 210
LEFT, TOP, COLUMN, ROW = 70, 60, 420, 290
# Told apart by people who do not see all colours, on white and on black.
STYLES = {"libp2p": ("#2a7fd4", ""), "contract": ("#d9822b", "6 3"), "Celery": ("#8a8f98", "2 3")}
INK = "#80858c"


def _ticks(low, high):
    """Powers of ten around the values."""
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _label(value, unit):
    if unit == "s" and value < 1:
        return f"{value * 1000:g} ms"
    return f"{value:g} {unit}"


def _text(x, y, text, anchor="middle", size=12, weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{INK}">{text}</text>'
    )


def _panel(column, row, title, unit, across, lines):
    """One set of axes, both logarithmic. `lines` is a name and its points."""
    x0, y0 = LEFT + column * COLUMN, TOP + row * ROW
    drawn = [_text(x0 + PANEL_WIDTH / 2, y0 - 14, title, size=14, weight="bold")]
    points = [point for _, line in lines for point in line]
    if not points:
        return drawn
    sizes = sorted({size for size, _ in points})
    ticks = _ticks(min(value for _, value in points), max(value for _, value in points))
    ticks = ticks if len(ticks) > 1 else [ticks[0], ticks[0] * 10]
    span = math.log(sizes[-1] / sizes[0]) or 1.0
    x = lambda size: x0 + 12 + (PANEL_WIDTH - 24) * math.log(size / sizes[0]) / span  # noqa: E731
    y = lambda value: y0 + PANEL_HEIGHT * (1 - math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0]))  # noqa: E731
    for tick in ticks:
        drawn.append(
            f'<line x1="{x0}" y1="{y(tick):.1f}" x2="{x0 + PANEL_WIDTH}" y2="{y(tick):.1f}" stroke="{INK}" stroke-opacity="0.35"/>'
        )
        drawn.append(_text(x0 - 8, y(tick) + 4, _label(tick, unit), "end"))
    for size in sizes:
        drawn.append(_text(x(size), y0 + PANEL_HEIGHT + 18, f"{size}"))
    drawn.append(_text(x0 + PANEL_WIDTH / 2, y0 + PANEL_HEIGHT + 36, across))
    for name, line in lines:
        colour, dashes = STYLES[name]
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in sorted(line))
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for size, value in sorted(line):
            hint = f"{name}, {size} {across}: {_label(float(f'{value:.3g}'), unit)}"
            drawn.append(
                f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}"><title>{hint}</title></circle>'
            )
    return drawn


def _lines(points, kind, pick):
    """The points of one kind by name, each as a size and what `pick` makes of it; what is not there is left out."""
    lines = {}
    for found, name, size, seconds, kib in points:
        value = pick(seconds, kib) if found == kind else None
        if value is not None and value > 0:
            # Celery is measured beside each backend: the last counts.
            lines.setdefault(name, {})[size] = value
    return [(name, list(lines[name].items())) for name in STYLES if name in lines]


def draw(points):
    """The whole picture."""
    time = lambda seconds, _: seconds  # noqa: E731
    memory = lambda _, kib: kib / 1024 if kib else None  # noqa: E731
    parts = _panel(0, 0, "Time for a backlog", "s", "jobs", _lines(points, "jobs", time))
    parts += _panel(1, 0, "Memory that a backlog takes", "MiB", "jobs", _lines(points, "jobs", memory))
    parts += _panel(0, 1, "Time for one 3-node job", "s", "nodes", _lines(points, "nodes", time))
    parts += _panel(1, 1, "Memory of all nodes", "MiB", "nodes", _lines(points, "nodes", memory))
    for index, (name, (colour, dashes)) in enumerate(STYLES.items()):
        x = LEFT + index * 120
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(
            f'<line x1="{x}" y1="{HEIGHT - 14}" x2="{x + 30}" y2="{HEIGHT - 14}" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        parts.append(_text(x + 38, HEIGHT - 10, name, "start"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="How time and memory grow with jobs and with nodes">'
    )
    return "\n".join([head, *parts, "</svg>", ""])

"""docs/performance.md: every figure of a run, with what it was measured on."""

from .pure import POCO, SUMS

HEAD = """# Performance

`scripts/bench` runs every measurement and writes this page; nothing is typed by hand. Absolute times mean little: they are from
one machine on one day. So each measurement alternates with a reference in the same minutes (A B A B ...), and the ratio of the
two medians is what counts. A median is over eleven runs if one run takes less than 5 s, over three if it takes up to a minute,
and otherwise over one. Missed targets are listed as missed.
"""

TOLD = {None: "", True: "met", False: "**missed**"}


def number(value, unit):
    """A figure with three digits and its unit."""
    if unit == "s" and value < 1e-3:
        return f"{value * 1e6:.3g} µs"
    if unit == "s" and value < 1:
        return f"{value * 1e3:.3g} ms"
    if unit in ("gas", "transactions"):
        return f"{value:,.0f} {unit}"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _series(series, unit):
    values = series.values
    shown = number(series.median, unit)
    if len(values) == 1:
        return f"{shown} (once)" if unit not in ("gas", "transactions") else shown
    return f"{shown} ({number(min(values), unit)} to {number(max(values), unit)}, {len(values)} runs)"


def line(figure):
    """One line of the table."""
    ratio = f"{figure.ratio:.2f}x" if figure.ratio >= 0.1 else f"{figure.ratio:.2g}x"
    mark = " ±" if figure.is_spread else ""
    against = f"{figure.against}: {_series(figure.reference, figure.unit)}"
    cells = [figure.name, _series(figure.ours, figure.unit), against, ratio + mark, figure.target, TOLD[figure.met]]
    return "| " + " | ".join([*cells, figure.note]) + " |"


def _table(figures):
    yield "| metric | Assay, median | reference, median | ratio | target | | |"
    yield "|---|---|---|---|---|---|---|"
    yield from (line(figure) for figure in figures)


def _gas(kinds, sizes):
    """What whole jobs cost, how that grows with their nodes, and where the gas goes."""
    yield f"iExec PoCo 6.2.0 takes {POCO['transactions']} transactions and {POCO['gas']:,} gas for a task of three workers; that"
    yield "was measured elsewhere, with its own sources. Ours are the snapshots that `forge test` checks (`contracts/snapshots`)."
    yield ""
    yield "| job | transactions | gas | of PoCo's |"
    yield "|---|---|---|---|"
    for kind, steps in kinds.items():
        if "all" in steps:
            count = sum(1 for step in steps if step not in SUMS)
            share = steps["all"] / POCO["gas"]
            yield f"| {kind} | {count or ''} | {steps['all']:,} | {share:.2f}x |"
    yield ""
    yield "| whole job | gas | a node |"
    yield "|---|---|---|"
    for name, gas in sorted(sizes.items(), key=lambda size: (size[0].split(",")[0], size[1])):
        nodes = int("".join(filter(str.isdigit, name)))
        yield f"| {name} | {gas:,} | {gas / nodes:,.0f} |"
    yield ""
    yield "| step | gas |"
    yield "|---|---|"
    for kind, steps in kinds.items():
        yield from (f"| {kind}, {step} | {gas:,} |" for step, gas in steps.items() if step not in SUMS)


def write(bench, figures, failures, took):
    """The whole document."""
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure.name for figure in judged if not figure.met]
    out = [HEAD, f"{len(judged) - len(missed)} of {len(judged)} targets are met. `±` marks rows where the runs of one side are more than 30 % apart."]
    if missed:
        out[-1] += f" Missed: {'; '.join(missed)}."
    out += ["", "## Throughput and cost", ""]
    out += ["Each row is measured in three passes; `now` is the middle one, and a target is met where two passes meet it.", ""]
    out += [*bench.goals, "", "## Every figure", "", *_table(figures), ""]
    out += [f"Not measured, {row}: {reason}\n" for row, reason in failures]
    if bench.points:
        out += ["## How it grows", "", "Jobs without containers; both axes are logarithmic.", "", "![](performance.svg)", ""]
    if bench.gas:
        out += ["## Gas", "", *_gas(bench.gas, bench.gas_sizes), ""]
    if bench.pure_table:
        out += ["## The pure parts", "", "`cargo bench --bench pure`, with allocations: `max alloc` is the peak of one call."]
        out += ["", "```", bench.pure_table, "```", ""]
    out += ["## The machine", "", f"`scripts/bench` at commit {bench.commit}, in {took / 60:.0f} minutes.", ""]
    out += [f"- {name}: {value}" for name, value in bench.machine]
    out += ["", "Before:", "", "```", *bench.load_before, "```", "", "After:", "", "```", *bench.load_after, "```", ""]
    out += ["## What is run", ""]
    out += [f"- `scripts/bench {name}`: {row.__doc__}" for name, row in bench.rows.items()]
    return "\n".join(out) + "\n"

"""What throughput and cost are to be: one table, each of whose rows is measured in three passes.

A target is met where two passes of three meet it. Times are of this machine, whatever else it does, so a row that is missed
says nothing without the load beside it.
"""

import statistics

from .report import number

PASSES = 3
NEEDED = 2


class Goal:
    """A target of one figure: of Assay's own median, or of its ratio to the reference."""

    def __init__(self, row, name, against=None, at_most=None, at_least=None, unit=None):
        self.row, self.name, self.against, self.unit = row, name, against, unit
        self.at_most, self.at_least = at_most, at_least

    def of(self, figure):
        return figure.ratio if self.unit is None else figure.ours.median

    def fits(self, figure):
        is_named = figure.row == self.row and figure.name == self.name
        return is_named and (self.against is None or figure.against == self.against)

    def is_met(self, value):
        return value <= self.at_most if self.at_most is not None else value >= self.at_least

    def show(self, value):
        return f"{value:.2f}x" if self.unit is None else number(value, self.unit)

    @property
    def target(self):
        sign, value = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"{sign} {self.show(value)}"


def _both(row, name, libp2p, contract, **more):
    for scheduler, target in (("libp2p", libp2p), ("contract", contract)):
        sign = "at_least" if more.get("larger") else "at_most"
        rest = {key: value for key, value in more.items() if key != "larger"}
        yield Goal(row, name.format(scheduler), **{sign: target}, **rest)


CONFINED = "Docker API, 12 at a time, as confined"
GOALS = [
    *_both("stub", "3-node job without container, {}", 0.015, 0.040, unit="s"),
    *_both("stub", "CPU time of a 3-node job without container, {}", 0.015, 0.020, unit="s"),
    *_both("backlog-stub", "1000 jobs without container, {}", 300, 60, unit="jobs/s", larger=True),
    *_both("backlog-stub", "rate of 1000 jobs, {}", 0.95, 0.95, larger=True),
    *_both("backlog", "backlog of 100 jobs, {}", 0.95, 0.95, against=CONFINED, larger=True),
    *_both("backlog", "backlog of 10 jobs, {}", 0.9, 0.9, against=CONFINED, larger=True),
    Goal("chain", "jobs on chain", at_least=0.8),
    *_both("growth", "3-node job among 200 nodes, {}", 5, 5),
    *_both("idle", "CPU time of one idle node, {}", 0.002, 0.005, unit="cores"),
    Goal("devstack", "3 nodes ready, libp2p", at_most=2),
    Goal("devstack", "100 nodes ready, libp2p", at_most=2),
]
ROWS = list(dict.fromkeys(goal.row for goal in GOALS))


def table(figures):
    """Each goal with what the passes made of it; `figures` are those of all passes."""
    yield "| metric | now | target | now / target | |"
    yield "|---|---|---|---|---|"
    for goal in GOALS:
        values = [goal.of(figure) for figure in figures if goal.fits(figure)]
        if not values:
            yield f"| {goal.name} | not measured | {goal.target} | | |"
            continue
        now, met = statistics.median(values), sum(map(goal.is_met, values))
        # One pass of one, or two of three.
        is_met = met >= min(NEEDED, len(values))
        told = f"{'met' if is_met else '**missed**'} ({met} of {len(values)})"
        share = now / (goal.at_most if goal.at_most is not None else goal.at_least)
        yield f"| {goal.name} | {goal.show(now)} | {goal.target} | {share:.2f} | {told} |"

"""How things are timed: two of them in turn, so that what slows the machine down slows down both."""

import statistics
import time

# How often each is run, by how long one run of the slower takes, in seconds.
SHORT, SHORT_RUNS = 5, 11
LONG, LONG_RUNS = 60, 3


class Series:
    """The figures of one thing, all in one unit."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """The whole range over the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def map(self, change):
        return Series(change(value) for value in self.values)


def seconds(action):
    """A thing to time: calls `action`, returns how long that took."""

    def timed():
        begun = time.perf_counter()
        action()
        return time.perf_counter() - begun

    return timed


def in_turn(*things, progress=None):
    """Runs the things A B A B ...; each returns its own figure. Returns a series for each.

    Short ones are warmed up by a run of each that does not count.
    """
    begun = time.perf_counter()
    first = [thing() for thing in things]
    longest = (time.perf_counter() - begun) / len(things)
    if longest < SHORT:
        rounds, kept = SHORT_RUNS, []
    elif longest < LONG:
        rounds, kept = LONG_RUNS - 1, [first]
    else:
        rounds, kept = 0, [first]
    for done in range(rounds):
        if progress:
            progress(f"{done + 1} of {rounds}")
        kept.append([thing() for thing in things])
    return [Series(column) for column in zip(*kept)]


class Figure:
    """One line of the table: what is compared, and what was wanted.

    `ours` and `reference` are series of one unit, or of CPU time and so on; the ratio is that of the medians.
    With `at_least` a larger ratio is better. A figure without a target is shown for itself.
    """

    def __init__(self, row, name, ours, against, reference, unit, at_most=None, at_least=None, goal="", note=""):
        self.row, self.name, self.unit, self.note = row, name, unit, note
        self.ours, self.against, self.reference = ours, against, reference
        # `goal` says the target in other words than as a ratio.
        self.at_most, self.at_least, self.goal = at_most, at_least, goal

    @property
    def ratio(self):
        return self.ours.median / self.reference.median

    @property
    def target(self):
        if self.goal:
            return self.goal
        if self.at_most is not None:
            return f"<= {self.at_most:g}x"
        return f">= {self.at_least:g}x" if self.at_least is not None else ""

    @property
    def met(self):
        """None without a target."""
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return self.ratio >= self.at_least if self.at_least is not None else None

    @property
    def is_spread(self):
        return max(self.ours.spread, self.reference.spread) > 0.3

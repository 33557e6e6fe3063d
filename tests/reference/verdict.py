"""The reference of verdicts: which of N runs agree, by the rules of docs/verification.md, as plainly as they can be written.

Slow and exact: whole numbers and fractions, no tricks of speed. The program, the contract and the verifier in JavaScript are
held to the same vectors.
"""

from dataclasses import dataclass, field
from fractions import Fraction

SAMPLES = 10
MOST_RUNS = 128
VOID = 2**256 - 1
LANE = 2**25
STEPS = 64


@dataclass(frozen=True)
class Work:
    """What a run used: memory in KiB (ten samples), CPU time in ms, page faults."""

    row: tuple[int, ...]
    cpu_ms: int
    faults: int

    @property
    def level(self) -> int:
        return sum(self.row)


@dataclass(frozen=True)
class Run:
    """An output is anything that can be compared; None where the run gave none. A summary is ten lanes."""

    output: object = None
    work: Work | None = None
    summary: tuple[int, ...] | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Terms:
    confidence: int
    tolerance_kib: int = 1024
    relative_permille: int = 300
    method: str = "ball"
    deterministic: bool = False
    require_work: bool = False
    cpu_permille: int = 333


@dataclass
class Outcome:
    """Runs are named by their indices. Without a verdict nobody is accepted or rejected."""

    verdict: bool
    note: str
    accepted: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    scores: dict[int, int] = field(default_factory=dict)


def unpack_fingerprint(word: int) -> Work | None:
    """The work that a word stands for; None for "no fingerprint". Raises ValueError for a word that is refused."""
    if word == VOID:
        return None
    if word >> 252:
        raise ValueError(f"{word:#x} has one of its top four bits set")
    row = tuple(256 * (word >> 20 * k & 0xFFFFF) for k in range(SAMPLES))
    exponent, fraction = divmod(word >> 232, 2**15)
    faults = fraction if exponent == 0 else (2**15 + fraction) * 2 ** (exponent - 1)
    return Work(row, word >> 200 & 0xFFFFFFFF, faults)


def unpack_summary(word: int) -> tuple[int, ...] | None:
    """The lanes that a word stands for; None for "no summary". Raises ValueError for a word that is refused."""
    if word == VOID:
        return None
    if word >> 250:
        raise ValueError(f"{word:#x} has one of its top six bits set")
    return tuple(word >> 25 * k & LANE - 1 for k in range(SAMPLES))


def decide(terms: Terms, runs: list[Run]) -> Outcome:
    """The verdict over runs that are in the order which settles ties."""
    n = len(runs)
    sane = 1 <= n <= MOST_RUNS and 1 <= terms.confidence <= n
    sane = sane and max(terms.relative_permille, terms.cpu_permille) <= 1000
    if not sane or terms.require_work and terms.method not in ("hash", "near"):
        return Outcome(False, "bad parameters")
    asked, runs = runs, comparable(runs)
    if terms.method == "near" or terms.require_work:
        return one_relation(terms, asked, runs)

    without_output = [i for i, run in enumerate(asked) if run.output is None]
    for run in runs:
        equal = [i for i, other in enumerate(runs) if run.output is not None and other.output == run.output]
        if 2 * len(equal) > n:
            return agreed(terms, runs, equal, without_output, {}, "equal outputs")
    if terms.deterministic or terms.method == "hash":
        return Outcome(False, "outputs disagree", absent=without_output)

    present = {i: run.work for i, run in enumerate(runs) if run.output is not None and run.work is not None}
    absent = [i for i, run in enumerate(asked) if run.output is None or run.work is None]
    scorer = kmeans if terms.method == "kmeans" else ball
    accepted, scores, note = scorer(terms, n, present)
    if accepted is None:
        return Outcome(False, note, absent=absent, scores=scores)
    return agreed(terms, runs, accepted, absent, scores, "agreement")


def commonest_exit_code(runs):
    """The exit code that more than half of all runs state; None if there is none."""
    stated = [run.exit_code for run in runs if run.output is not None]
    return next((code for code in stated if 2 * stated.count(code) > len(runs)), None)


def comparable(runs):
    """The runs, those without an output that state another exit code than most."""
    most = commonest_exit_code(runs)
    return runs if most is None else [run if run.exit_code == most else Run() for run in runs]


def agreed(terms, runs, accepted, absent, scores, note) -> Outcome:
    """The runs that agree, if they are enough, and if more than half of all state one exit code."""
    if commonest_exit_code(runs) is None:
        return Outcome(False, "no majority agrees", absent=absent, scores=scores)
    if 2 * len(accepted) <= len(runs):
        return Outcome(False, "no majority agrees", absent=absent, scores=scores)
    if len(accepted) < terms.confidence:
        return Outcome(False, "fewer than M agree", absent=absent, scores=scores)
    rejected = [i for i in range(len(runs)) if i not in accepted and i not in absent]
    return Outcome(True, note, accepted, rejected, absent, scores)


# Memory beside the mean.


def kmeans(terms, asked, present):
    scores = None
    while len(present) >= 2:
        mean = mean_row(present)
        x = {i: Fraction(distance(work.row, mean)) for i, work in present.items()}
        if scores is None:
            scores = {i: int(score * len(present)) for i, score in x.items()}
        cut = best_cut(sorted(x.values()))
        if cut is None:
            break
        low = {i: work for i, work in present.items() if x[i] <= cut}
        high = {i: work for i, work in present.items() if x[i] > cut}
        low_mean = mean_row(low)
        far = sum(distance(work.row, low_mean) for work in high.values())
        if far / len(high) < tolerance(terms, sum(low_mean)):
            break
        present = low
        if 2 * len(low) <= asked:
            return None, scores, "no majority near the mean"
    if present:
        mean = mean_row(present)
        spread = sum(distance(work.row, mean) for work in present.values())
        if spread > 0 and spread / len(present) >= tolerance(terms, sum(mean)):
            return None, scores or {}, "spread over the tolerance"
    return list(present), scores or {}, "agreement"


def mean_row(present):
    columns = zip(*(work.row for work in present.values()))
    return [Fraction(sum(column), len(present)) for column in columns]


def distance(row, other):
    return sum(abs(a - b) for a, b in zip(row, other))


def tolerance(terms, level):
    """Largest distance of two rows, as the sum over their ten samples."""
    return max(Fraction(10 * terms.tolerance_kib), Fraction(terms.relative_permille, 1000) * level)


def best_cut(scores):
    """The largest low score of the cut in two groups of the least squared error; None if all are equal."""

    def squared_error(group):
        mean = sum(group) / len(group)
        return sum((score - mean) ** 2 for score in group)

    n = len(scores)
    cuts = [i for i in range(1, n) if scores[i - 1] != scores[i]]
    if not cuts:
        return None
    # Of equals the more uneven cut, then the one further up.
    best = min(cuts, key=lambda i: (squared_error(scores[:i]) + squared_error(scores[i:]), -max(i, n - i), -i))
    return scores[best - 1]


# Work beside that of one run.


def ball(terms, _asked, present):
    if not present:
        return None, {}, "no traces"
    alike = like_work(terms, present)
    centre, inside = largest(present, alike, lambda i, j: distance(present[i].row, present[j].row))
    scores = {i: distance(present[centre].row, work.row) for i, work in present.items()}
    return inside, scores, "agreement"


def like_work(terms, present):
    levels = sorted(work.level for work in present.values())
    most = tolerance(terms, levels[(len(levels) - 1) // 2])

    def alike(i, j):
        one, other = present[i], present[j]
        cpu = abs(one.cpu_ms - other.cpu_ms)
        most_cpu = max(200, Fraction(terms.cpu_permille, 1000) * max(one.cpu_ms, other.cpu_ms))
        faults = abs(one.faults - other.faults)
        most_faults = max(600, Fraction(max(one.faults, other.faults), 5))
        return distance(one.row, other.row) <= most and cpu <= most_cpu and faults <= most_faults

    return alike


def largest(present, agree, apart):
    """The run with whom the most agree, and those; of equals the nearest together, then the first."""
    balls = {i: [j for j in present if agree(i, j)] for i in present}
    centre = min(present, key=lambda i: (-len(balls[i]), sum(apart(i, j) for j in balls[i]), i))
    return centre, balls[centre]


# Outputs, equal or near, and work where it is required.


def one_relation(terms, asked, runs):
    near = terms.method == "near" and not terms.deterministic
    here = [i for i, run in enumerate(runs) if run.output is not None]
    if terms.require_work:
        here = [i for i in here if runs[i].work is not None]
    absent = [i for i, run in enumerate(asked) if run.output is None or terms.require_work and run.work is None]
    if not here:
        return Outcome(False, "no traces", absent=absent)

    def same(i, j):
        one, other = runs[i], runs[j]
        return one.output == other.output and (terms.method != "near" or one.summary == other.summary)

    def steps(i, j):
        return 0 if same(i, j) else lanes_apart(runs[i].summary, runs[j].summary)

    def like_output(i, j):
        return same(i, j) or near and steps(i, j) is not None and steps(i, j) <= STEPS

    note = "near outputs" if near else "equal outputs"
    if not terms.require_work:
        centre, inside = largest(here, like_output, lambda i, j: 0)
        scores = {i: steps(centre, i) for i in here if steps(centre, i) is not None}
        return agreed(terms, runs, inside, absent, scores, note)
    present = {i: runs[i].work for i in here}
    alike = like_work(terms, present)

    def apart(i, j):
        return distance(present[i].row, present[j].row)

    centre, inside = largest(here, lambda i, j: like_output(i, j) and alike(i, j), apart)
    scores = {i: apart(centre, i) for i in here}
    return agreed(terms, runs, inside, absent, scores, note + " and work")


def lanes_apart(one, other):
    """The largest lane distance round the circle; None where a summary is missing."""
    if one is None or other is None:
        return None
    return max(min((a - b) % LANE, (b - a) % LANE) for a, b in zip(one, other))

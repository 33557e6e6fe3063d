"""Runs the rows that were asked for, or all of them, and writes docs/performance.md after a run of all."""

import argparse
import sys
import time
from pathlib import Path

from . import containers, coordination, goals, machine, plot, pure, report

ROWS = {
    "one": containers.one_job,
    "three": containers.three_jobs,
    "backlog": containers.backlog,
    "cli": containers.command_line,
    "sampling": containers.sampling,
    "stub": coordination.stub,
    "backlog-stub": coordination.stub_backlog,
    "growth": coordination.growth,
    "chain": coordination.chain,
    "memory": coordination.memory,
    "idle": coordination.idle,
    "devstack": coordination.devstack,
    "gas": pure.gas,
    "pure": pure.suite,
}


class Bench:
    """What rows need, and what they leave beside their figures."""

    def __init__(self, arguments):
        self.root = Path(arguments.root)
        self.assay, self.coordination, self.pure = arguments.assay, arguments.coordination, arguments.pure
        self.python, self.rows = arguments.python, ROWS
        self.machine, self.commit = machine.describe(arguments.anvil), machine.commit(self.root)
        # What grows: ("jobs" or "nodes", whose, how many, seconds, KiB or None).
        self.points = []
        self.gas, self.gas_sizes, self.pure_table = {}, {}, ""
        self.load_before, self.load_after = machine.load(), []

    def progress(self, text):
        if sys.stderr.isatty():
            print(f"\r    {text}   ", end="", file=sys.stderr, flush=True)


def _arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--goals", action="store_true", help="only the rows of the table of goals, in three passes")
    parser.add_argument("row", nargs="*", metavar="ROW", help="all, unless named; only then nothing is written")
    for name in ("root", "assay", "coordination", "pure", "python", "anvil"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [row for row in arguments.row if row not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}; scripts/bench --list names them")
    if arguments.goals and arguments.row:
        parser.error("--goals names its rows itself")
    return arguments


def main():
    arguments = _arguments()
    if arguments.list:
        for name, row in ROWS.items():
            print(f"{name:14}{row.__doc__}")
        return 0
    bench = Bench(arguments)
    begun = time.monotonic()
    figures, further, failures = [], [], []
    for name in goals.ROWS if arguments.goals else arguments.row or ROWS:
        print(f"==> {name}: {ROWS[name].__doc__}", file=sys.stderr)
        passes = 1 if arguments.row or name not in goals.ROWS else goals.PASSES
        for index in range(passes):
            drawn = len(bench.points)
            try:
                for figure in ROWS[name](bench):
                    (further if index else figures).append(figure)
                    print(report.line(figure), flush=True)
            except Exception as error:  # noqa: BLE001  (the other rows are still worth having)
                failures.append((name, str(error)))
                print(f"error: {name}: {error}", file=sys.stderr)
            # The first pass is the one that is drawn.
            if index:
                del bench.points[drawn:]
    bench.load_after = machine.load()
    took = time.monotonic() - begun
    bench.goals = list(goals.table(figures + further))
    if arguments.goals:
        print("\n".join(bench.goals))
    elif not arguments.row:
        docs = bench.root / "docs"
        (docs / "performance.md").write_text(report.write(bench, figures, failures, took))
        (docs / "performance.svg").write_text(plot.draw(bench.points))
        print(f"==> wrote docs/performance.md after {took / 60:.1f} minutes", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The pure parts, timed by the suite in `benches/pure.rs`, and what jobs cost on a chain, from the gas snapshots."""

import json
import subprocess

from .measure import Figure, Series
from .processes import Failed

# Measured elsewhere, with the authors' own sources: a task of iExec PoCo 6.2.0 with three workers.
POCO = {"transactions": 9, "gas": 2_487_442}
# Steps that are no transaction: sums.
SUMS = ("all", "over the goal")


def suite(bench):
    """1-D 2-means over 10^6 values: `sort_unstable` of the same array; and the suite of the pure parts"""
    done = subprocess.run(
        [bench.pure, "--bench"], cwd=bench.root, stdout=subprocess.PIPE, timeout=900, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"benches/pure.rs ended with {done.returncode}; what it said is above")
    lines = done.stdout.splitlines()
    for line in (json.loads(line) for line in lines if line.startswith("{")):
        ours, reference = Series(line["ours_s"]), Series(line["reference_s"])
        yield Figure("pure", line["name"], ours, line["against"], reference, "s", at_most=line["at_most"])
    bench.pure_table = "\n".join(line.rstrip() for line in lines if not line.startswith("{")).strip()


def gas(bench):
    """Transactions and gas of a 3-node job: iExec PoCo, measured elsewhere"""
    snapshots = bench.root / "contracts/snapshots"
    steps = json.loads((snapshots / "jobs.json").read_text())
    kinds = {}
    for name, value in steps.items():
        kind, step = name.split(", ", 1)
        kinds.setdefault(kind, {})[step] = int(value)
    bench.gas = kinds
    bench.gas_sizes = {name: int(value) for name, value in json.loads((snapshots / "sizes.json").read_text()).items()}
    targets = {"plain": (9, 520_000), "signed": (3, 285_000)}
    for kind, (transactions, most) in targets.items():
        found = kinds[kind]
        count = sum(1 for step in found if step not in SUMS)
        total = sum(value for step, value in found.items() if step not in SUMS)
        for what, ours, goal in (("transactions", count, transactions), ("gas", total, most)):
            theirs = Series([POCO[what]])
            yield Figure(
                "gas", f"3-node job, {kind}", Series([ours]), "iExec PoCo", theirs, what,
                at_most=goal / POCO[what], goal=f"<= {goal:,}",
            )

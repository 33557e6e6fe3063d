"""Rows without containers: what agreeing costs, and how that grows with jobs and nodes."""

import contextlib
import statistics
import time

from .measure import LONG_RUNS, Figure, Series, in_turn
from .processes import Server
from .references import celery

NODES = 3
SCHEDULERS = ("libp2p", "contract")
# Jobs of one user that are unfinished at a time.
WINDOW = 64
# The same for jobs with a seat for every node: as many as one node has slots. A bid keeps a slot, so that with more of
# them nodes may wait for each other.
SLOTS = 4
# Jobs one after another whose CPU time is counted together.
IN_A_ROW = 20
# Seconds between two jobs in large networks.
REST = 2


def _stack(bench, scheduler, nodes):
    return Server([bench.coordination, "stack", scheduler, nodes, "stub"])


def _bare(bench, nodes, links):
    return Server([bench.coordination, "bare", nodes, links])


def _settled(server):
    """Memory once it no longer changes: two readings in a row within 1 %."""
    before = server.ask("memory")["rss_kib"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(1)
        now = server.ask("memory")["rss_kib"]
        if abs(now - before) <= before / 100:
            return now
        before = now
    return before


def stub(bench):
    """Coordination alone (an executor that prints at once), 1 and 3 nodes: as many Celery tasks that do nothing"""
    with celery(bench.python) as tasks:
        for scheduler in SCHEDULERS:
            with _stack(bench, scheduler, NODES) as stack:
                for seats in (1, 3):
                    ours, theirs = in_turn(
                        lambda: stack.ask("run", 1, seats, 1)["seconds"],
                        lambda: tasks.ask("run", seats, seats)["seconds"],
                        progress=bench.progress,
                    )
                    name = f"{seats}-node job without container, {scheduler}"
                    yield Figure("stub", name, ours, f"Celery, {seats} no-op", theirs, "s")
                yield _cpu_time(stack, scheduler)


def _cpu_time(stack, scheduler):
    """CPU time of a job, of all nodes and of the client that submits it; of so many in a row, as the kernel counts in ticks."""
    spent, taken = [], []
    for _ in range(LONG_RUNS):
        before, begun = stack.cpu_seconds(), time.monotonic()
        for _ in range(IN_A_ROW):
            stack.ask("run", 1, NODES, 1)
        spent.append((stack.cpu_seconds() - before) / IN_A_ROW)
        taken.append((time.monotonic() - begun) / IN_A_ROW)
    name = f"CPU time of a 3-node job without container, {scheduler}"
    return Figure("stub", name, Series(spent), "the time that it takes", Series(taken), "s")


def idle(bench):
    """CPU time of an idle node, of five in a devstack that rest for a minute: a whole core"""
    nodes, rest = 5, 60
    for scheduler in SCHEDULERS:
        with _stack(bench, scheduler, nodes) as stack:
            # What a start leaves to do.
            _settled(stack)
            before, begun = stack.cpu_seconds(), time.monotonic()
            time.sleep(rest)
            share = (stack.cpu_seconds() - before) / (time.monotonic() - begun) / nodes
        yield Figure("idle", f"CPU time of one idle node, {scheduler}", Series([share]), "a core", Series([1.0]), "cores")


def stub_backlog(bench):
    """10, 100 and 1000 jobs without containers, jobs/s: as many Celery tasks that do nothing"""
    with celery(bench.python) as tasks:
        for scheduler in SCHEDULERS:
            rates = {}
            for jobs in (10, 100, 1000):
                memory = []

                # A new stack for each run: memory is that of so many jobs, and Anvil hashes its whole state in every
                # block, so that a chain with many jobs behind it is slow for that alone.
                def ours():
                    with _stack(bench, scheduler, NODES) as stack:
                        stack.ask("run", 1, 1, 1)
                        before = stack.ask("memory")["rss_kib"]
                        answer = stack.ask("run", jobs, 1, WINDOW, patience=600)
                        memory.append(answer["rss_kib"] - before)
                        return answer["seconds"]

                theirs = lambda: tasks.ask("run", jobs, WINDOW, patience=600)["seconds"]  # noqa: E731
                taken, reference = in_turn(ours, theirs, progress=bench.progress)
                rate = lambda seconds: jobs / seconds  # noqa: E731
                rates[jobs] = taken.map(rate)
                bench.points.append(("jobs", scheduler, jobs, taken.median, statistics.median(memory)))
                bench.points.append(("jobs", "Celery", jobs, reference.median, None))
                yield Figure(
                    "backlog-stub", f"{jobs} jobs without container, {scheduler}", rates[jobs],
                    f"Celery, {jobs} no-op", reference.map(rate), "jobs/s",
                    note=f"at most {WINDOW} unfinished at a time",
                )
            name = f"rate of 1000 jobs, {scheduler}"
            yield Figure("backlog-stub", name, rates[1000], "rate of 100", rates[100], "jobs/s")


def growth(bench):
    """A 3-node job without containers among 10, 50 and 200 nodes: the same among 3"""
    sizes = (3, 10, 50, 200)
    for scheduler in SCHEDULERS:
        with contextlib.ExitStack() as open_stacks:
            stacks = [open_stacks.enter_context(_stack(bench, scheduler, nodes)) for nodes in sizes]
            # Nodes of a large network go on finding each other when it is ready.
            for stack in stacks:
                _settled(stack)
            found = in_turn(*(_rested(stack) for stack in stacks), progress=bench.progress)
            memory = [stack.ask("memory")["rss_kib"] for stack in stacks]
        for nodes, taken, kib in zip(sizes, found, memory):
            bench.points.append(("nodes", scheduler, nodes, taken.median, kib))
            if nodes > sizes[0]:
                name = f"3-node job among {nodes} nodes, {scheduler}"
                yield Figure("growth", name, taken, "among 3 nodes", found[0], "s")


def _rested(stack):
    """One 3-node job. Many nodes go on with the one before for a while, which is no part of another's time."""

    def job():
        time.sleep(REST)
        return stack.ask("run", 1, 3, 1)["seconds"]

    return job


def chain(bench):
    """100 3-node jobs on a chain, transactions/s: the same signed transactions sent to an empty Anvil"""

    def round():
        with _stack(bench, "contract", NODES) as stack:
            ran = stack.ask("run", 100, 3, SLOTS, patience=600)["seconds"]
            sent = stack.ask("replay", patience=600)
            return sent["transactions"] / ran, sent["transactions"] / sent["seconds"], sent["transactions"] / 100

    found = [round() for _ in range(3)]
    ours, theirs, each = (Series(column) for column in zip(*found))
    yield Figure(
        "chain", "jobs on chain", ours, "Anvil's own limit", theirs, "tx/s",
        note=f"{each.median:.1f} transactions a job, {SLOTS} jobs at a time; the reference gets those of all jobs at once",
    )


def memory(bench):
    """Memory of one more idle node in a devstack: of one more bare libp2p swarm with as many links"""
    # Up to 17, the nodes of a devstack are linked all to all.
    few, many = 4, 17

    def more(start):
        with start(few) as small:
            base = _settled(small)
        with start(many) as large:
            return (_settled(large) - base) / (many - few) / 1024

    found = [(more(lambda n: _stack(bench, "libp2p", n)), more(lambda n: _bare(bench, n, n))) for _ in range(3)]
    ours, theirs = (Series(column) for column in zip(*found))
    yield Figure("memory", "one more idle node", ours, "bare libp2p swarm", theirs, "MiB", at_most=1.5)


def devstack(bench):
    """A devstack that is ready: bare swarms that are meshed, and on a chain an Anvil that listens"""

    def ready(start):
        with start() as server:
            return server.seconds_to_ready

    def bare(nodes, scheduler):
        swarms = ready(lambda: _bare(bench, nodes, 8))
        return swarms if scheduler == "libp2p" else swarms + ready(lambda: Server([bench.coordination, "anvil"]))

    for scheduler in SCHEDULERS:
        for nodes in (3, 10, 100) if scheduler == "libp2p" else (3, 10):
            ours, theirs = in_turn(
                lambda: ready(lambda: _stack(bench, scheduler, nodes)),
                lambda: bare(nodes, scheduler),
                progress=bench.progress,
            )
            against = "bare swarms" if scheduler == "libp2p" else "bare swarms and Anvil"
            # Two of them are goals.
            most = None if scheduler == "libp2p" and nodes != 10 else 2
            yield Figure("devstack", f"{nodes} nodes ready, {scheduler}", ours, against, theirs, "s", at_most=most)

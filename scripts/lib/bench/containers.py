"""Rows with real containers: latency of one job, backlogs, the command line, the sampler."""

from .measure import Figure, Series, in_turn, seconds
from .processes import Devstack, Server, run
from .references import IMAGE, DockerApi, docker_run, docker_run_three, docker_version

NODES = 3
# Of each node of a devstack; three of them run so many containers at once.
SLOTS = 4
SCHEDULERS = ("libp2p", "contract")


def _job(bench, api, concurrency):
    confidence = concurrency // 2 + 1
    command = [bench.assay, "job", "submit", "--concurrency", concurrency, "--confidence", confidence]
    return seconds(lambda: run(*command, IMAGE, "--", "true", environment={"ASSAY_API": api}))


def one_job(bench):
    """1-node job by the command line, submit to accepted result: `docker run --rm --network none`"""
    for scheduler in SCHEDULERS:
        with Devstack(bench.assay, NODES, scheduler) as stack:
            ours, theirs = in_turn(_job(bench, stack.api, 1), seconds(docker_run), progress=bench.progress)
        yield Figure("one", f"1-node job, {scheduler}", ours, "docker run", theirs, "s", at_most=1.05)


def three_jobs(bench):
    """3-node job with its verdict: `xargs -P3 docker run`"""
    for scheduler, most in zip(SCHEDULERS, (1.00, 1.05)):
        with Devstack(bench.assay, NODES, scheduler) as stack:
            ours, theirs = in_turn(_job(bench, stack.api, 3), seconds(docker_run_three), progress=bench.progress)
        yield Figure("three", f"3-node job, {scheduler}", ours, "xargs -P3 docker run", theirs, "s", at_most=most)


def backlog(bench):
    """10 and 100 1-node jobs at once, jobs/s: the engine's API with as many containers at a time"""
    at_once = NODES * SLOTS
    bare, confined = DockerApi(), DockerApi(confined=True)
    for scheduler in SCHEDULERS:
        with Server([bench.coordination, "stack", scheduler, NODES, "docker"]) as stack:
            for jobs in (10, 100):
                taken = in_turn(
                    lambda: stack.ask("run", jobs, 1, jobs, patience=600)["seconds"],
                    lambda: bare.backlog(jobs, at_once),
                    lambda: confined.backlog(jobs, at_once),
                    progress=bench.progress,
                )
                ours, theirs, same = (series.map(lambda seconds: jobs / seconds) for series in taken)
                name = f"backlog of {jobs} jobs, {scheduler}"
                against = f"Docker API, {at_once} at a time"
                yield Figure("backlog", name, ours, against, theirs, "jobs/s")
                note = "the reference has the limits and the isolation of Assay's containers"
                yield Figure("backlog", name, ours, f"{against}, as confined", same, "jobs/s", note=note)


def command_line(bench):
    """Start of the command line and one round trip (`assay node list`): `docker version`"""
    with Devstack(bench.assay, NODES, "libp2p") as stack:
        environment = {"ASSAY_API": stack.api}
        ours = seconds(lambda: run(bench.assay, "node", "list", environment=environment))
        ours, theirs = in_turn(ours, seconds(docker_version), progress=bench.progress)
    yield Figure("cli", "start and one round trip", ours, "docker version", theirs, "s", at_most=0.3)


def sampling(bench):
    """CPU time of the node while it watches a busy container: the container's own CPU time"""
    found = []
    for _ in range(3):
        with Server([bench.coordination, "sample", 10]) as sample:
            found.append(sample.ready)
    hertz = sum(one["readings"] for one in found) / sum(one["duration_ms"] for one in found) * 1000
    yield Figure(
        "sampling", "CPU time of sampling",
        Series(one["own_cpu_ms"] / 1000 for one in found),
        "the container",
        Series(one["container_cpu_ms"] / 1000 for one in found),
        "s", at_most=0.01,
        note=f"{hertz:.0f} readings a second; the node's whole CPU time is counted, in ticks of 10 ms",
    )

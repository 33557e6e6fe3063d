"""A Celery task that does nothing, and, when run, a client that waits for its results."""

import collections
import json
import os
import sys
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])


# Named, since the client is another main module than the worker.
@app.task(name="noop")
def noop():
    return "hello"


def run(count, window):
    """Seconds for so many tasks, at most `window` of them unfinished at a time."""
    begun = time.perf_counter()
    unfinished = collections.deque()
    for _ in range(count):
        if len(unfinished) == window:
            unfinished.popleft().get(timeout=60)
        unfinished.append(noop.delay())
    for result in unfinished:
        result.get(timeout=60)
    return time.perf_counter() - begun


def main():
    # The first task waits for the worker to be there.
    run(1, 1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        _, count, window = line.split()
        print(json.dumps({"seconds": run(int(count), int(window))}), flush=True)


if __name__ == "__main__":
    main()

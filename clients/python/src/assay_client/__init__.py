"""A client of an Assay node: submit container jobs, and get the results that a majority agrees on.

    from assay_client import Assay

    with Assay() as assay:
        result = assay.submit("assay/demo:1", ["echo", "hello"], concurrency=3).result()
        print(result.text)
        for run in result.runs:
            print(run.node, run.judgement, run.reason)

`Assay` blocks, and `AsyncAssay` has the same methods for asyncio. Both find the newest node that this user started on this
machine, as the command line does.
"""

from .aio import AsyncAssay, AsyncJob
from .client import Assay, Job
from .errors import AssayError, ConnectionLost, JobFailed, Refused
from .models import Result, Run
from .terms import Terms

__all__ = [
    "Assay",
    "AssayError",
    "AsyncAssay",
    "AsyncJob",
    "ConnectionLost",
    "Job",
    "JobFailed",
    "Refused",
    "Result",
    "Run",
    "Terms",
]

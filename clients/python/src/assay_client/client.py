"""The client that blocks."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any

import httpx

from . import wire
from .errors import ConnectionLost, JobFailed
from .models import Result, goes_on
from .terms import Terms


class Assay:
    """A node. Without arguments: the newest that this user started on this machine."""

    def __init__(self, api: str | None = None, token_file: str | os.PathLike[str] | None = None) -> None:
        self.api = wire.find_api(api)
        self._token_file = token_file
        self._http = httpx.Client(base_url=f"{self.api}/api/v1/", timeout=wire.SILENCE, trust_env=False)
        # Whether the node answered before.
        self._is_known = False

    def __enter__(self) -> Assay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, image: str, command: Sequence[str] = (), terms: Terms | None = None, **changed: Any) -> Job:
        """Submits a job. Terms come as an object, by name, or both: `submit("image", ["cmd"], concurrency=5)`."""
        terms = replace(terms or Terms(), **changed)
        proposed = self._json("GET", "defaults", params=terms.query())
        body = terms.request(image, command, proposed)
        return Job(self, self._json("POST", "jobs", json=body, key=wire.new_key())["job"])

    def map(
        self,
        image: str,
        commands: Iterable[Sequence[str]],
        terms: Terms | None = None,
        *,
        max_parallel: int = 16,
        return_exceptions: bool = False,
        **changed: Any,
    ) -> Iterator[Result | JobFailed]:
        """Runs one job for each command, as one group; yields how they ended, in order.

        A job without a result raises `JobFailed`, or is yielded as that with `return_exceptions`.
        """
        terms = replace(terms or Terms(), **changed)
        following, open_jobs = iter(wire.Group(commands, terms, max_parallel)), deque[Job]()
        while True:
            for command, own in islice(following, max_parallel - len(open_jobs)):
                open_jobs.append(self.submit(image, command, own))
            if not open_jobs:
                return
            try:
                yield open_jobs.popleft().result()
            except JobFailed as failed:
                if not return_exceptions:
                    raise
                yield failed

    def job(self, job: str) -> Job:
        """A job by its id, or by the beginning of it."""
        return Job(self, self._json("GET", f"jobs/{job}")["job"])

    def jobs(
        self, *, limit: int | None = 50, states: Sequence[str] = (), group: str | None = None
    ) -> list[dict[str, Any]]:
        """The newest jobs that the node knows, as the API lists them; all of them with `limit=None`."""
        pages = wire.JobPages(limit, states, group)
        while pages.take(self._json("GET", "jobs", params=pages.query())):
            pass
        return pages.rows

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that the node knows, as the API lists them."""
        pages = wire.NodePages()
        while pages.take(self._json("GET", "nodes", params=pages.query())):
            pass
        return pages.rows

    def _json(self, method: str, path: str, **how: Any) -> Any:
        return self._ask(method, path, **how).json()

    def _ask(self, method: str, path: str, *, key: str | None = None, **how: Any) -> httpx.Response:
        """Sends a request, again if it changes nothing or has a key, until the node has been away for too long."""
        began = time.monotonic()
        while True:
            failure: Exception
            try:
                headers = wire.headers(self.api, self._token_file, key)
                reply = self._http.request(method, path, headers=headers, **how)
                refused = wire.failure_of(reply, reply.content)
                if refused is None:
                    self._is_known = True
                    return reply
                failure = refused
            except (httpx.TransportError, ConnectionLost) as lost:
                failure = lost
            is_repeatable = method == "GET" or key is not None
            may_pass = wire.may_pass(failure, is_repeatable=is_repeatable, is_known=self._is_known)
            if not may_pass or time.monotonic() - began > wire.PATIENCE:
                raise wire.told(self.api, failure) from failure.__cause__
            self._pause()

    def _follow(self, job: str, seconds: float) -> None:
        """Reads the events of a job until it ends, until the connection is lost, or for about so many seconds."""
        began, path = time.monotonic(), f"jobs/{job}/events"
        try:
            headers, timeout = wire.headers(self.api, self._token_file, None), wire.stream_timeout(seconds)
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as reply:
                if not reply.is_success:
                    refused = wire.failure_of(reply, reply.read())
                    if refused and not wire.may_pass(refused, is_repeatable=True, is_known=self._is_known):
                        raise refused
                    return
                for _ in reply.iter_raw():
                    if time.monotonic() - began >= seconds:
                        return
        except (httpx.TransportError, ConnectionLost):
            # The next look at the job tells whether the node is away, and for how long.
            return

    def _pause(self) -> None:
        time.sleep(wire.PAUSE)


class Job:
    """A job of a node."""

    def __init__(self, assay: Assay, job: str) -> None:
        self._assay = assay
        self.id = job

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def view(self) -> dict[str, Any]:
        """All that the node knows of the job, as the API has it."""
        found: dict[str, Any] = self._assay._json("GET", f"jobs/{self.id}")
        return found

    def state(self) -> str:
        return str(self.view()["state"])

    def wait(self, timeout: float | None = None) -> Result:
        """Waits until the job has ended, however it ends, or until this node cannot follow it any more.

        Raises TimeoutError after so many seconds, and ConnectionLost when the node was away for too long.
        """
        limit = wire.Limit(timeout)
        while goes_on(view := self.view()) and not limit.is_overdue(view):
            self._assay._follow(self.id, limit.next_look(view))
            self._assay._pause()
        if view["state"] != "verified":
            return Result.of(view)
        return Result.of(view, self._assay._ask("GET", f"jobs/{self.id}/output").content)

    def result(self, timeout: float | None = None) -> Result:
        """The same, and raises JobFailed if there is no result to keep."""
        result = self.wait(timeout)
        if result.state != "verified":
            raise JobFailed(result)
        return result

    def files(self, node: str | None = None) -> dict[str, bytes]:
        """The files of an accepted result, or of this node's, checked against the log."""
        run = wire.chosen_run(self.id, Result.of(self.view()).runs, node)
        archive = self._assay._ask("GET", f"jobs/{self.id}/results/{run.node}/archive").content
        return wire.files(archive, str(run.output_root))

    def plot(self) -> str:
        """The memory and CPU curves of all runs, as SVG."""
        return self._assay._ask("GET", f"jobs/{self.id}/plot").text

    def cancel(self) -> None:
        """Cancels the job, or stops it if it runs."""
        self._assay._json("POST", f"jobs/{self.id}/cancel", key=wire.new_key())

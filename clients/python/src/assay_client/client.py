"""The client that blocks."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from . import wire
from .errors import AssayError, JobFailed, Refused
from .models import LIVE, Result
from .terms import Terms


class Assay:
    """A node. Without arguments: the newest that this user started on this machine."""

    def __init__(self, api: str | None = None, token_file: str | os.PathLike[str] | None = None) -> None:
        self.api = wire.find_api(api)
        self._token_file = token_file
        self._http = httpx.Client(base_url=f"{self.api}/api/v1/", timeout=wire.SILENCE, trust_env=False)

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
        group, open_jobs = secrets.token_hex(6), deque[Job]()
        numbered = iter(enumerate(commands))
        while True:
            while len(open_jobs) < max_parallel and (following := next(numbered, None)):
                index, command = following
                variables = {**terms.environment, **wire.group_variables(group, index)}
                open_jobs.append(self.submit(image, command, replace(terms, environment=variables)))
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

    def jobs(self, *, limit: int = 50, states: Sequence[str] = (), group: str | None = None) -> list[dict[str, Any]]:
        """The newest jobs that the node knows, as the API lists them."""
        wanted = {"limit": str(limit), "state": ",".join(states), "group": group or ""}
        found: list[dict[str, Any]] = self._json("GET", "jobs", params={k: v for k, v in wanted.items() if v})["jobs"]
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that the node knows, as the API lists them."""
        found: list[dict[str, Any]] = self._json("GET", "nodes")
        return found

    def _json(self, method: str, path: str, **how: Any) -> Any:
        return self._ask(method, path, **how).json()

    def _ask(self, method: str, path: str, *, key: str | None = None, **how: Any) -> httpx.Response:
        """Sends a request, again if it changes nothing or has a key, until the node has been away for too long."""
        began = time.monotonic()
        while True:
            try:
                reply = self._http.request(
                    method, path, headers=wire.headers(self.api, self._token_file, key), **how
                )
                if reply.is_success:
                    return reply
                error: AssayError = wire.error_of(reply.status_code, reply.content)
                may_pass = isinstance(error, Refused) and error.code in wire.NOT_YET
            except httpx.TransportError as lost:
                error, may_pass = wire.away(self.api, lost), not isinstance(lost, httpx.ConnectError) and (
                    method == "GET" or key is not None
                )
            if not may_pass or time.monotonic() - began > wire.PATIENCE:
                raise error
            time.sleep(wire.PAUSE)

    def _follow(self, path: str) -> None:
        """Reads a stream of events to its end, or until the connection is lost."""
        how = wire.headers(self.api, self._token_file, None)
        try:
            with self._http.stream("GET", path, headers=how) as reply:
                for _ in reply.iter_raw():
                    pass
        except httpx.TransportError:
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
        """Waits until the job has ended, however it ends. Raises TimeoutError after so many seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while (view := self.view())["state"] in LIVE:
            if until is None:
                # The stream ends with the job.
                self._assay._follow(f"jobs/{self.id}/events")
            elif time.monotonic() >= until:
                raise TimeoutError(f"job {self.id} is {view['state']} after {timeout} s")
            else:
                time.sleep(wire.PAUSE)
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
        runs = [run for run in Result.of(self.view()).runs if run.output_root]
        for run in runs:
            if run.node == node or (node is None and run.judgement == "accepted"):
                archive = self._assay._ask("GET", f"jobs/{self.id}/results/{run.node}/archive").content
                return wire.files(archive, str(run.output_root))
        raise AssayError(f"job {self.id} has no such result")

    def plot(self) -> str:
        """The memory and CPU curves of all runs, as SVG."""
        return self._assay._ask("GET", f"jobs/{self.id}/plot").text

    def cancel(self) -> None:
        """Cancels the job, or stops it if it runs."""
        self._assay._json("POST", f"jobs/{self.id}/cancel", key=wire.new_key())

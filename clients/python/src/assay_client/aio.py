"""The client for asyncio: the methods of `Assay`, to be awaited."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any

import httpx

from . import wire
from .errors import ConnectionLost, JobFailed
from .models import Result, goes_on
from .terms import Terms


class AsyncAssay:
    """A node. Without arguments: the newest that this user started on this machine."""

    def __init__(self, api: str | None = None, token_file: str | os.PathLike[str] | None = None) -> None:
        self.api = wire.find_api(api)
        self._token_file = token_file
        self._http = httpx.AsyncClient(base_url=f"{self.api}/api/v1/", timeout=wire.SILENCE, trust_env=False)
        # Whether the node answered before.
        self._is_known = False

    async def __aenter__(self) -> AsyncAssay:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(
        self, image: str, command: Sequence[str] = (), terms: Terms | None = None, **changed: Any
    ) -> AsyncJob:
        """As `Assay.submit`."""
        terms = replace(terms or Terms(), **changed)
        proposed = await self._json("GET", "defaults", params=terms.query())
        body = terms.request(image, command, proposed)
        return AsyncJob(self, (await self._json("POST", "jobs", json=body, key=wire.new_key()))["job"])

    async def map(
        self,
        image: str,
        commands: Iterable[Sequence[str]],
        terms: Terms | None = None,
        *,
        max_parallel: int = 16,
        return_exceptions: bool = False,
        **changed: Any,
    ) -> AsyncIterator[Result | JobFailed]:
        """As `Assay.map`."""
        terms = replace(terms or Terms(), **changed)
        following, tasks = iter(wire.Group(commands, terms, max_parallel)), deque[asyncio.Task[Result]]()

        async def run(command: Sequence[str], terms: Terms) -> Result:
            return await (await self.submit(image, command, terms)).result()

        try:
            while True:
                # No more tasks than jobs that are open: the commands may be many.
                for command, own in islice(following, max_parallel - len(tasks)):
                    tasks.append(asyncio.create_task(run(command, own)))
                if not tasks:
                    return
                try:
                    yield await tasks.popleft()
                except JobFailed as failed:
                    if not return_exceptions:
                        raise
                    yield failed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def job(self, job: str) -> AsyncJob:
        """As `Assay.job`."""
        return AsyncJob(self, (await self._json("GET", f"jobs/{job}"))["job"])

    async def jobs(
        self, *, limit: int | None = 50, states: Sequence[str] = (), group: str | None = None
    ) -> list[dict[str, Any]]:
        """As `Assay.jobs`."""
        pages = wire.JobPages(limit, states, group)
        while pages.take(await self._json("GET", "jobs", params=pages.query())):
            pass
        return pages.rows

    async def nodes(self) -> list[dict[str, Any]]:
        """As `Assay.nodes`."""
        pages = wire.NodePages()
        while pages.take(await self._json("GET", "nodes", params=pages.query())):
            pass
        return pages.rows

    async def _json(self, method: str, path: str, **how: Any) -> Any:
        return (await self._ask(method, path, **how)).json()

    async def _ask(self, method: str, path: str, *, key: str | None = None, **how: Any) -> httpx.Response:
        """As `Assay._ask`."""
        began = time.monotonic()
        while True:
            failure: Exception
            try:
                headers = wire.headers(self.api, self._token_file, key)
                reply = await self._http.request(method, path, headers=headers, **how)
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
            await self._pause()

    async def _follow(self, job: str, seconds: float) -> None:
        """As `Assay._follow`."""
        began, path = time.monotonic(), f"jobs/{job}/events"
        try:
            headers, timeout = wire.headers(self.api, self._token_file, None), wire.stream_timeout(seconds)
            async with self._http.stream("GET", path, headers=headers, timeout=timeout) as reply:
                if not reply.is_success:
                    refused = wire.failure_of(reply, await reply.aread())
                    if refused and not wire.may_pass(refused, is_repeatable=True, is_known=self._is_known):
                        raise refused
                    return
                async for _ in reply.aiter_raw():
                    if time.monotonic() - began >= seconds:
                        return
        except (httpx.TransportError, ConnectionLost):
            # The next look at the job tells whether the node is away, and for how long.
            return

    async def _pause(self) -> None:
        await asyncio.sleep(wire.PAUSE)


class AsyncJob:
    """A job of a node."""

    def __init__(self, assay: AsyncAssay, job: str) -> None:
        self._assay = assay
        self.id = job

    def __repr__(self) -> str:
        return f"AsyncJob({self.id!r})"

    async def view(self) -> dict[str, Any]:
        """All that the node knows of the job, as the API has it."""
        found: dict[str, Any] = await self._assay._json("GET", f"jobs/{self.id}")
        return found

    async def state(self) -> str:
        return str((await self.view())["state"])

    async def wait(self, timeout: float | None = None) -> Result:
        """Waits until the job has ended, however it ends, or until this node cannot follow it any more.

        Raises TimeoutError after so many seconds, and ConnectionLost when the node was away for too long.
        """
        limit = wire.Limit(timeout)
        while goes_on(view := await self.view()) and not limit.is_overdue(view):
            await self._assay._follow(self.id, limit.next_look(view))
            await self._assay._pause()
        if view["state"] != "verified":
            return Result.of(view)
        return Result.of(view, (await self._assay._ask("GET", f"jobs/{self.id}/output")).content)

    async def result(self, timeout: float | None = None) -> Result:
        """The same, and raises JobFailed if there is no result to keep."""
        result = await self.wait(timeout)
        if result.state != "verified":
            raise JobFailed(result)
        return result

    async def files(self, node: str | None = None) -> dict[str, bytes]:
        """The files of an accepted result, or of this node's, checked against the log."""
        run = wire.chosen_run(self.id, Result.of(await self.view()).runs, node)
        archive = (await self._assay._ask("GET", f"jobs/{self.id}/results/{run.node}/archive")).content
        return wire.files(archive, str(run.output_root))

    async def plot(self) -> str:
        """The memory and CPU curves of all runs, as SVG."""
        return (await self._assay._ask("GET", f"jobs/{self.id}/plot")).text

    async def cancel(self) -> None:
        """Cancels the job, or stops it if it runs."""
        await self._assay._json("POST", f"jobs/{self.id}/cancel", key=wire.new_key())

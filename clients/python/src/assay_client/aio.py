"""The client for asyncio: the methods of `Assay`, to be awaited."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from . import wire
from .errors import AssayError, JobFailed, Refused
from .models import LIVE, Result
from .terms import Terms


class AsyncAssay:
    """A node. Without arguments: the newest that this user started on this machine."""

    def __init__(self, api: str | None = None, token_file: str | os.PathLike[str] | None = None) -> None:
        self.api = wire.find_api(api)
        self._token_file = token_file
        self._http = httpx.AsyncClient(base_url=f"{self.api}/api/v1/", timeout=wire.SILENCE, trust_env=False)

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
        group, slots = secrets.token_hex(6), asyncio.Semaphore(max_parallel)

        async def run(index: int, command: Sequence[str]) -> Result:
            async with slots:
                variables = {**terms.environment, **wire.group_variables(group, index)}
                return await (await self.submit(image, command, replace(terms, environment=variables))).result()

        tasks = [asyncio.create_task(run(index, command)) for index, command in enumerate(commands)]
        try:
            for task in tasks:
                try:
                    yield await task
                except JobFailed as failed:
                    if not return_exceptions:
                        raise
                    yield failed
        finally:
            for task in tasks:
                task.cancel()

    async def job(self, job: str) -> AsyncJob:
        """As `Assay.job`."""
        return AsyncJob(self, (await self._json("GET", f"jobs/{job}"))["job"])

    async def _json(self, method: str, path: str, **how: Any) -> Any:
        return (await self._ask(method, path, **how)).json()

    async def _ask(self, method: str, path: str, *, key: str | None = None, **how: Any) -> httpx.Response:
        began = time.monotonic()
        while True:
            try:
                reply = await self._http.request(
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
            await asyncio.sleep(wire.PAUSE)

    async def _follow(self, path: str) -> None:
        how = wire.headers(self.api, self._token_file, None)
        try:
            async with self._http.stream("GET", path, headers=how) as reply:
                async for _ in reply.aiter_raw():
                    pass
        except httpx.TransportError:
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

    async def wait(self) -> Result:
        """Waits until the job has ended, however it ends. Bound it with `asyncio.timeout`."""
        while (view := await self.view())["state"] in LIVE:
            await self._assay._follow(f"jobs/{self.id}/events")
        if view["state"] != "verified":
            return Result.of(view)
        return Result.of(view, (await self._assay._ask("GET", f"jobs/{self.id}/output")).content)

    async def result(self) -> Result:
        """The same, and raises JobFailed if there is no result to keep."""
        result = await self.wait()
        if result.state != "verified":
            raise JobFailed(result)
        return result

    async def cancel(self) -> None:
        """Cancels the job, or stops it if it runs."""
        await self._assay._json("POST", f"jobs/{self.id}/cancel", key=wire.new_key())

"""What both clients share: where the node is, its token, its errors and its archives."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from .errors import AssayError, ConnectionLost, Refused
from .models import Run
from .terms import Terms

DEFAULT_API = "http://127.0.0.1:7421"

#: Seconds of silence in an answer. Streams send something every ten seconds.
SILENCE = 60.0
#: How long a node may be away, or read its logs.
PATIENCE = 60.0
PAUSE = 0.5
#: The longest silence between two looks at a job. A deadline passes, or a log breaks, without an event.
LOOK = 5.0
#: How long to wait after the last deadline of a job: the node that ends it may be slow, and clocks differ.
OVERDUE = 120.0

#: Rows of a page.
PAGE = 1000

#: Answers after which the same request may be answered later.
NOT_YET = frozenset({"busy", "loading"})


def state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "assay"


def find_api(api: str | None) -> str:
    """The address that is given, that of the environment, or that of the newest node of this user."""
    found = api or os.environ.get("ASSAY_API")
    if not found:
        try:
            found = (state_dir() / "api").read_text().strip()
        except FileNotFoundError:
            found = DEFAULT_API
    return (found if "://" in found else f"http://{found}").rstrip("/")


def read_token(api: str, token_file: str | os.PathLike[str] | None) -> str | None:
    """The token of the node now; it is new whenever the node starts."""
    path = Path(token_file) if token_file else None
    if path is None and (named := os.environ.get("ASSAY_API_TOKEN_FILE")):
        path = Path(named)
    if path is None:
        note = state_dir() / "tokens" / api.split("://", 1)[1]
        try:
            path = Path(note.read_text().strip())
        except FileNotFoundError:
            return None
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise AssayError(f"other users of this machine can use the token file {path}", f"chmod 600 {path}")
        return path.read_text().strip()
    except OSError as error:
        raise ConnectionLost(f"cannot read the token file {path}: {error.strerror}", "is the node running?") from error


def headers(api: str, token_file: str | os.PathLike[str] | None, key: str | None) -> dict[str, str]:
    found = {}
    if token := read_token(api, token_file):
        found["Authorization"] = f"Bearer {token}"
    if key:
        found["Idempotency-Key"] = key
    return found


def new_key() -> str:
    """The name of a request that is carried out once, however often it is sent."""
    return uuid.uuid4().hex


def error_of(status: int, body: bytes) -> Refused:
    try:
        told: Mapping[str, Any] = httpx.Response(status, content=body).json()["error"]
        return Refused(told["code"], told["message"], told.get("hint"))
    except (ValueError, KeyError, TypeError):
        return Refused("unexpected", f"the node answers with status {status}", None)


def failure_of(reply: httpx.Response, body: bytes) -> Refused | None:
    """Why a reply is none; None for one that is."""
    return None if reply.is_success else error_of(reply.status_code, body)


def may_pass(failure: Exception, *, is_repeatable: bool, is_known: bool) -> bool:
    """Whether the same request may be answered later.

    `is_repeatable`: it changes nothing, or has a key. `is_known`: the node answered before, so it is away for a while, and
    writes a new token when it is back.
    """
    if isinstance(failure, Refused):
        return failure.code in NOT_YET or (failure.code == "unauthorized" and is_repeatable and is_known)
    if isinstance(failure, (ConnectionLost, httpx.ConnectError)):
        return is_repeatable and is_known
    return is_repeatable and isinstance(failure, httpx.TransportError)


def told(api: str, failure: Exception) -> Exception:
    """The failure as callers of this client see it."""
    if isinstance(failure, httpx.TransportError):
        return ConnectionLost(f"the node at {api} does not answer: {failure}", "is it running? assay doctor tells more")
    return failure


def stream_timeout(seconds: float) -> httpx.Timeout:
    """Of a stream that is left after so many seconds of silence."""
    return httpx.Timeout(SILENCE, read=max(seconds, 0.001))


class Limit:
    """When to stop waiting for a job."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._until = None if timeout is None else time.monotonic() + timeout
        self._last_deadline: int | None = None
        self._overdue = 0.0

    def is_overdue(self, view: Mapping[str, Any]) -> bool:
        """Whether the last deadline of the job passed `OVERDUE` ago.

        By this machine's clock, since that of the node or chain may stand still: only a later deadline moves it.
        """
        last = max((deadline["at"] for deadline in view["deadlines"]), default=view["now"])
        if last != self._last_deadline:
            self._last_deadline = last
            self._overdue = time.monotonic() + max(0, last - view["now"]) + OVERDUE
        return time.monotonic() >= self._overdue

    def next_look(self, view: Mapping[str, Any]) -> float:
        """Seconds until the next look at a job that goes on. Raises TimeoutError when time is over."""
        if self._until is None:
            return LOOK
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"job {view['job']} is {view['state']} after {self._timeout} s")
        return min(LOOK, left)


class Group:
    """Jobs that run one program on many values."""

    def __init__(self, commands: Iterable[Sequence[str]], terms: Terms, max_parallel: int) -> None:
        if max_parallel < 1:
            raise ValueError("max_parallel must be at least 1")
        self._id = secrets.token_hex(6)
        self._terms = terms
        self._numbered = enumerate(commands)

    def __iter__(self) -> Iterator[tuple[Sequence[str], Terms]]:
        """Each command, with the variables by which its job belongs to the group."""
        for index, command in self._numbered:
            own = {"SWEEP_GROUP": self._id, "SWEEP_INDEX": str(index)}
            yield command, replace(self._terms, environment={**self._terms.environment, **own})


class JobPages:
    """The pages of a list of jobs, up to so many jobs; all of them without a limit."""

    def __init__(self, limit: int | None, states: Sequence[str], group: str | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._limit = limit
        wanted = {"state": ",".join(states), "group": group or ""}
        self._wanted = {name: value for name, value in wanted.items() if value}
        self._next: str | None = None
        self._asked: set[str] = set()

    def query(self) -> dict[str, str]:
        """What to ask for the next page."""
        left = PAGE if self._limit is None else min(PAGE, self._limit - len(self.rows))
        after = {"after": self._next} if self._next else {}
        return {"limit": str(left), **self._wanted, **after}

    def take(self, page: Mapping[str, Any]) -> bool:
        """Takes a page; whether to ask for another one."""
        self.rows += page["jobs"]
        self._next = page.get("next")
        if self._next is not None and self._next in self._asked:
            raise AssayError("the node gives the same page of its list of jobs again")
        if self._next is not None:
            self._asked.add(self._next)
        return self._next is not None and (self._limit is None or len(self.rows) < self._limit)


class NodePages:
    """The pages of the list of nodes, which goes by their ids."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def query(self) -> dict[str, str]:
        """What to ask for the next page."""
        after = {"after": str(self.rows[-1]["id"])} if self.rows else {}
        return {"limit": str(PAGE), **after}

    def take(self, page: Sequence[dict[str, Any]]) -> bool:
        """Takes a page; whether to ask for another one."""
        if self.rows and page and str(page[0]["id"]) <= str(self.rows[-1]["id"]):
            raise AssayError("the node gives the same page of its list of nodes again")
        self.rows += page
        return len(page) == PAGE


def chosen_run(job: str, runs: Iterable[Run], node: str | None) -> Run:
    """The run of this node, or an accepted one, that has a result."""
    for run in runs:
        if run.output_root and (run.node == node if node else run.judgement == "accepted"):
            return run
    raise AssayError(f"job {job} has no such result")


def files(archive: bytes, output_root: str) -> dict[str, bytes]:
    """The files of a result, once the archive is the one that was revealed."""
    if f"0x{hashlib.sha256(archive).hexdigest()}" != output_root:
        raise AssayError("the node gave another result than the one in the log")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isfile() and (content := tar.extractfile(member)):
                found[member.name] = content.read()
    return found

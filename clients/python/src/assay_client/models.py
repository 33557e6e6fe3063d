"""What a node says of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: States in which a job still goes on.
LIVE = frozenset({"open", "running", "revealing"})


def goes_on(view: Mapping[str, Any]) -> bool:
    """Whether this node may still learn how a job ends."""
    return view["state"] in LIVE and view["broken"] is None and not view["requester_gone"]


def why_failed(view: Mapping[str, Any]) -> str | None:
    """Why there is no verdict, or why this node waits for none."""
    if view["state"] in LIVE and view["broken"] is not None:
        return f"this node cannot follow it: {view['broken']}"
    if view["state"] in LIVE and view["requester_gone"]:
        return "overdue, and its requester cannot be reached (not final)"
    if view["state"] in LIVE:
        return "overdue: its last deadline has passed (not final)"
    failure: str | None = view["failure"]
    return failure


@dataclass(frozen=True)
class Run:
    """One node's run of a job."""

    node: str
    #: accepted, failed, committed or revealed
    status: str
    #: accepted, rejected or absent; None before the verdict
    judgement: str | None
    #: Why, in a sentence
    reason: str | None
    #: Why the run gave no result
    failure: str | None
    exit_code: int | None
    #: SHA-256 of the archive of its result
    output_root: str | None
    #: Memory over the run in ten samples, in KiB
    memory_kib: tuple[int, ...] | None
    cpu_ms: int | None

    @classmethod
    def of(cls, seat: Mapping[str, Any]) -> Run:
        result = seat["result"] or {}
        memory = result.get("memory_kib")
        return cls(
            node=seat["node"],
            status=seat["status"],
            judgement=seat["judgement"],
            reason=seat["reason"],
            failure=seat["failure"],
            exit_code=result.get("exit_code"),
            output_root=result.get("output_root"),
            memory_kib=None if memory is None else tuple(memory),
            cpu_ms=result.get("cpu_ms"),
        )


@dataclass(frozen=True)
class Result:
    """How a job ended, or how it was when its node could not follow it any more."""

    job: str
    #: verified and other ends; open, running or revealing if the node could not follow it any more
    state: str
    #: Why there is no verdict, or why the node waits for none, in words
    failure: str | None
    runs: tuple[Run, ...]
    #: What the accepted run printed; empty without one
    stdout: bytes
    #: The rest of what the node says of the job, as the API has it
    view: Mapping[str, Any]

    @classmethod
    def of(cls, view: Mapping[str, Any], stdout: bytes = b"") -> Result:
        runs = tuple(Run.of(seat) for seat in view["seats"])
        return cls(view["job"], view["state"], why_failed(view), runs, stdout, view)

    @property
    def is_open(self) -> bool:
        """Whether the job had not ended: its node could not follow it any more, which is not final."""
        return self.state in LIVE

    @property
    def text(self) -> str:
        """What the accepted run printed, as text."""
        return self.stdout.decode()

    @property
    def accepted(self) -> tuple[Run, ...]:
        """The runs whose results to keep."""
        return tuple(run for run in self.runs if run.judgement == "accepted")

    @property
    def rejected(self) -> tuple[Run, ...]:
        """The runs whose results disagree with the majority."""
        return tuple(run for run in self.runs if run.judgement == "rejected")

    @property
    def exit_code(self) -> int | None:
        """The program's own exit code; None without an accepted run."""
        return self.accepted[0].exit_code if self.accepted else None

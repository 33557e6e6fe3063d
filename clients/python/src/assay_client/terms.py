"""The terms of a job, and the request that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Terms:
    """How a job runs and how its runs are compared. Others than these are as the node proposes them."""

    #: How many nodes run it
    concurrency: int = 3
    #: How many of them must agree
    confidence: int = 2
    #: How runs with different outputs are compared: ball, hash, kmeans
    method: str = "ball"
    #: Whether a wrong output is slashed
    deterministic: bool = False
    #: Seconds of one run
    timeout: int = 1800
    #: The most that a seat is paid, in the smallest unit of the deployment's asset
    price: int = 0
    #: Limit of the container's memory, in bytes; None for the node's proposal
    memory: int | None = None
    #: The same for CPUs, such as 1.5
    cpus: float | None = None
    #: Whether randomness and wall time come from the job's seed
    seeded: bool = False
    #: Whether anybody may fetch the result
    public_result: bool = False
    #: Variables of the environment. They are public
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Absolute directory to start in
    working_directory: str | None = None
    #: Other terms of the deal, by the names that the API has for them
    deal: Mapping[str, Any] = field(default_factory=dict)

    def query(self) -> dict[str, str]:
        """What the node proposes the rest for."""
        return {"timeout": str(self.timeout), "price": str(self.price)}

    def request(self, image: str, command: Sequence[str], proposed: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a submission."""
        if isinstance(command, str):
            raise TypeError("a command is a sequence of words, such as ['echo', 'hello']")
        resources = dict(proposed["resources"])
        if self.memory is not None:
            resources["memory_bytes"] = self.memory
        if self.cpus is not None:
            resources["cpu_millis"] = round(self.cpus * 1000)
        own = {
            "concurrency": self.concurrency,
            "confidence": self.confidence,
            "method": self.method,
            "deterministic": self.deterministic,
        }
        return {
            "image": image,
            "command": list(command),
            "environment": dict(self.environment),
            "working_directory": self.working_directory,
            "resources": resources,
            "seeded": self.seeded,
            "public_result": self.public_result,
            "deal": {**proposed["deal"], **own, **self.deal},
        }

"""What can go wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Result


class AssayError(Exception):
    """Any error of this client. `hint` says what to do about it, where there is something."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ConnectionLost(AssayError):
    """The node does not answer, or cannot be found."""


class Refused(AssayError):
    """The node refused a request. `code` is for programs, such as "invalid_deal"."""

    def __init__(self, code: str, message: str, hint: str | None) -> None:
        super().__init__(message, hint)
        self.code = code


class JobFailed(AssayError):
    """A job ended without a result to keep. `result` has its runs, and why each stands as it does."""

    def __init__(self, result: Result) -> None:
        why = f": {result.failure}" if result.failure else ""
        super().__init__(f"job {result.job} {'is' if result.is_open else 'ended'} {result.state}{why}")
        self.result = result

"""What both clients share: where the node is, its token, its errors and its archives."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from .errors import AssayError, ConnectionLost, Refused

DEFAULT_API = "http://127.0.0.1:7421"

#: Seconds of silence in an answer. Streams send something every ten seconds.
SILENCE = 60.0
#: How long a node may be away, or read its logs.
PATIENCE = 60.0
PAUSE = 0.5

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


def away(api: str, error: httpx.TransportError) -> ConnectionLost:
    return ConnectionLost(f"the node at {api} does not answer: {error}", "is it running? assay doctor tells more")


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


def group_variables(group: str, index: int) -> dict[str, str]:
    """The variables by which a job belongs to a group."""
    return {"SWEEP_GROUP": group, "SWEEP_INDEX": str(index)}

"""
Which servers live, and whose calls died with theirs. Knows no database.

A server holds a lock on a file of its own while it lives; the system lets go of it however the process ends. So
whether a call's server still lives is asked of the system and not guessed from process numbers.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from offhook.evidence.files import read
from offhook.evidence.outbox import is_written
from offhook.evidence.record import Recording, RecordingError
from offhook.store.lost_jobs import lost_jobs, tell_of_lost

__all__ = ["ServerLock", "close_dead", "host", "lives", "open_records", "tell_lost_jobs"]

MAY_MISS_MS = 1000  # the journal writes every half second; what a call said since is lost with its process
# A record that names no server is of an older version or of another recorder: open as long as it grows.
UNNAMED_QUIET_S = 600.0
_TAIL = 64 * 1024
_WHOLE = re.compile(rb'^\{"k":"(?:end|verdict|closed)"', re.MULTILINE)
_encode = msgspec.json.Encoder().encode


def host() -> str:
    """What this machine's servers' ids begin with."""
    return socket.gethostname()[:40]


class ServerLock:
    """This process's proof that it lives. ``facts`` is what every record says of it."""

    def __init__(self, directory: Path) -> None:
        self.id = f"{host()}-{uuid.uuid4().hex[:12]}"
        self.facts = {"id": self.id, "host": socket.gethostname(), "pid": os.getpid(), "boot_id": _boot_id()}
        self._path = _lock_path(directory, self.id)
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Raises OSError where the directory cannot be written; then there are no records either."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb")
        _lock(self._file)
        self._file.write(_encode(self.facts) + b"\n")
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _lock_path(directory: Path, server: str) -> Path:
    return directory / f".server-{re.sub(r'[^A-Za-z0-9.-]', '_', server)}.lock"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return ""


def _lock(file: IO[bytes]) -> None:
    """Raises OSError where another process has it."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lives(directory: Path, server: str) -> bool:
    """Whether the process that made this id still runs."""
    path = _lock_path(directory, server)
    if _is_held(path):
        return True
    path.unlink(missing_ok=True)  # nobody's any more
    return False


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb+") as file:
            _lock(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def close_dead(directory: Path, own: str) -> list[tuple[Path, str]]:
    """
    Write the last line of records whose server died in the call; each with what it says.

    Two servers that start at once do it one after the other.
    """
    closed: list[tuple[Path, str]] = []
    with _alone(directory):
        alive: dict[str, bool] = {own: True}
        for path in open_records(directory):
            server = _server_of(path)
            if server not in alive and server:
                alive[server] = lives(directory, server)
            quiet_s = time.time() - path.stat().st_mtime
            unsure = not server and quiet_s < UNNAMED_QUIET_S
            if alive.get(server, False) or unsure or is_written(path):
                continue
            if why := _close(path, own):
                closed.append((path, why))
    return closed


def tell_lost_jobs(directory: Path) -> list[Path]:
    """
    Say in whole records which jobs died with their server; to be called before anything asks whether that one lives.

    A server's lock file is left behind only when it died, so that only its own calls are looked at.
    """
    with _alone(directory):
        return _tell_lost_jobs(directory)


def _tell_lost_jobs(directory: Path) -> list[Path]:
    dead: dict[str, float] = {}
    for lock in directory.glob(".server-*.lock"):
        try:
            facts, began = msgspec.json.decode(lock.read_bytes()), lock.stat().st_mtime
        except (OSError, msgspec.DecodeError):
            continue  # gone meanwhile, or one that has just begun
        server = str(facts.get("id") or "") if isinstance(facts, dict) else ""
        if server and not _is_held(lock):
            dead[server] = began
    if not dead:
        return []
    since = min(dead.values()) - 1.0
    told = tell_of_lost(
        path for path in sorted(directory.glob("*.jsonl")) if path.stat().st_mtime >= since and _server_of(path) in dead
    )
    for server in dead:
        _lock_path(directory, server).unlink(missing_ok=True)  # only now: what fails is tried again
    return told


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".recover.lock").open("wb") as file:
        for _ in range(50):
            try:
                _lock(file)
                break
            except OSError:
                time.sleep(0.1)
        yield


def open_records(directory: Path) -> list[Path]:
    """Records without an end: of calls that run, and of calls whose process died."""
    found = []
    for path in sorted(directory.glob("*.jsonl")):
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL))
                whole = _WHOLE.search(file.read()) is not None
            call = None if whole else read(path)
        except (FileNotFoundError, RecordingError):
            continue
        if call is not None and call.end is None and call.closed is None:
            found.append(path)
    return found


def _server_of(path: Path) -> str:
    with path.open("rb") as file:
        first = file.readline(_TAIL * 4)
    try:
        begin = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    boot = begin.get("boot") if isinstance(begin, dict) else None
    server = boot.get("server") if isinstance(boot, dict) else None
    return str(server.get("id") or "") if isinstance(server, dict) else ""


def _close(path: Path, own: str) -> str:
    """Say in a record that its process died; "" where it is no record or has an end after all."""
    raw = path.read_bytes()
    try:
        call = Recording.parse(raw.split(b"\n"))
    except RecordingError:
        return ""
    if call.end is not None or call.closed is not None:
        return ""
    stat = path.stat()
    last = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stat.st_mtime))
    cut = raw.rpartition(b"\n")[0]  # a line that was being written is half a line
    why = f"server died: last heard of at {call.last_ms / 1000:.1f} s ({last}); the last second may be missing"
    line = {
        "k": "closed", "t": call.last_ms, "why": why, "last_written": last, "may_miss_ms": MAY_MISS_MS,
        "cut_bytes": len(raw) - len(cut) - 1 if raw else 0,
        "found": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "by": own,
    }  # fmt: skip
    with path.open("rb+") as file:
        file.truncate(len(cut) + 1)
        file.seek(0, os.SEEK_END)
        file.write(b"".join(_encode(each) + b"\n" for each in (*lost_jobs(call), line)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # it is as old as the call, for whoever lists by time
    return why

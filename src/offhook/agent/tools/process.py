"""
A program in a group of its own, that can be ended and proven ended.

Ended means: no process of its group, of its session, or that carries its mark in the environment is left. The mark
finds grandchildren that left the group. What is not found: a process that left the session and wiped its environment;
and where there is no /proc, any that left the group. Knows no tool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

__all__ = ["MARK", "Ended", "Program"]

MARK = "OFFHOOK_PROCESS"
OUT_BYTES = 256 * 1024
ERR_BYTES = 8 * 1024  # the last ones: where a program says why
GRACE_S = 5.0
KILL_S = 3.0
_LOOK_S = 0.02
_PROC = Path("/proc")
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


class Ended(Struct, frozen=True):
    """What was proven of a program's end."""

    proven: bool
    left: tuple[int, ...]
    signals: str  # "", "TERM", or "TERM KILL"
    ms: int
    how: str


class Program:
    """
    One run of a program; ``stdout`` and ``stderr`` are what was kept of them. Belongs to one loop.

    Raises OSError from ``start`` when there is no such program.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> None:
        self.argv = tuple(argv)
        self.mark = uuid.uuid4().hex
        inherited = {n: v for n, v in os.environ.items() if n in _INHERITED or n.startswith(("LC_", "XDG_"))}
        self._env = {**inherited, **env, MARK: self.mark}
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._out = bytearray()
        self._err = bytearray()
        self.out_bytes = 0

    async def start(self, stdin: bytes | None = None) -> None:
        """Start it; without ``stdin`` it reads nothing, and cannot wait for a person to type."""
        self._process = await asyncio.create_subprocess_exec(
            *self.argv, cwd=self._cwd, env=self._env, start_new_session=True,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._readers = [asyncio.ensure_future(self._read_out()), asyncio.ensure_future(self._read_err())]
        if stdin is not None:
            self._readers.append(asyncio.ensure_future(self._write(stdin)))

    async def _write(self, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
            self._process.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not want to know

    async def _read_out(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while chunk := await self._process.stdout.read(65536):
            self.out_bytes += len(chunk)
            self._out += chunk[: max(0, OUT_BYTES - len(self._out))]

    async def _read_err(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        while chunk := await self._process.stderr.read(65536):
            self._err = (self._err + chunk)[-ERR_BYTES:]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._out.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self._err.decode("utf-8", "replace")

    async def wait(self) -> int:
        """Its exit status. What it wrote is read to the end, unless a child of it keeps the pipes open."""
        assert self._process is not None
        status = await _status(self._process)
        await asyncio.wait(self._readers, timeout=0.5)
        return status

    async def end(self, grace_s: float = GRACE_S) -> Ended:
        """End it and all it started: TERM, after ``grace_s`` KILL; then look what is left."""
        began = time.monotonic()
        signals: list[str] = []
        for number, name, wait_s in ((signal.SIGTERM, "TERM", grace_s), (signal.SIGKILL, "KILL", KILL_S)):
            left = await asyncio.to_thread(self.members)
            if not left:
                break
            signals.append(name)
            self._signal(number, left)
            until = time.monotonic() + wait_s
            while left and time.monotonic() < until:
                await asyncio.sleep(_LOOK_S)
                left = await asyncio.to_thread(self.members)
        left = await asyncio.to_thread(self.members)
        for reader in self._readers:
            reader.cancel()
        if self._process is not None and not left:
            await _status(self._process)
        ms = round((time.monotonic() - began) * 1000)
        return Ended(not left, tuple(left), " ".join(signals), ms, self._how(left))

    def _signal(self, number: signal.Signals, pids: Sequence[int]) -> None:
        """To the group at once, and to whoever left it."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty; the others follow
        for pid in pids:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                pass  # gone meanwhile, or not ours: the look that follows tells

    def _how(self, left: Sequence[int]) -> str:
        if left:
            return f"still there: {', '.join(map(str, left))}"
        if _PROC.joinpath("self/stat").exists():
            return f"no process of group or session {self.pid} or with its mark is left"
        return f"no process of group {self.pid} is left; one that left the group cannot be seen on this system"

    def members(self) -> list[int]:
        """The living processes of this program, by group, session and mark."""
        if not _PROC.joinpath("self/stat").exists():
            return _by_ps(self.pid)
        mark = f"{MARK}={self.mark}".encode()
        entries = [entry for entry in _PROC.iterdir() if entry.name.isdigit()]
        return [int(entry.name) for entry in entries if _belongs(entry, self.pid, mark)]


async def _status(process: asyncio.subprocess.Process) -> int:
    """
    The exit status, as soon as the process is dead.

    Not ``process.wait()``: that waits for the pipes too, which a surviving child may hold open.
    """
    while process.returncode is None:  # noqa: ASYNC110 (nothing tells of the death alone)
        await asyncio.sleep(_LOOK_S)
    return process.returncode


def _belongs(entry: Path, group: int, mark: bytes) -> bool:
    try:
        state, _, pgrp, session = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return False  # gone meanwhile
    if state in "ZX":
        return False  # dead, and not yet fetched by its parent
    if group in (int(pgrp), int(session)):
        return True
    try:
        return mark in entry.joinpath("environ").read_bytes().split(b"\0")
    except OSError:
        return False  # another user's


def _by_ps(group: int) -> list[int]:
    listed = subprocess.run(["ps", "-axo", "pid=,pgid=,stat="], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and int(row[1]) == group and not row[2].startswith("Z")]

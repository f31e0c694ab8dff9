"""
A program that can be ended with all it started, and proven ended.

On Linux a guardian (``guardian.py``) stands between: no process that comes of the program can leave it, so none is left
when the kernel says that it has no child. Elsewhere, and when the guardian was killed, ended means that no process of
its group, of its session, or that carries its mark in the environment is left; what left the session and wiped its
environment is not found then, and where there is no /proc nothing that left the group is. Knows no tool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from offhook.agent.tools import guardian

__all__ = ["MARK", "Ended", "Program"]

MARK = "OFFHOOK_PROCESS"
OUT_BYTES = 256 * 1024
ERR_BYTES = 8 * 1024  # the last ones: where a program says why
GRACE_S = 5.0
KILL_S = 3.0
ANSWER_S = 2.0  # of a guardian, beyond the times it was given
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
        self._guard: _Guard | None = None
        self._pid = 0
        self._lock = asyncio.Lock()  # it is started, or ended, by one at a time
        self._ended: Ended | None = None

    async def start(self, stdin: bytes | None = None) -> None:
        """Start it; without ``stdin`` it reads nothing, and cannot wait for a person to type."""
        async with self._lock:
            if sys.platform == "linux" and sys.executable and _PROC.joinpath("self/stat").exists():
                await self._start_guarded(stdin)
            if self._process is None:
                self._process = await self._spawn(self.argv, stdin)
                self._pid = self._process.pid
        self._readers = [asyncio.ensure_future(self._read_out()), asyncio.ensure_future(self._read_err())]
        if stdin is not None:
            self._readers.append(asyncio.ensure_future(self._write(stdin)))

    async def _start_guarded(self, stdin: bytes | None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            argv = (sys.executable, "-I", "-S", guardian.__file__, str(theirs.fileno()), *self.argv)
            try:
                process = await self._spawn(argv, stdin, (theirs.fileno(),))
            except BaseException:
                writer.close()
                raise
        # from here on ``end`` ends it, also when nobody waits for the start any more
        self._process, self._guard = process, _Guard(reader, writer)
        word, number = await self._guard.begin()
        if word == "started":
            return
        self._guard.let_go()
        self._process = self._guard = None
        await _status(process)
        if word == "failed":
            raise OSError(number, os.strerror(number))

    async def _spawn(
        self, argv: Sequence[str], stdin: bytes | None, fds: Sequence[int] = ()
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv, cwd=self._cwd, env=self._env, start_new_session=True, pass_fds=fds,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

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
        """0 before there is one."""
        return self._guard.pid if self._guard is not None else self._pid

    @property
    def stdout(self) -> str:
        return self._out.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self._err.decode("utf-8", "replace")

    async def wait(self) -> int:
        """Its exit status. What it wrote is read to the end, unless a child of it keeps the pipes open."""
        assert self._process is not None
        status = await (self._guard.exit_status() if self._guard is not None else _status(self._process))
        await asyncio.wait(self._readers, timeout=0.5)
        return status

    async def end(self, grace_s: float = GRACE_S) -> Ended:
        """End it and all it started: TERM, after ``grace_s`` KILL; then look what is left."""
        async with self._lock:
            if self._process is None:
                return Ended(True, (), "", 0, "it was not started")
            if self._ended is None or not self._ended.proven:
                self._ended = await self._end(self._process, grace_s)
            return self._ended

    async def _end(self, process: asyncio.subprocess.Process, grace_s: float) -> Ended:
        began = time.monotonic()
        told = await self._guard.end(grace_s) if self._guard is not None else None
        signals, left = told or (await self._end_unguarded(grace_s) if self.pid else ("", ()))
        for reader in self._readers:
            reader.cancel()
        if not left:
            if self._guard is not None:
                self._guard.let_go()
            if told is None and process.returncode is None:
                process.kill()  # a guardian that does not answer: the program has stopped it
            await _status(process)
        return Ended(
            not left, tuple(left), signals, round((time.monotonic() - began) * 1000), self._how(left, told is not None)
        )

    async def _end_unguarded(self, grace_s: float) -> tuple[str, Sequence[int]]:
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
        return " ".join(signals), await asyncio.to_thread(self.members)

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

    def _how(self, left: Sequence[int], guarded: bool) -> str:
        if left:
            return f"still there: {', '.join(map(str, left))}"
        if not self.pid:
            return "it was not started"
        if guarded:
            return f"no process that came of {self.pid} is left"
        if self._guard is not None:
            return f"its guardian was ended; no process of group or session {self.pid} or with its mark is left"
        if _PROC.joinpath("self/stat").exists():
            return f"no process of group or session {self.pid} or with its mark is left"
        return f"no process of group {self.pid} is left; one that left the group cannot be seen on this system"

    def members(self) -> list[int]:
        """The living processes of this program."""
        if self._guard is None or self._process is None:
            return self._marked()
        guard = self._process.pid  # has the mark too
        return sorted({*guardian.descendants(guard), *self._marked()} - {guard})

    def _marked(self) -> list[int]:
        """Those of its group or session, or with its mark."""
        if not _PROC.joinpath("self/stat").exists():
            return _by_ps(self.pid)
        mark = f"{MARK}={self.mark}".encode()
        entries = [entry for entry in _PROC.iterdir() if entry.name.isdigit()]
        return [int(entry.name) for entry in entries if _belongs(entry, self.pid, mark)]


class _Guard:
    """The server's end of a guardian."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = 0  # of the program, from when it may run
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[tuple[str, int]] = loop.create_future()
        self._exited = asyncio.Event()
        self._status = -int(signal.SIGKILL)  # until it says another: who kills the guardian kills the program
        self._ended: asyncio.Future[tuple[str, list[int]]] = loop.create_future()
        self._let_run = asyncio.Event()
        self.gone = asyncio.Event()  # nobody hears us any more
        self._listening = asyncio.ensure_future(self._listen())

    async def begin(self) -> tuple[str, int]:
        """
        Let it start the program, and what became of that: started and whom, failed or cannot and why.

        A program that is there may be stopped or killed by nobody but itself: where it silenced its guardian at
        once, it counts as started, and never as one to be started again.
        """
        self._writer.write(b"go\n")
        await self._let_run.wait()
        await asyncio.wait({self._begun}, timeout=ANSWER_S)
        if self._begun.done():
            return self._begun.result()
        return "started", self.pid

    async def _listen(self) -> None:
        try:
            while line := (await self._reader.readline()).decode().split():
                self._heard(*line)
        except ConnectionResetError:
            pass  # it was killed with something of ours unread
        if not self._begun.done():
            self._begun.set_result(("started", self.pid) if self.pid else ("cannot", 0))
        self.gone.set()
        self._let_run.set()
        self._exited.set()
        if not self._ended.done():
            self._ended.cancel()

    def _heard(self, word: str, first: str, second: str = "-") -> None:
        if word == "begun":
            self.pid = int(first)
            self._let_run.set()
        elif word == "exit":
            self._status = int(first)
            self._exited.set()
        elif word == "ended":
            if not self._ended.done():
                pids = [] if second == "-" else [int(pid) for pid in second.split(",")]
                self._ended.set_result((first.replace("+", " ").strip("-"), pids))
        elif not self._begun.done():
            self._begun.set_result((word, int(first)))
            self._let_run.set()

    async def exit_status(self) -> int:
        await self._exited.wait()
        return self._status

    async def end(self, grace_s: float) -> tuple[str, list[int]] | None:
        """Signals that were sent, and who is left; None where the guardian itself is gone."""
        if self.gone.is_set():
            return None
        if self._ended.done():  # asked again, for some were left
            self._ended = asyncio.get_running_loop().create_future()
        self._writer.write(f"end {round(grace_s * 1000)}\n".encode())
        await asyncio.wait({self._ended}, timeout=grace_s + KILL_S + ANSWER_S)
        return self._ended.result() if self._ended.done() and not self._ended.cancelled() else None

    def let_go(self) -> None:
        self._writer.close()


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

"""
Starting somebody else's server, and our fake providers for it to talk to: one start, one proof that all is gone.

The command runs in a process group of its own; ``{port}`` in it, and in what it is told, stands for a free port.
Fakes are named to it by the environment variables of ENVIRONMENT. One ``Foreign`` is one pass; whoever wants more
passes starts more of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from offhook.dial.fakes import FakeWatch
from offhook.sims.provider import Answer, SimProvider
from offhook.sims.provider_dial import parse_fault
from offhook.sims.run_provider import FakeProvider, Watch
from offhook.wires._wire import clean_text

__all__ = ["ENVIRONMENT", "FAKES", "FAKE_KEYS", "Foreign", "ForeignError", "alive", "fake_environment"]

FAKES = ("openai", "xai")
LISTEN_S = 30.0
STOP_S = 5.0
LOG_LINES = 200
# Keys that the fakes take; made up, and of the shape that clients check.
FAKE_KEYS: Mapping[str, str] = {"openai": "sk-offhook-fake-0000000000000000", "xai": "xai-offhook-fake-000000000000000"}
# What a server is told, per fake: {ws} wss-like URL of the realtime endpoint, {http} its base for clients that make one
# of the other, {key} a key that it takes. The names are those that the vendors' SDKs and public servers read.
ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "openai": {
        "OPENAI_API_KEY": "{key}", "OPENAI_BASE_URL": "{http}", "OPENAI_WEBSOCKET_BASE_URL": "{wsbase}",
        "OPENAI_REALTIME_URL": "{ws}",
    },
    "xai": {"XAI_API_KEY": "{key}", "XAI_BASE_URL": "{http}", "XAI_REALTIME_URL": "{ws}"},
}  # fmt: skip


class ForeignError(Exception):
    """A server that did not start, or did not end, and what it said."""


def fake_environment(name: str, url: str) -> dict[str, str]:
    """What a server is told of one fake at ``url``."""
    base = url.removesuffix("/realtime")
    words = {"ws": url, "wsbase": base, "http": base.replace("ws", "http", 1), "key": FAKE_KEYS[name]}
    return {variable: text.format(**words) for variable, text in ENVIRONMENT[name].items()}


class Foreign:
    """
    ``async with Foreign(command, fakes=("openai",)) as foreign``: fakes answer, the command listens on ``port``.

    ``environment`` comes last, and None in it takes a variable away. ``answers`` is what each fake says, in turn;
    ``faults`` are dialled at them (``xai:no-greeting`` at one of them). ``sessions`` shows what reached a fake, and
    ``watch`` gives each fake somebody who looks on. Leaving proves that the process group is gone. Raises ForeignError.
    """

    def __init__(
        self,
        command: str,
        *,
        fakes: Sequence[str] = (),
        environment: Mapping[str, str | None] | None = None,
        answers: Sequence[Answer] = (),
        greeting: Answer | None = None,
        faults: Sequence[str] = (),
        listen_s: float = LISTEN_S,
        watch: Callable[[str], Watch] | None = None,
    ) -> None:
        self.port = _free_port()
        self.log: list[str] = []
        self.fakes: dict[str, FakeProvider] = {}
        self.watches: dict[str, FakeWatch] = {}
        self._command = command
        self._names = tuple(fakes)
        self._environment = dict(environment or {})
        self._knobs: dict[str, Any] = {"script": tuple(answers), **({"greeting": greeting} if greeting else {})}
        self._faults = tuple(faults)
        self._listen_s = listen_s
        self._watch = watch
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stack = contextlib.AsyncExitStack()

    def spoken_ms(self) -> float | None:
        """How much the fakes have said in all; None without fakes."""
        return sum(watch.seen.spoken_ms for watch in self.watches.values()) if self.watches else None

    def sessions(self, name: str) -> list[SimProvider]:
        """What was said with one fake, a session a connection."""
        return self.fakes[name].sessions if name in self.fakes else []

    async def __aenter__(self) -> Foreign:
        try:
            for name in self._names:
                keys, faults = frozenset({FAKE_KEYS[name]}), self._faults_of(name)
                watch = self.watches[name] = FakeWatch(self._watch(name) if self._watch is not None else None)
                made = FakeProvider(name, keys=keys, faults=faults, watch=watch, **self._knobs)
                self.fakes[name] = await self._stack.enter_async_context(made)
            await self._start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._leave()

    def _faults_of(self, name: str) -> tuple[str, ...]:
        given = [
            text.removeprefix(f"{name}:") for text in self._faults if ":" not in text or text.startswith(f"{name}:")
        ]
        for text in given:
            try:
                parse_fault(text, name)
            except ValueError as error:
                raise ForeignError(f"--provider-fault: {error}") from None
        return tuple(given)

    async def _start(self) -> None:
        environment: dict[str, str | None] = {**os.environ, "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        for name, fake in self.fakes.items():
            environment |= fake_environment(name, fake.url)
        port = str(self.port)
        environment |= {name: value and value.replace("{port}", port) for name, value in self._environment.items()}
        words = [word.replace("{port}", port) for word in shlex.split(self._command)]
        if not words:
            raise ForeignError("--server: no command")
        self._process = self._spawn(words, {name: text for name, text in environment.items() if text is not None})
        self._reader = threading.Thread(target=self._read, name="the server's log", daemon=True)
        self._reader.start()
        await self._listening()

    def _spawn(self, words: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Not asyncio's: one that is cancelled while it starts a process may wait for it for ever (CPython 3.11)."""
        try:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ForeignError(f"--server: {words[0]}: {error.strerror}") from None

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(clean_text(line.decode(errors="replace").rstrip())[:400])
            del self.log[:-LOG_LINES]

    async def _listening(self) -> None:
        """Until the port takes a connection."""
        assert self._process is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._listen_s
        while loop.time() < deadline:
            if self._process.poll() is not None:
                await asyncio.sleep(0.1)  # its last words
                said = " | ".join(self.log[-5:]) or "nothing"
                code = self._process.returncode
                raise ForeignError(f"--server: ended with {code} before it listened; it said: {said}")
            if await _listens(self.port):
                return
            await asyncio.sleep(0.05)
        said = " | ".join(self.log[-5:]) or "nothing"
        hint = "" if "{port}" in self._command else " (put {port} where the command wants its port, or read $PORT)"
        where = f"127.0.0.1:{self.port} after {self._listen_s:g} s{hint}"
        raise ForeignError(f"--server: nothing listens on {where}; it said: {said}")

    async def _leave(self) -> None:
        try:
            if self._process is not None:
                await self._stop(self._process)
        finally:
            await self._stack.aclose()

    async def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the whole group, then SIGKILL; nothing of it is left."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _signal(process.pid, number):
                break
            deadline = asyncio.get_running_loop().time() + STOP_S
            while asyncio.get_running_loop().time() < deadline:
                process.poll()
                if not alive(process.pid):
                    break
                await asyncio.sleep(0.02)
        process.wait(STOP_S)
        if self._reader is not None:
            self._reader.join(1.0)
        if process.stdout is not None and (self._reader is None or not self._reader.is_alive()):
            process.stdout.close()
        if alive(process.pid):
            raise ForeignError(f"--server: processes of group {process.pid} are still there after SIGKILL")


async def _listens(port: int) -> bool:
    """Whether something listens there; told without a connection where the system can, for that would be logged."""
    tables = [path for name in ("tcp", "tcp6") if (path := Path("/proc/net") / name).exists()]
    if tables:
        rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
        return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _signal(group: int, number: int) -> bool:
    """Whether there was a process in the group to send it to."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group whose last process is a zombie
        return False
    return True


def alive(group: int) -> bool:
    """Whether a process of the group still runs; one that only waits to be reaped by somebody else does not."""
    if not _signal(group, 0):
        return False
    try:
        stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat")]
    except OSError:  # one ended while we looked: look again
        return True
    if not stats:
        return True  # no /proc on this system: the signal's word counts
    fields = [text.rpartition(")")[2].split() for text in stats]
    return any(int(field[2]) == group and field[0] != "Z" for field in fields)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

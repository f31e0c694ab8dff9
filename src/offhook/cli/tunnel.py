"""
A tunnel to this machine, by a binary on PATH: started, its public address read from what it says, watched, stopped.

It belongs to the server that started it and ends with it. That it died is told at once, for from then on nobody can
call; running calls go on as long as their sockets do.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import shutil
import signal
import sys
from collections.abc import Callable

from msgspec import Struct

__all__ = ["KINDS", "Tunnel", "TunnelError"]

READY_S = 30.0  # the slowest that was seen is 8 s; a first run may log in
KEPT_LINES = 20
STOP_S = 3.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Kind(Struct, frozen=True):
    """How one tunnel program is run and what its address looks like."""

    name: str
    arguments: tuple[str, ...]  # {port} is filled in
    address: re.Pattern[str]
    lasts: str  # whether the address is the same next time


# Arguments and output as each program's own documentation shows them (read 2026-11-25). cloudflared without a tunnel
# names the address that it asked: Post "https://api.trycloudflare.com/tunnel" (people's logs, read 2026-11-26).
KINDS = {
    kind.name: kind
    for kind in (
        Kind("cloudflared", ("tunnel", "--no-autoupdate", "--url", "http://127.0.0.1:{port}"),
             re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com"), "another one each time"),
        Kind("ngrok", ("http", "{port}", "--log", "stdout", "--log-format", "logfmt"),
             re.compile(r"started tunnel.*\burl=(https://[^\s\"]+)"),
             "another one each time, unless the account has a domain"),
        Kind("tailscale", ("funnel", "{port}"),
             re.compile(r"https://[a-z0-9.-]+\.ts\.net"), "the same each time"),
    )
}  # fmt: skip


def _with_us() -> Callable[[], object] | None:
    """What the program is to do before it begins: end when this process does, however that dies (Linux, prctl(2))."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec nothing may be loaded
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class TunnelError(Exception):
    """No tunnel; the text says why and what to do."""


class Tunnel:
    """``await start()`` gives the public address; ``on_death(why)`` is called if it ends before ``stop``."""

    def __init__(self, name: str, port: int, on_death: Callable[[str], None]) -> None:
        self.name = name
        self.url = ""
        self._port = port
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._lines: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @staticmethod
    def choose(wanted: str) -> str:
        """The tunnel program to use: ``wanted``, or with ``auto`` the first on PATH. Raises TunnelError."""
        names = list(KINDS) if wanted == "auto" else [wanted]
        if wanted not in ("auto", *KINDS):
            raise TunnelError(f"--tunnel: got {wanted!r}, wanted auto, {', '.join(KINDS)}")
        found = next((name for name in names if shutil.which(name)), None)
        if found is None:
            raise TunnelError(f"--tunnel: none of {', '.join(names)} is on PATH; install one, or set server.public_url")
        return found

    async def start(self) -> str:
        """Run it until it names its address. Raises TunnelError."""
        kind = KINDS[self.name]
        path = shutil.which(self.name)
        if path is None:
            raise TunnelError(f"--tunnel: {self.name} is not on PATH")
        arguments = [argument.format(port=self._port) for argument in kind.arguments]
        self._process = await asyncio.create_subprocess_exec(
            path, *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, preexec_fn=_with_us(),
        )  # fmt: skip
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read(kind, told)), asyncio.create_task(self._watch(told))]
        try:
            self.url = await asyncio.wait_for(told, READY_S)
        except TimeoutError:
            await self.stop()
            raise TunnelError(f"{self.name} named no address within {READY_S:.0f} s{self._said()}") from None
        except TunnelError:
            await self.stop()
            raise
        return self.url

    async def _read(self, kind: Kind, told: asyncio.Future[str]) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode("utf-8", "replace").strip()
            self._lines = [*self._lines[1 - KEPT_LINES :], line]
            found = kind.address.search(line)
            if found is not None and not told.done():
                told.set_result(found[found.lastindex or 0].rstrip("/"))

    async def _watch(self, told: asyncio.Future[str]) -> None:
        assert self._process is not None
        code = await self._process.wait()
        await asyncio.sleep(0)  # what it said last is read first
        why = f"{self.name} ended with exit code {code}{self._said()}"
        if not told.done():
            told.set_exception(TunnelError(why))
        elif not self._stopping:
            self._on_death(why)

    def _said(self) -> str:
        last = next((line for line in reversed(self._lines) if line), "")
        return f": {last[:200]}" if last else ""

    async def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

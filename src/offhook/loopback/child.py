"""
The receptionist as a child process: started when it is needed, gone when its parent is. Knows no wire.
"""

from __future__ import annotations

import asyncio
import sys

__all__ = ["Receptionist", "ReceptionistError"]

START_S = 20.0  # loading the models takes half a second; a cold disk may take long


class ReceptionistError(Exception):
    """The process did not start."""


class Receptionist:
    """The loopback provider's process."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it; its endpoint. Raises ReceptionistError."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook.loopback",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server, whose last calls still need it; it ends with its stdin
        )  # fmt: skip
        assert self._process.stdout is not None
        port = (await asyncio.wait_for(self._process.stdout.readline(), START_S)).strip()
        if not port:
            raise ReceptionistError("the receptionist's process ended at once; is pocketsphinx installed?")
        return f"ws://127.0.0.1:{int(port)}/v1/realtime"

    async def stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 2)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

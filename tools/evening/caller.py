"""What a caller does in a script: speak, listen, press, cut in, leave."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from town import Part

from offhook.loopback.lines import audio
from offhook.sims.run_carrier import PhoneCall

__all__ = ["Caller", "Left"]

QUIET_S = 0.3
PATIENCE_S = 25.0


class Left(Exception):
    """The line is gone before the script was done."""


class Caller:
    """One call's caller. Each method waits until what it says is done."""

    def __init__(self, call: PhoneCall, part: Part, house: Any) -> None:
        self.call = call
        self.part = part
        self._house = house
        self.heard_before = 0

    def _on_the_line(self) -> None:
        """A transferred caller's first stream has ended, and the call goes on on another."""
        if not any(stream.open for stream in self.call.streams):
            raise Left

    async def _look(self) -> None:
        self._on_the_line()
        await asyncio.sleep(0.02)

    def _heard(self) -> int:
        """Bytes of voice that were played, on all streams of the call."""
        return sum(len(segment.audio) for stream in self.call.streams for segment in stream.carrier.phone.heard)

    async def listen(self, seconds: float = 0.0) -> None:
        """Until something new was heard and is over; or ``seconds`` of it, while it goes on."""
        quiet, began = 0.0, time.monotonic()
        while quiet < QUIET_S:
            await self._look()
            new = self._heard() - self.heard_before
            if seconds and new >= seconds * 8000:
                return
            quiet = quiet + 0.02 if new > 0 and not self.call.phone.unplayed_ms else 0.0
            if time.monotonic() - began > PATIENCE_S:
                self.part.seen.trouble = f"nothing was heard to its end within {PATIENCE_S:g} s"
                raise Left
        self.heard_before = self._heard()

    def forget(self) -> None:
        """What was heard until now is not waited for."""
        self.heard_before = self._heard()

    async def say(self, line: str = "caller_hours") -> None:
        self._on_the_line()
        self.call.say(audio(line))
        while self.call.speaking:
            await self._look()

    async def cut_in(self, after_s: float, line: str = "caller_price") -> None:
        """Speak into an answer; what was heard of that answer until it stopped is kept."""
        await self.listen(after_s)
        before = self.heard_before
        await self.say(line)
        self.part.seen.cut_heard_ms = (self._heard() - before) / 8
        self.heard_before = self._heard()

    async def press(self, keys: str) -> None:
        for key in keys:
            self._on_the_line()
            self.call.press(key)
            await asyncio.sleep(0.25)

    async def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self._look()

    async def ask(self, what: str, **data: object) -> None:
        """Somebody asks something of this call by the API, and waits for how it went."""
        self._on_the_line()
        answer = await self._house.ask("POST", f"/calls/{self.call.call_sid}/{what}", data)
        self.part.seen.outcomes.append(f"{what} {answer.get('outcome', answer)}")

    def leave(self) -> None:
        self.call.hang_up()

    async def stay(self, seconds: float = 40.0) -> None:
        """Until the server, or whoever was called, ends it."""
        try:
            await asyncio.wait_for(self.call.ended(), seconds)
        except TimeoutError:
            self.part.seen.trouble = f"nobody ended the call within {seconds:g} s"

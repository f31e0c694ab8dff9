"""
A simulated phone line with the faults of ``carrier_faults.py``, in virtual time: ``line.py``'s carrier says and plays
everything once the stream is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offhook.sims.carrier_faults import parse_fault
from offhook.sims.line import Binary, Message, SimCarrier
from offhook.sims.twiml import Verb
from offhook.sims.virtual import By, World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_http import Server
from offhook.sims.virtual_loop import Plan

__all__ = ["FaultyLine"]


class FaultyLine(Line):
    """``faults`` are names as ``offhook dial --fault`` takes them; of those that concern stream, audio and end."""

    def __init__(self, world: World, server: Server, *args: Any, faults: Sequence[str], **options: Any) -> None:
        super().__init__(world, server, *args, **options)
        self._faults = [parse_fault(name) for name in faults]
        self.carrier: SimCarrier | None = None
        self._due: Plan | None = None

    @property
    def speaking(self) -> bool:
        return self.carrier is not None and self.carrier.speaking

    def say(self, pcmu: bytes) -> None:
        if self.carrier is not None:
            self.carrier.say(pcmu)

    def press(self, digit: str) -> None:
        if self.carrier is not None:
            self._leave(self.carrier.press(digit, self.world.now()))

    def hang_up(self) -> None:
        if self.carrier is None or self.end is None:
            super().hang_up()
            return
        self.left = True
        self._leave(self.carrier.hang_up(self.world.now()))

    def _greet(self, verb: Verb) -> None:
        assert self.phone is not None
        self.carrier = SimCarrier(self.phone.peer, faults=self._faults, seed=self.world.random.randrange(1000))
        self.phone = self.carrier.phone
        self.carrier.begin_with(verb.parameters)
        self._leave(self.carrier.opened(self.world.now()))
        for seconds, fn in self._plans:
            self.world.after(seconds, fn)

    def _leave(self, messages: Sequence[Message]) -> None:
        """What leaves now, and when the next does."""
        for message in messages:
            if self.end is None:
                return
            if isinstance(message, bytes):
                self.end.send(message)
            elif isinstance(message, Binary):
                self.end.send(message.data, True)
            else:
                assert self.carrier is not None
                self.left = self.left or self.carrier.hung_up
                if message.code is None:
                    self.end.abort(1006, "")
                else:
                    self.end.close(message.code, message.reason)
        self._plan()

    def _plan(self) -> None:
        assert self.carrier is not None
        if self._due is not None:
            self._due.cancel()
            self._due = None
        now = self.world.now()
        if self.end is None:
            return
        rate = self.carrier.reads_bytes_s(now)
        if rate == 0:
            self.end.stop_reading()
        elif rate is not None:
            self.end.read_slowly(rate)
        due = self.carrier.deadline()
        if due is not None:
            self._due = self.world.call_at(max(due, now), self._tick)

    def _tick(self) -> None:
        assert self.carrier is not None
        self._due = None
        self._leave(self.carrier.tick(self.world.now()))

    def _received(self, data: bytes, binary: bool) -> None:
        assert self.carrier is not None
        self._leave(self.carrier.receive(data, self.world.now(), binary=binary))
        if self.observer is not None:
            self.observer.to_carrier(data, binary, self.world.now())

    def _stream_closed(self, code: int | None, reason: str, by: By) -> None:
        if self.carrier is not None:
            self.left = self.left or self.carrier.ended
            self.carrier.closed(self.world.now())
        super()._stream_closed(code, reason, by)

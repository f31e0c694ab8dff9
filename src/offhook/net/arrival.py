"""
A carrier's socket from its upgrade until its ``start`` says which call it belongs to.

Bounded in time and in messages; what never starts is closed by name. Knows no call: whoever keeps the door does.
"""

from __future__ import annotations

import logging
from typing import Literal, Protocol

from offhook import vocab as v
from offhook.net.clock import Clock, Handle
from offhook.net.metrics import Metrics
from offhook.net.parties import CarrierLeg
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Socket

__all__ = ["Arrival", "Door"]

log = logging.getLogger("offhook")

MAX_BACKLOG = 16  # a carrier sends connected and start; anything that sends more is none


class Door(Protocol):
    """Who decides about arrivals."""

    metrics: Metrics

    @property
    def clock(self) -> Clock: ...
    @property
    def start_timeout_s(self) -> float: ...
    def start_stream(self, stream: Arrival, event: v.StreamStarted) -> str | None:
        """The call takes the stream over: None; or the reason why none does."""
        ...

    def forget_stream(self, stream: Arrival) -> None: ...
    def refused_stream(self, stream: Arrival, why: str) -> None: ...


class Arrival:
    """A carrier socket until its ``start`` says which call it belongs to."""

    def __init__(self, door: Door, leg: CarrierLeg) -> None:
        self.leg = leg
        self.socket: Socket | None = None
        self.backlog: list[tuple[bytes, float, v.Event]] = []
        self.asked: tuple[UpgradeRequest, float] | None = None
        self.call_id = ""  # the call that start named
        self._door = door
        self._timer: Handle | None = None

    def opened(self, socket: Socket) -> None:
        self.socket = socket
        clock = self._door.clock
        self._timer = clock.call_at(clock.now() + self._door.start_timeout_s, lambda: self.give_up("no start in time"))

    def text(self, data: bytes) -> None:
        now = self._door.clock.now()
        event = self.leg.receive(data, now)
        self.backlog.append((data, now, event))
        if type(event) is v.StreamStarted:
            self.call_id = event.call_id
            refused = self._door.start_stream(self, event)
            if refused is not None:
                self.give_up(refused)
                return
            self._settle()
        elif len(self.backlog) > MAX_BACKLOG:
            self.give_up("messages but no start")

    def binary(self, data: bytes) -> None:
        self.give_up("binary before start")

    def give_up(self, why: str) -> None:
        self._settle()
        log.warning("stream refused", extra={"why": why})
        self._door.metrics.refused("stream")
        self._door.refused_stream(self, why)
        if self.socket is not None:
            self.socket.close(1008, why)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._settle()

    def paused(self, n_bytes: int) -> None:
        """Never called: nothing is written before the call adopts the stream."""

    def resumed(self) -> None:
        """Never called, for the same reason."""

    def _settle(self) -> None:
        self._door.forget_stream(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""
The session of an agent that is to take over a call: opened beside the one that runs, until ``Call.swap`` puts it in
its place. What it says and is sent before that is on record as ``next.message``; it is no part of the talk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from offhook import vocab as v
from offhook.net.answerer import Answerer
from offhook.net.sockets import Socket
from offhook.wires._wire import ConnectRequest, ProviderLeg

if TYPE_CHECKING:
    from offhook.net.call import Call

__all__ = ["Left", "Next"]


class Next:
    """A listener of the next session's socket; what it hears goes to the bridge as ``FromNext``."""

    def __init__(self, call: Call, who: Answerer, leg: ProviderLeg, request: ConnectRequest) -> None:
        self.who = who
        self.leg = leg
        self.connect_request = request
        self.socket: Socket | None = None
        self._call = call

    def opened(self, socket: Socket) -> None:
        if self._call.next is not self:  # it was given up while it was dialled
            socket.close(1000, "")
            return
        self.socket = socket
        self._call.feed(v.FromNext(v.ProviderOpened()))

    def text(self, data: bytes) -> None:
        call = self._call
        if call.next is not self:
            return
        now = call.clock.now()
        event = self.leg.receive(data, now)
        call.journal.note("next.message", now, dir="from", m=dict(self.leg.redact(data)))
        self.leg.violations.clear()
        call.feed(v.FromNext(event))

    def binary(self, data: bytes) -> None:
        self._failed("it sends binary messages")

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._failed(f"its session was closed: {code or 'no close frame'} {reason[:60]}".strip())

    def paused(self, n_bytes: int) -> None:
        """Its settings are all that is written before it takes over."""

    def resumed(self) -> None:
        """For the same reason nothing."""

    def _failed(self, why: str) -> None:
        if self._call.next is self:
            self._call.feed(v.NextFailed(why))

    def send(self, command: v.Command, now: float) -> None:
        if self.socket is None:
            return
        for data in self.leg.send(command):
            self._call.journal.note("next.message", now, dir="to", m=dict(self.leg.redact(data)))
            self.socket.send(data)

    def drop(self) -> None:
        if self.socket is not None:
            self.socket.close(1000, "")


class Left:
    """The listener of a session that has been replaced: nobody cares what it still says."""

    def opened(self, socket: Socket) -> None: ...
    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...
    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None: ...
    def paused(self, n_bytes: int) -> None: ...
    def resumed(self) -> None: ...

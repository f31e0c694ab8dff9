"""
The stream of a check: what the caller's side sends comes straight back, and nobody else is asked.

It proves the carrier's boundary (signature, proxy, upgrade, start, frames both ways) without a provider, a record or
a bill. Only a webhook that was signed and says that it is a check gets the token for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from offhook import vocab as v
from offhook.net.clock import Clock, Handle
from offhook.net.parties import CarrierLeg
from offhook.net.sockets import Socket

__all__ = ["CHECK_FIELD", "MAX_S", "EchoStream", "Echoes"]

# A signed webhook with this field is a check: it gets a document and an echo, but no call and no provider.
CHECK_FIELD = "OffhookCheck"
MAX_CHECKS = 8

MAX_S = 120.0  # longer than any idle time a check waits for


class EchoStream:
    """A started stream that plays its caller back; ends with ``stop``, or after ``MAX_S``."""

    def __init__(self, leg: CarrierLeg, socket: Socket, clock: Clock, over: Callable[[], object]) -> None:
        self._leg = leg
        self._socket = socket
        self._clock = clock
        self._over = over
        self._timer: Handle | None = clock.call_at(clock.now() + MAX_S, lambda: self._socket.close(1000, "check over"))

    def opened(self, socket: Socket) -> None:
        """Never called: the socket was open before."""

    def text(self, data: bytes) -> None:
        event = self._leg.receive(data, self._clock.now())
        self._leg.violations.clear()  # the checker judges; what it sends wrongly on purpose is no news here
        if type(event) is v.CallerAudio:
            self._send(v.PlayAudio(event.payload, event.n_bytes))
        elif type(event) is v.KeyPressed:
            self._send(v.SetMark(f"key {event.digit}"))
        elif type(event) is v.StreamStopped:
            self._socket.close(1000, "")

    def _send(self, command: v.Command) -> None:
        for message in self._leg.send(command):
            self._socket.send(message)

    def binary(self, data: bytes) -> None:
        self._leg.receive(data, self._clock.now(), binary=True)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._over()

    def paused(self, n_bytes: int) -> None:
        """A check that does not read has only itself to blame; the socket's own limit ends it."""

    def resumed(self) -> None:
        """See ``paused``."""


class Echoes:
    """The checks that were answered and whose stream may come, or runs; a few at a time."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # call sid -> until when its stream may come

    def expect(self, call_sid: str, now: float, until: float) -> bool:
        """Let the stream of this call be an echo; False where too many checks are under way."""
        for old in [sid for sid, end in self._until.items() if end < now]:
            del self._until[old]
        if len(self._until) >= MAX_CHECKS:
            return False
        self._until[call_sid] = until
        return True

    def take(self, call_sid: str, leg: CarrierLeg, socket: Socket, clock: Clock) -> bool:
        """Let a started stream echo, if it is a check's."""
        if call_sid not in self._until:
            return False
        socket.hand_to(EchoStream(leg, socket, clock, lambda: self._until.pop(call_sid, None)))
        return True

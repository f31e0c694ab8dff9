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

__all__ = ["MAX_S", "EchoStream"]

MAX_S = 120.0  # longer than any idle time a check waits for


class EchoStream:
    """A started stream that plays its caller back; ends with ``stop``, or after ``MAX_S``."""

    def __init__(self, leg: CarrierLeg, socket: Socket, clock: Clock, over: Callable[[], None]) -> None:
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

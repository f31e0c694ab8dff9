"""
The straight way: a usual frame of the caller, from the carrier's bytes to the provider's socket, in one function.

Fifty times a second and call the same thing happens, so here stands what of the parts is needed for it and nothing
else: each part still reads, counts and writes for itself. Whatever is not usual goes the ordinary way, through
``Call``, which settles first what went straight. Knows no wire: the legs say what is usual.

With hundreds of calls every object of a call has left the cache before its next frame comes, and each one touched
costs 50 to 100 ns, more than a line of Python. So few objects are touched: slots instead of dictionaries, no
counters but one, and a settling every hundred milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from offhook.evidence.record import Channel
from offhook.net.sockets import TEXT, Socket

if TYPE_CHECKING:
    from picows import WSMsgType

    from offhook.net.call import Call
    from offhook.net.parties import CarrierLeg
    from offhook.wires._wire import ProviderLeg

__all__ = ["SETTLED_EVERY", "Straight"]

# Frames that are counted together, and of which the meters look at one.
SETTLED_EVERY = 5


class Straight:
    """
    The way of one call between two sockets; ``text`` is the callback for the carrier's messages.

    It is used while the bridge lets frames through. What is counted here and not settled yet are at most
    ``SETTLED_EVERY`` frames.
    """

    __slots__ = (
        "_append", "_call", "_clock", "_last", "_leg", "_n", "_n_bytes", "_phase", "_recorder", "_widest", "_write",
    )  # fmt: skip

    def __init__(
        self, call: Call, carrier: CarrierLeg, provider: ProviderLeg, write: Callable[[WSMsgType, bytes], None]
    ) -> None:
        self._call = call
        self._leg = carrier
        self._append = provider.append
        self._write = write
        self._clock = call.clock.now
        self._recorder = call.recorder
        self._n_bytes = carrier.usual_bytes
        self._n = 0  # since the last settling
        self._phase = 0  # since the last look
        self._last = call.journal.last_frame_at
        self._widest = 0.0

    def text(self, data: bytes) -> None:
        """A text message of the carrier."""
        payload = self._leg.usual(data)
        if payload is None:
            self.settle()
            self._call.from_carrier(data)
            self._last = self._call.journal.last_frame_at
            return
        now = self._clock()
        if now - self._last > self._widest:
            self._widest = now - self._last
        self._last = now
        self._n += 1
        if self._recorder is not None:
            self._recorder.caller(payload, self._n_bytes, now)
        try:
            self._write(TEXT, self._append(payload))
        except Exception as error:  # our own fault: this call ends by name, the others go on
            self._call.arriving = (Channel.FROM_CARRIER, data)
            self._call.broke(error, now)
        self._phase += 1
        if self._phase >= SETTLED_EVERY:
            self._phase = 0
            self.settle(payload)
            self._call.settle(now)

    def look(self, now: float) -> None:
        """Nothing of this way hangs on what the bridge is about; ``Compiled`` looks."""

    def leave(self, carrier: Socket, provider: Socket | None) -> None:
        """The sockets are the call's again."""

    def settle(self, payload: bytes = b"") -> None:
        """Let the bridge and the journal count what went this way; they look at ``payload``, the last frame's."""
        n = self._n
        if n:
            self._n = 0
            call, n_bytes = self._call, n * self._n_bytes
            call.journal.passed(n, n_bytes, self._widest, self._last, payload)
            call.bridge.passed(n, n_bytes, self._last, payload)

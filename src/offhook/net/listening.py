"""
Listening in on a running call: its audio as it goes by, to whoever shows a ticket for it.

A listener stands where the recorder stands, and only while somebody listens: a call that nobody listens to does not
know of it. What a listener does not take in time is left out and counted, never waited for. Knows no wire.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from offhook.net.call import Call
from offhook.net.calls import Calls
from offhook.net.clock import Clock
from offhook.net.parties import Recorder
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener, Socket
from offhook.net.token import TokenBook, mint
from offhook.wires._wire import Refusal

__all__ = ["Listening"]

TICKET_S = 30.0
SHOW_S = 5.0  # a socket shows its ticket within this
MOST_BUFFERED = 128 * 1024  # four seconds of both sides
MOST_LISTENERS = 8  # of one call
HELD_S = 0.7  # before it is passed on: the sound of a key comes up to 0.6 s before the word of it
_CLEAR = b'{"event":"clear"}'
_PRIVATE = b'{"event":"private","on":true}'
_PATH = re.compile(r"/api/calls/([A-Za-z0-9_.-]{1,128})/listen\Z")


class Begin(Struct, tag_field="event", tag="start"):
    """The one message of a listener."""

    ticket: str


class Listening:
    """Everybody who listens, on one loop."""

    def __init__(self, calls: Calls, *, secret: bytes, clock: Clock) -> None:
        self.calls = calls
        self.clock = clock
        self._secret = secret
        self._tokens = TokenBook(secret)
        self._streams = itertools.count()

    def ticket(self, call: str) -> str:
        return mint(self._secret, f"listen {call}", self.clock.now(), TICKET_S)

    def upgrade(self, request: UpgradeRequest) -> Refusal | Listener | None:
        """Take a listener's WebSocket; None for any other path."""
        found = _PATH.search(request.path)
        if found is None:
            return None
        call = self.calls.find(found[1])
        if call is None:
            return Refusal(404, "this call does not run\n", "call")
        return Ear(self, call)

    def spend(self, ticket: str, call: str) -> str | None:
        """Why not, or None."""
        return self._tokens.spend(ticket, f"listen {call}", str(next(self._streams)), self.clock.now())


class Ear:
    """One listener's socket."""

    def __init__(self, owner: Listening, call: Call) -> None:
        self._owner = owner
        self._call = call
        self._socket: Socket | None = None
        self._timer: Any = None
        self._tap: Tap | None = None
        self.lost = 0

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        clock = self._owner.clock
        self._timer = clock.call_at(clock.now() + SHOW_S, lambda: socket.close(1008, "no ticket in time"))

    def text(self, data: bytes) -> None:
        socket = self._socket
        if self._tap is not None or socket is None:
            return
        try:
            why = self._owner.spend(msgspec.json.decode(data, type=Begin).ticket, self._call.name)
        except msgspec.MsgspecError:
            why = 'wanted {"event":"start","ticket":...}'
        if why is None and self._call.ended is not None:
            why = "the call is over"
        self._timer.cancel()
        if why is None:
            tap = self._call.recorder if isinstance(self._call.recorder, Tap) else Tap(self._call)
            why = tap.join(self)
            self._tap = tap if why is None else None
        if why is not None:
            socket.close(1008, why)

    def binary(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.close(1003, "text only")

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._timer.cancel()
        self._socket = None
        if self._tap is not None:
            self._tap.leave(self)

    def paused(self, n_bytes: int) -> None:
        """What is not taken is left out: see ``send``."""

    def resumed(self) -> None:
        """See ``paused``."""

    def send(self, data: bytes) -> None:
        socket = self._socket
        if socket is None:
            return
        if socket.buffered_bytes > MOST_BUFFERED:
            self.lost += 1
            return
        if self.lost:
            lost, self.lost = self.lost, 0
            socket.send(b'{"event":"lost","frames":%d}' % lost)
        socket.send(data)

    def end(self) -> None:
        if self._socket is not None:
            self._socket.close(1000, "the call is over")


class Tap:
    """
    A recorder that passes on what it is given, to listeners and to the recorder that was there before.

    Listeners get it a moment later: what turns out to be private by then is taken back.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._inner: Recorder | None = call.recorder
        self._ears: list[Ear] = []
        self._private = call.private  # what is not recorded is not overheard either
        self._held: deque[tuple[float, bytes]] = deque()

    def join(self, ear: Ear) -> str | None:
        """The reason why not, or None."""
        if len(self._ears) >= MOST_LISTENERS:
            return f"{MOST_LISTENERS} listen already"
        self._ears.append(ear)
        if len(self._ears) == 1:
            self._call.record_by(self)
        if self._private:
            ear.send(_PRIVATE)
        return None

    def leave(self, ear: Ear) -> None:
        self._ears.remove(ear)
        if not self._ears and self._call.recorder is self and self._call.ended is None:
            self._call.record_by(self._inner)

    def caller(self, payload: bytes, n_bytes: int, now: float) -> None:
        if self._inner is not None:
            self._inner.caller(payload, n_bytes, now)
        self._hold(b'{"event":"media","who":"caller","audio":"%b"}' % payload, now)

    def agent(self, payload: bytes, n_bytes: int, now: float) -> None:
        if self._inner is not None:
            self._inner.agent(payload, n_bytes, now)
        self._hold(b'{"event":"media","who":"agent","audio":"%b"}' % payload, now)

    def clear(self, now: float) -> None:
        if self._inner is not None:
            self._inner.clear(now)
        if self._private:
            self._tell(_CLEAR)
        self._hold(_CLEAR, now)

    def pause(self, now: float, back_s: float = 0.0) -> None:
        if self._inner is not None:
            self._inner.pause(now, back_s)
        self._pass_on(now - back_s)
        if any(data is _CLEAR for _, data in self._held):
            self._tell(_CLEAR)
        self._held.clear()
        self._private = True
        self._tell(_PRIVATE)

    def resume(self, now: float) -> None:
        if self._inner is not None:
            self._inner.resume(now)
        self._private = False
        self._tell(b'{"event":"private","on":false}')

    def close(self, now: float) -> Mapping[str, Any]:
        """The call is over: so is listening."""
        self._pass_on(now)
        for ear in list(self._ears):
            ear.end()
        return self._inner.close(now) if self._inner is not None else {}

    def _hold(self, data: bytes, now: float) -> None:
        if not self._private:
            self._held.append((now, data))
            self._pass_on(now - HELD_S)

    def _pass_on(self, until: float) -> None:
        while self._held and self._held[0][0] <= until:
            self._tell(self._held.popleft()[1])

    def _tell(self, data: bytes) -> None:
        for ear in self._ears:
            ear.send(data)

"""
Calls that begin at a screen: a ticket from the API, a WebSocket that shows it, and a call like any other.

The ticket is signed and spent once, so any process that knows the secret can take the stream. The call is made when
its stream starts, not before: a ticket that nobody uses costs nothing. Knows no wire by name.
"""

from __future__ import annotations

import itertools
import secrets
from typing import Any

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.net.answerer import Declined
from offhook.net.arrival import Arrival
from offhook.net.calls import Calls, Limits
from offhook.net.clock import Clock
from offhook.net.metrics import Metrics
from offhook.net.parties import Carrier
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener
from offhook.net.token import TokenBook, mint
from offhook.wires._wire import Refusal

__all__ = ["TICKET_S", "Talks", "Ticket"]

# The page asks for the microphone before the ticket; what comes after it is one WebSocket.
TICKET_S = 30.0


class Ticket(Struct, frozen=True):
    """What a screen needs to begin its call."""

    call: str
    ticket: str
    path: str  # of the WebSocket, as the server is reached
    expires_s: float


class Talks:
    """The door (``arrival.Door``) for streams of screens."""

    def __init__(
        self, carrier: Carrier, calls: Calls, *, secret: bytes, clock: Clock, limits: Limits, metrics: Metrics
    ) -> None:
        self.metrics = metrics
        self.clock = clock
        self.start_timeout_s = limits.start_timeout_s
        self.path: str = carrier.wire.MEDIA_PATH.value
        self._max_waiting = limits.max_sockets_without_start
        self._carrier = carrier
        self._calls = calls
        self._secret = secret
        self._tokens = TokenBook(secret)
        self._waiting: set[Arrival] = set()
        self._streams = itertools.count()  # a ticket is for one stream, and these have no ids of their own

    def ticket(self, agent: str = "") -> Ticket:
        """A ticket for one call to ``agent``; empty: whoever answers when no number is known."""
        call = f"talk-{secrets.token_hex(8)}"
        return Ticket(call, mint(self._secret, _bound(call, agent), self.clock.now(), TICKET_S), self.path, TICKET_S)

    def upgrade(self, request: UpgradeRequest) -> Refusal | Listener:
        """Take a screen's WebSocket; who it is it says in its start."""
        if len(self._waiting) >= self._max_waiting:
            self.metrics.refused("sockets")
            return Refusal(503, "too many streams that have not started\n", "sockets")
        stream = Arrival(self, self._carrier.wire.Leg(self._carrier.settings))
        self._waiting.add(stream)
        return stream

    def start_stream(self, stream: Arrival, event: v.StreamStarted) -> str | None:
        """Make the call that a started stream has a ticket for: None; or the reason why not."""
        told = event.parameters
        agent = told.get("agent", "")
        ticket = told.get("token", "")
        why = self._tokens.spend(ticket, _bound(event.call_id, agent), str(next(self._streams)), self.clock.now())
        if why is None and event.call_id in self._calls.running:
            why = "the call already has a stream"
        if why is None:
            full = self._calls.full()
            why = {None: None, "draining": "the server is being restarted"}.get(full, f"the server is full: {full}")
            if full is not None:
                self.metrics.refused(full)
        if why is not None:
            return why
        return self._begin(stream, event.call_id, agent)

    def _begin(self, stream: Arrival, call_id: str, agent: str) -> str | None:
        asked: Any = self._carrier.wire.Talk(call_id, agent)
        facts = structs.replace(self._calls.facts(asked, self._carrier), called_number="", agent=agent)
        who = self._calls.answer_for(facts)
        if isinstance(who, Declined):
            return f"nobody answers: {who.detail or who.why}"
        assert stream.socket is not None
        call = self._calls.make(structs.replace(asked, to=who.agent), who, self._carrier)
        call.offered = True
        call.adopt_stream(stream.leg, stream.socket, stream.backlog)
        self._calls.brief(call, who)
        return None

    def forget_stream(self, stream: Arrival) -> None:
        self._waiting.discard(stream)

    def refused_stream(self, stream: Arrival, why: str) -> None:
        """Told by the close alone: whoever sits before the screen reads it there."""

    def give_up(self, why: str) -> None:
        """Close what has not started."""
        for stream in list(self._waiting):
            stream.give_up(why)


def _bound(call: str, agent: str) -> str:
    """What a ticket is bound to."""
    return f"{call} {agent}"

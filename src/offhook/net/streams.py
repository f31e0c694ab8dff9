"""
The carrier's media streams until they have found their calls.

A stream finds its call by the token in its ``start``; what never starts, or shows a token that is not good, is closed
by name. Knows no wire by name.
"""

from __future__ import annotations

from offhook import vocab as v
from offhook.net.arrival import Arrival
from offhook.net.call import Call
from offhook.net.calls import Calls, Limits
from offhook.net.clock import Clock
from offhook.net.echo import Echoes
from offhook.net.gate import Gate
from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.parties import Carrier
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener
from offhook.net.token import TokenBook, mint
from offhook.wires._wire import Refusal

__all__ = ["Streams"]

# The carrier gives a webhook 15 s in all and opens the stream right after the answer; a token that
# nobody brought within this time belongs to a caller who has left.
TOKEN_TTL_S = 60.0


class Streams:
    """The door (``arrival.Door``) of one process's media streams."""

    def __init__(
        self,
        carrier: Carrier,
        gate: Gate,
        calls: Calls,
        *,
        token_secret: bytes,
        clock: Clock,
        limits: Limits,
        notes: RequestNotes,
        metrics: Metrics,
    ) -> None:
        self.metrics = metrics
        self.clock = clock
        self.start_timeout_s = limits.start_timeout_s
        self._max_waiting = limits.max_sockets_without_start
        self._carrier = carrier
        self._gate = gate
        self._calls = calls
        self._token_secret = token_secret
        self._tokens = TokenBook(token_secret)
        self._notes = notes
        self._echoes = Echoes()
        self._waiting: set[Arrival] = set()

    def ticket(self, call_sid: str) -> str:
        """What a stream shows to be let in as this call's."""
        return mint(self._token_secret, call_sid, self.clock.now(), TOKEN_TTL_S)

    def expect_echo(self, call_sid: str) -> bool:
        """Let the stream of this call be a check's echo; False where too many checks are under way."""
        now = self.clock.now()
        return self._echoes.expect(call_sid, now, now + TOKEN_TTL_S)

    def upgrade(self, request: UpgradeRequest) -> Refusal | Listener:
        """Take a carrier's WebSocket, or say with a status why not."""
        refusal = self._gate.upgrade(request)
        if refusal is not None:
            return refusal
        if len(self._waiting) >= self._max_waiting:
            self.metrics.refused("sockets")
            return Refusal(503, "too many streams that have not started\n", "sockets")
        stream = Arrival(self, self._carrier.wire.Leg(self._carrier.settings))
        stream.asked = request, self.clock.now()
        self._waiting.add(stream)
        return stream

    def start_stream(self, stream: Arrival, event: v.StreamStarted) -> str | None:
        """The call that a started stream belongs to takes it over: None; or the reason why none does."""
        token = event.parameters.get("token", "")
        why = self._tokens.spend(token, event.call_id, event.stream_id, self.clock.now())
        if why is not None:
            return why
        assert stream.socket is not None
        if self._echoes.take(event.call_id, stream.leg, stream.socket, self.clock):
            return None
        call = self._calls.running.get(event.call_id)
        if call is None:
            return "the call is already over"
        if call.stream_id is not None:
            return "the call already has a stream"
        self._note_upgrade(call, stream)
        self._calls.streams_up += 1
        call.adopt_stream(stream.leg, stream.socket, stream.backlog)
        return None

    def _note_upgrade(self, call: Call, stream: Arrival) -> None:
        if stream.asked is not None:
            request, at = stream.asked
            headers = {name.lower(): value for name, value in request.headers}
            self._notes.upgrade(call.journal, request.path_qs, headers, at)

    def forget_stream(self, stream: Arrival) -> None:
        self._waiting.discard(stream)

    def refused_stream(self, stream: Arrival, why: str) -> None:
        """
        A stream that no call takes goes into the record of the call that it named, else of the one call that waits for
        its stream; where several wait nobody can tell whose it was, and it has a record of its own.
        """
        running = self._calls.running
        call = running.get(stream.call_id)
        certain = call is not None
        waiting = [one for one in running.values() if one.offered and one.stream_id is None]
        if call is None and len(waiting) == 1:
            (call,) = waiting
        if call is not None and call.stream_id is None:
            self._note_upgrade(call, stream)
            call.journal.note("stream.refused", self.clock.now(), why=why, certain=certain)
        elif stream.asked is not None:
            request, _ = stream.asked
            self._notes.refused("stream.refused", "GET", request.path_qs, request.headers, 101, why=why, certain=False)

    def give_up(self, why: str) -> None:
        """Close what has not started."""
        for stream in list(self._waiting):
            stream.give_up(why)

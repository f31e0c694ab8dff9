"""
The loopback provider, their side: the receptionist's end of the wire, strict about order, fields and audio.

It is our own specification, so it refuses more than any vendor does: whatever a message should not hold is an error.
Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from offhook.wires._wire import Out, PeerClose, Refusal
from offhook.wires.providers import _loopback_messages as wire
from offhook.wires.providers.loopback import FORMAT, MODELS

__all__ = ["Peer"]

DELTA_MS = 100
# Models speak faster than real time, and a bridge that has only seen real time has seen nothing.
SPEEDUP = 4.0
CLOSE_BEFORE_SESSION = PeerClose(4000, "session.update first")
_decode = msgspec.json.Decoder(wire.ToPeer).decode
_json = msgspec.json.Encoder()


class _Rejected(Exception):
    def __init__(self, code: str, text: str, param: str | None = None) -> None:
        super().__init__(code)
        self.code, self.text, self.param = code, text, param


class Peer:
    """
    The receptionist's side of one session: strict about what it is sent, paced like a model that speaks.

    Whoever runs it feeds ``heard`` audio to an ear and calls ``user_started``, ``user_stopped`` and ``speak``. What the
    client wants answered is in ``asked`` until it is taken.
    """

    def __init__(
        self,
        *,
        keys: frozenset[str] | None = None,
        models: tuple[str, ...] = MODELS.value,
        speedup: float = SPEEDUP,
        expires_s: float | None = None,
        first_id: int = 0,
    ) -> None:
        # ``keys`` is every simulated provider's parameter; this one has no key to check. Ids count on from
        # ``first_id``: a call that is handed over has two sessions in one record
        self.heard = bytearray()
        self.asked: list[str] = []  # instructions of response.create
        self.forced: list[str] = []  # this provider has nothing that is said word for word
        self.commits: list[str] = []  # nor a client that ends the caller's turns
        self.told: list[str] = []  # texts of the user
        self.tools: list[str] = []
        self.schemas: dict[str, dict[str, Any]] = {}  # of the tools' arguments
        self.tool_outputs: list[tuple[str, str]] = []
        self.truncated: list[tuple[str, int]] = []
        self.received: list[dict[str, Any]] = []  # everything but audio
        self.response: str | None = None
        self.updates = 0
        self._models = models
        self._speedup = speedup
        self._expires_s = expires_s
        self._expires_at: float | None = None
        self._queue: deque[Struct] = deque()  # what is not sent yet
        self._due: float | None = None
        self._calls: set[str] = set()
        self._ids = first_id
        self._items_ms: dict[str, int] = {}

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """The HTTP refusal of a request, if any."""
        parts = urlsplit(path_and_query)
        if parts.path != "/v1/realtime":
            return Refusal(404, "not found\n", "path")
        model = parse_qs(parts.query).get("model", [""])[0]
        if model not in self._models:
            return Refusal(400, f"model {model!r}: wanted one of {', '.join(self._models)}\n", "model")
        return None

    def opened(self, now: float) -> list[Out]:
        if self._expires_s is not None:
            self._expires_at = now + self._expires_s
        return [_json.encode(wire.SessionCreated(wire.Greeting("realtime", self._models[0])))]

    # -------------------------------------------------------------------------------- what it is sent

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the receptionist answers to a message. Never raises."""
        if binary:
            return [self._error("invalid_event", "a binary frame: wanted JSON in a text frame")]
        try:
            message = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            code = "invalid_session" if b'"session.update"' in data[:60] else "invalid_event"
            return [self._error(code, str(error)[:200], _path(str(error)))]
        if not self.updates and not isinstance(message, wire.SessionUpdate):
            return [CLOSE_BEFORE_SESSION]
        try:
            return self._handle(message)
        except _Rejected as rejected:
            return [self._error(rejected.code, rejected.text, rejected.param)]

    def _handle(self, message: wire.ToPeer) -> list[Out]:
        if isinstance(message, wire.Append):
            return self._append(message)
        self.received.append(msgspec.to_builtins(message))
        match message:
            case wire.SessionUpdate(session=session):
                self.tools = [tool.name for tool in session.tools]
                self.schemas = {tool.name: tool.parameters for tool in session.tools}
                self.updates += 1
                return [_json.encode(wire.SessionUpdated(session))]
            case wire.ResponseCreate(response=wanted):
                if self.response is not None:
                    raise _Rejected("conversation_already_has_active_response", "one response at a time")
                self.asked.append(wanted.instructions if wanted else "")
                return []
            case wire.ResponseCancel():
                if self.response is None:
                    raise _Rejected("response_cancel_not_active", "no active response found")
                return self._cancel("client_cancelled")
            case wire.ItemTruncate():
                return self._truncate(message)
            case wire.ItemCreate(item=item):
                return self._create(item)

    def _append(self, message: wire.Append) -> list[Out]:
        try:
            audio = binascii.a2b_base64(message.audio.encode(), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _Rejected("invalid_audio", "audio is no base64", "audio") from None
        if not audio:
            raise _Rejected("invalid_audio", "audio is empty", "audio")
        self.heard += audio
        return []

    def _create(self, item: wire.MessageItem | wire.FunctionOutput) -> list[Out]:
        if isinstance(item, wire.MessageItem):
            self.told.append(" ".join(part.text for part in item.content))
        elif item.call_id not in self._calls:
            raise _Rejected("invalid_tool_call_id", f"no call {item.call_id[:40]!r}", "item.call_id")
        else:
            self.tool_outputs.append((item.call_id, item.output))
        return [_json.encode(wire.ItemAdded(item))]

    def _truncate(self, message: wire.ItemTruncate) -> list[Out]:
        sent = self._items_ms.get(message.item_id)
        if sent is None:
            raise _Rejected("invalid_item_id", f"no item {message.item_id[:40]!r}", "item_id")
        if not 0 <= message.audio_end_ms <= sent:
            raise _Rejected("invalid_value", f"audio of {sent} ms is shorter than that", "audio_end_ms")
        self._items_ms[message.item_id] = message.audio_end_ms
        self.truncated.append((message.item_id, message.audio_end_ms))
        return [_json.encode(wire.ItemTruncated(message.item_id, 0, message.audio_end_ms))]

    # -------------------------------------------------------------------- what the one who runs it calls

    @property
    def format_in(self) -> dict[str, Any]:
        return FORMAT

    @property
    def format_out(self) -> dict[str, Any]:
        return FORMAT

    @property
    def turn_detection(self) -> dict[str, Any]:
        """It cannot be switched off or set."""
        return {}

    def user_started(self, at_ms: int, now: float) -> list[Out]:
        self._ids += 1
        out: list[Out] = [_json.encode(wire.SpeechStarted(at_ms, f"caller_{self._ids}"))]
        return out + (self._cancel("turn_detected") if self.response is not None else [])

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        item = f"caller_{self._ids}"
        stopped = _json.encode(wire.SpeechStopped(at_ms, item))
        return [stopped, *self.transcribe(item, transcript, now)]

    def transcribe(self, item_id: str, transcript: str, now: float) -> list[Out]:
        return [_json.encode(wire.CallerSaid(item_id, 0, transcript))]

    def speak(self, pcmu: bytes, transcript: str, now: float, calls: Sequence[tuple[str, str]] = ()) -> list[Out]:
        """One response: audio in deltas, ahead of real time; then ``calls``, tools and their arguments."""
        self._ids += 1
        self.response, item = f"resp_{self._ids}", f"item_{self._ids}"
        self._queue.clear()
        if pcmu or transcript:
            self._items_ms[item] = len(pcmu) // 8
            for at in range(0, len(pcmu), DELTA_MS * 8):
                delta = base64.b64encode(pcmu[at : at + DELTA_MS * 8]).decode()
                self._queue.append(wire.AudioDelta(self.response, item, 0, delta))
            self._queue.append(wire.AudioDone(self.response, item, 0))
            self._queue.append(wire.AgentSaid(self.response, item, 0, transcript))
        for n, (tool, arguments) in enumerate(calls):
            call = f"call_{self._ids}_{n}"
            self._calls.add(call)
            self._queue.append(wire.ToolArguments(self.response, call, call, tool, arguments))
        self._queue.append(wire.ResponseDone(wire.Response(self.response, "completed")))
        self._due = now
        created = wire.ResponseCreated(wire.Response(self.response, "in_progress"))
        return [_json.encode(created), *self.tick(now)]

    def _cancel(self, why: str) -> list[Out]:
        """
        End the running response; what its audio says is told all the same.

        As OpenAI's output_audio.done and transcript.done: "also emitted when a Response is interrupted, incomplete,
        or cancelled" (openai-python 3.54.0, openai/types/realtime, read 2026-11-22).
        """
        response = self.response or ""
        closing = [
            _json.encode(message) for message in self._queue if isinstance(message, wire.AudioDone | wire.AgentSaid)
        ]
        self.response = None
        self._queue.clear()
        self._due = None
        details = msgspec.convert({"type": "cancelled", "reason": why}, wire.Cancelled)
        return [*closing, _json.encode(wire.ResponseDone(wire.Response(response, "cancelled", details)))]

    # ------------------------------------------------------------------------------------------ time

    def deadline(self) -> float | None:
        due = [at for at in (self._due, self._expires_at) if at is not None]
        return min(due, default=None)

    def tick(self, now: float) -> list[Out]:
        """The deltas that are due, or the session's end."""
        if self._expires_at is not None and now >= self._expires_at:
            self._expires_at = self._due = None
            return [self._error("session_expired", "the session is too old"), PeerClose(1001, "session expired")]
        out: list[Out] = []
        while self._queue and self._due is not None and self._due <= now:
            message = self._queue.popleft()
            out.append(_json.encode(message))
            if isinstance(message, wire.AudioDelta):
                self._due += DELTA_MS / 1000 / self._speedup
        if not self._queue:
            self._due = None
            self.response = None
        return out

    def _error(self, code: str, text: str, param: str | None = None) -> bytes:
        return _json.encode(wire.ErrorEvent(wire.ErrorBody("invalid_request_error", code, text, param)))


def _path(error: str) -> str | None:
    found = re.search(r"`\$\.([^`]*)`$", error)
    return found[1] if found else None

"""
The loopback provider, both sides: the on-machine receptionist's wire, shaped like OpenAI Realtime GA.

It is no AI model and uses no network. The wire is its own all the same: it has no key, one model, one voice, no
transcription settings, and answers faster. Knows nothing of carriers, sockets or time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._checks import check_name, check_url
from offhook.wires._wire import (
    ConnectRequest,
    Fact,
    LocalProtocolError,
    Out,
    PeerClose,
    Refusal,
    SettingProblem,
    Violation,
    redact_json,
)  # fmt: skip

NAME = "loopback"
LABEL = "loopback (no AI, no network)"
ALIASES: tuple[str, ...] = ()

# ------------------------------------------------------------------------------------------------ facts

_OURS = "offhook: this file is the specification"
_CHECKED = "2026-11-24"

ENDPOINT = Fact("ws://127.0.0.1:0/v1/realtime", _OURS, _CHECKED)  # serve starts the process and fills it in
KEY_ENV = ""
MODELS: Fact[tuple[str, ...]] = Fact(("receptionist",), _OURS, _CHECKED)
DEFAULT_MODEL = Fact("receptionist", _OURS, _CHECKED)
DEAD_MODELS: Fact[tuple[str, ...]] = Fact((), _OURS, _CHECKED)
VOICES: Fact[tuple[str, ...]] = Fact(("slt",), _OURS, _CHECKED)
DEFAULT_VOICE = Fact("slt", _OURS, _CHECKED)
FORMAT = {"type": "audio/pcmu"}
_AUDIO_IN = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}
DELTA_MS = 100
# Models speak faster than real time, and a bridge that has only seen real time has seen nothing.
SPEEDUP = 4


class SessionSettings(Struct, frozen=True):
    """What a session is opened with; there is no key."""

    api_key: str = ""
    model: str = DEFAULT_MODEL.value
    voice: str = DEFAULT_VOICE.value
    url: str = ENDPOINT.value
    instructions: str = ""
    tools: tuple[v.ToolSpec, ...] = ()
    language: str | None = None
    allow_unlisted: bool = False


def traits(settings: SessionSettings) -> v.ProviderTraits:
    """The manners of this provider."""
    return v.ProviderTraits(
        name=NAME, speaks_first="provider", echoes_session=True, turn_events=True, cancels_itself=True,
        truncates=True, session_limit_s=None, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
    )  # fmt: skip


def connect_request(settings: SessionSettings) -> ConnectRequest:
    """URL of a session; no headers."""
    return ConnectRequest(url=f"{settings.url}?model={settings.model}", headers=())


def check(settings: SessionSettings) -> list[SettingProblem]:
    """What cannot work, known without dialling."""
    names: dict[str, str] = {}
    return [
        *check_name("model", settings.model, vendor="the loopback provider", listed=MODELS, dead=(),
                    others=names, allow_unlisted=False),
        *check_name("voice", settings.voice, vendor="the loopback provider", listed=VOICES, dead=(),
                    others=names, allow_unlisted=False),
        *check_url(settings.url, endpoint=ENDPOINT, env="nothing: there is no key"),
    ]  # fmt: skip


def explain_close(code: int | None, reason: str) -> str:
    """What a close of this provider means."""
    return f"the receptionist's process ended ({code or 'no close frame'} {reason})".strip()


def _session(settings: SessionSettings) -> dict[str, Any]:
    tools = [{"type": "function", "name": tool.name} for tool in settings.tools]
    return {
        "type": "realtime",
        "instructions": settings.instructions,
        "audio": {"input": {"format": FORMAT}, "output": {"format": FORMAT, "voice": settings.voice}},
        "tools": tools,
    }


_json = msgspec.json.Encoder()
_APPEND_HEAD = b'{"type":"input_audio_buffer.append","audio":"'
_DELTA_HEAD = b'{"type":"response.output_audio.delta"'


class _Delta(Struct, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    content_index: int
    delta: str


_delta_decoder = msgspec.json.Decoder(_Delta)

# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one session."""

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._handlers: dict[str, Callable[[dict[str, Any]], v.Event]] = {
            "session.created": lambda m: v.SessionGreeted(),
            "session.updated": self._on_updated,
            "input_audio_buffer.speech_started": lambda m: v.SpeechStarted(
                at_ms=int(m["audio_start_ms"]), item_id=str(m["item_id"])
            ),
            "input_audio_buffer.speech_stopped": lambda m: v.SpeechStopped(at_ms=int(m["audio_end_ms"])),
            "response.created": lambda m: v.ResponseStarted(response_id=str(m["response"]["id"])),
            "response.output_audio.done": lambda m: v.AgentAudioDone(
                response_id=str(m["response_id"]), item_id=str(m["item_id"])
            ),
            "response.output_audio_transcript.done": lambda m: v.AgentTranscript(
                response_id=str(m["response_id"]), item_id=str(m["item_id"]), text=str(m["transcript"]),
                final=True,
            ),
            "conversation.item.input_audio_transcription.completed": lambda m: v.CallerTranscript(
                item_id=str(m["item_id"]), text=str(m["transcript"]), final=True
            ),
            "response.function_call_arguments.done": lambda m: v.ToolCalled(
                tool_call_id=str(m["call_id"]), name=str(m["name"]), arguments=str(m["arguments"]),
                response_id=str(m["response_id"]),
            ),
            "response.done": lambda m: v.ResponseDone(
                response_id=str(m["response"]["id"]), status=_status(m["response"]["status"])
            ),
            "error": self._on_error,
        }  # fmt: skip

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", "a binary frame", "JSON in a text frame")
        try:
            if data.startswith(_DELTA_HEAD):
                delta = _delta_decoder.decode(data)
                payload = delta.delta.encode()
                n_bytes = len(payload) // 4 * 3 - payload.count(b"=")
                return v.AgentAudio(delta.response_id, delta.item_id, delta.content_index, payload, n_bytes)
            message = msgspec.json.decode(data, type=dict[str, Any])
            kind = str(message["type"])
            handler = self._handlers.get(kind)
            if handler is None:
                return v.Unknown(leg=v.Leg.PROVIDER, tag=kind[:80])
            return handler(message)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
            return self._broken("message", str(error)[:80], "a message of this wire")

    def _on_updated(self, message: dict[str, Any]) -> v.Event:
        audio = message["session"]["audio"]
        differences = [
            v.Difference(field=f"audio.{side}.format", asked=str(FORMAT), got=str(audio[side]["format"])[:80],
                         fatal=True)
            for side in ("input", "output") if audio[side]["format"] != FORMAT
        ]  # fmt: skip
        return v.SessionConfigured(differences=tuple(differences))

    def _on_error(self, message: dict[str, Any]) -> v.Event:
        error = message["error"]
        code, text = str(error["code"]), str(error["message"])
        if code == "invalid_session":
            return v.SessionRejected(field=None, code=code, message=text)
        return v.ProviderError(code=code, message=text, benign=code == "response_cancel_not_active")

    def _broken(self, message: str, got: str, wanted: str) -> v.Event:
        violation = _violation(message, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError."""
        if type(command) is v.AppendAudio:
            if not command.payload:
                raise LocalProtocolError(_violation("input_audio_buffer.append", "nothing", "audio", by="us"))
            return [_APPEND_HEAD + command.payload + b'"}']
        return [_json.encode(self._message(command))]

    def _message(self, command: v.Command) -> dict[str, Any]:
        match command:
            case v.ConfigureSession():
                return {"type": "session.update", "session": _session(self._settings)}
            case v.Greet():
                return {"type": "response.create", "response": {"instructions": "greet"}}
            case v.AskResponse(instructions=instructions):
                return {"type": "response.create", "response": {"instructions": instructions or ""}}
            case v.CancelResponse():
                return {"type": "response.cancel"}
            case v.Truncate(item_id=item_id, content_index=index, heard_ms=heard_ms):
                return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": index,
                        "audio_end_ms": heard_ms}  # fmt: skip
            case v.TellAgent(text=text):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
                return {"type": "conversation.item.create", "item": item}
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return {"type": "conversation.item.create", "item": item}
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> Mapping[str, Any]:
        """A message as it may be written down: audio as sizes, numbers and keys masked."""
        return redact_json(data, _AUDIO_IN, binary=binary, digits=digits)


def _status(value: object) -> Literal["completed", "cancelled", "failed", "incomplete"]:
    if value == "completed" or value == "cancelled":
        return value
    return "failed"


# ------------------------------------------------------------------------------------------------- peer


class Peer:
    """
    The receptionist's side of one session: strict about what it is sent, paced like a model that speaks.

    Whoever runs it feeds ``heard`` audio to an ear and calls ``user_started``, ``user_stopped``, ``speak`` and
    ``call_tool``; ``asked`` holds what the client wants answered, until it is taken.
    """

    def __init__(self, *, models: tuple[str, ...] = MODELS.value) -> None:
        self.heard = bytearray()
        self.asked: list[str] = []  # instructions of response.create
        self.told: list[str] = []  # texts of the user
        self.tools: list[str] = []
        self.response: str | None = None
        self._models = models
        self._configured = False
        self._queue: list[bytes] = []  # deltas that are not sent yet
        self._due: float | None = None
        self._item = ""
        self._ids = 0
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
        return [self._event("session.created", session={"type": "realtime", "model": self._models[0]})]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the receptionist answers to a message."""
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
            kind = message["type"]
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
            return [self._error("invalid_json", "no JSON object with a type")]
        if kind == "input_audio_buffer.append":
            return self._append(message)
        if kind == "session.update":
            return self._update(message)
        if not self._configured:
            return [PeerClose(4000, "session.update first")]
        try:
            return self._later(kind, message, now)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            return [self._error("invalid_request", f"{kind}: {error}"[:200])]

    def _append(self, message: dict[str, Any]) -> list[Out]:
        if not self._configured:
            return [PeerClose(4000, "session.update first")]
        try:
            audio = base64.b64decode(message.get("audio", ""), validate=True)
        except (ValueError, TypeError):
            return [self._error("invalid_audio", "audio is no base64")]
        if not audio:
            return [self._error("invalid_audio", "audio is empty")]
        self.heard += audio
        return []

    def _update(self, message: dict[str, Any]) -> list[Out]:
        session = message.get("session")
        if not isinstance(session, dict) or session.get("type") != "realtime":
            return [self._error("invalid_session", "session.type must be 'realtime'")]
        unknown = set(session) - {"type", "instructions", "audio", "tools"}
        if unknown:
            return [self._error("invalid_session", f"unknown field {sorted(unknown)[0]}")]
        audio = session.get("audio", {})
        if any(audio.get(side, {}).get("format") != FORMAT for side in ("input", "output")):
            return [self._error("invalid_session", "audio formats must be audio/pcmu")]
        self.tools = [tool["name"] for tool in session.get("tools", ())]
        self._configured = True
        return [self._event("session.updated", session=session)]

    def _later(self, kind: str, message: dict[str, Any], now: float) -> list[Out]:
        if kind == "response.create":
            if self.response is not None:
                return [self._error("conversation_already_has_active_response", "one response at a time")]
            self.asked.append(str(message.get("response", {}).get("instructions", "")))
            return []
        if kind == "response.cancel":
            if self.response is None:
                return [self._error("response_cancel_not_active", "no active response found")]
            return self._cancel("client_cancelled")
        if kind == "conversation.item.truncate":
            sent = self._items_ms[message["item_id"]]
            if not 0 <= int(message["audio_end_ms"]) <= sent:
                return [self._error("invalid_value", f"audio of {sent}ms is shorter than that")]
            self._items_ms[message["item_id"]] = int(message["audio_end_ms"])
            return [self._event("conversation.item.truncated", item_id=message["item_id"])]
        if kind == "conversation.item.create":
            item = message["item"]
            if item["type"] == "message":
                self.told.append(str(item["content"][0]["text"]))
            return [self._event("conversation.item.added", item=item)]
        return [self._error("invalid_value", f"unknown type {kind!r}")]

    # what the one who runs it calls

    def user_started(self, at_ms: int, now: float) -> list[Out]:
        self._ids += 1
        item = f"caller_{self._ids}"
        out: list[Out] = [self._event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=item)]
        return out + (self._cancel("turn_detected") if self.response is not None else [])

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        item = f"caller_{self._ids}"
        return [
            self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item),
            self._event("conversation.item.input_audio_transcription.completed", item_id=item,
                        content_index=0, transcript=transcript),
        ]  # fmt: skip

    def speak(self, pcmu: bytes, transcript: str, now: float, tool: str | None = None) -> list[Out]:
        """One response: audio in deltas, ahead of real time; then, if wanted, a call of ``tool``."""
        self._ids += 1
        self.response = f"resp_{self._ids}"
        self._item = f"item_{self._ids}"
        self._items_ms[self._item] = len(pcmu) // 8
        step = DELTA_MS * 8
        common = {"response_id": self.response, "item_id": self._item, "content_index": 0}
        self._queue = [
            self._event("response.output_audio.delta", **common,
                        delta=base64.b64encode(pcmu[at : at + step]).decode())
            for at in range(0, len(pcmu), step)
        ]  # fmt: skip
        self._queue.append(self._event("response.output_audio.done", **common))
        self._queue.append(self._event("response.output_audio_transcript.done", **common, transcript=transcript))
        if tool is not None:
            self._queue.append(
                self._event("response.function_call_arguments.done", response_id=self.response,
                            item_id=f"call_{self._ids}", call_id=f"call_{self._ids}", name=tool, arguments="{}")
            )  # fmt: skip
        self._queue.append(self._event("response.done", response={"id": self.response, "status": "completed"}))
        self._due = now
        return [self._event("response.created", response={"id": self.response}), *self.tick(now)]

    def _cancel(self, why: str) -> list[Out]:
        response, self.response = self.response, None
        self._queue.clear()
        self._due = None
        details = {"type": "cancelled", "reason": why}
        return [
            self._event("response.done", response={"id": response, "status": "cancelled", "status_details": details})
        ]

    def deadline(self) -> float | None:
        return self._due

    def tick(self, now: float) -> list[Out]:
        """The deltas that are due."""
        out: list[Out] = []
        while self._queue and self._due is not None and self._due <= now:
            message = self._queue.pop(0)
            out.append(message)
            if message.startswith(_DELTA_HEAD):
                self._due += DELTA_MS / 1000 / SPEEDUP
        if not self._queue:
            self._due = None
            self.response = None
        return out

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _json.encode({"type": kind, **fields})

    def _error(self, code: str, text: str) -> bytes:
        return self._event("error", error={"type": "invalid_request_error", "code": code, "message": text})


def _violation(message: str, got: str, wanted: str, *, by: Literal["us", "peer"]) -> Violation:
    return Violation(wire=NAME, message=message, field=None, got=got, wanted=wanted, source=_OURS, by=by)

"""
OpenAI Realtime, GA shape, their side: strict about URL, headers, session, order and sizes, with its error texts.

Whoever runs it feeds ``heard`` audio to a voice detector and calls ``user_started``, ``user_stopped``, ``speak`` and
``call_tool``. Faults are named in ``FAULTS``. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from offhook.wires._wire import Out, PeerClose, Refusal
from offhook.wires.providers.openai import APPEND_BYTES, DEAD_MODELS, MODELS, VOICES

__all__ = ["FAULTS", "Peer"]

# What can be broken on purpose; what each does stands where it is asked for.
FAULTS = frozenset(
    (
        "no-greeting", "no-session-updated", "ignore-formats", "beta-events", "malformed-json", "unknown-events",
        "digital-silence", "die-mid-call", "stop-answering", "fail-responses", "late-deltas", "session-expired",
        "reject-session", "forbidden", "unauthorized",
    )
)  # fmt: skip
_json = msgspec.json.Encoder()
PCMU = {"type": "audio/pcmu"}
PCM24 = {"type": "audio/pcm", "rate": 24000}
DELTA_MS = 100
_SESSION_FIELDS = {
    "type", "model", "instructions", "prompt", "include", "output_modalities", "audio", "max_output_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "reasoning", "tracing", "truncation",
}  # fmt: skip
_INPUT_FIELDS = {"format", "noise_reduction", "transcription", "turn_detection"}
_OUTPUT_FIELDS = {"format", "voice", "speed"}
_TURN_FIELDS = {
    "type", "threshold", "prefix_padding_ms", "silence_duration_ms", "create_response", "interrupt_response",
    "idle_timeout_ms", "eagerness",
}  # fmt: skip
_CLIENT_EVENTS = (
    "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
    "conversation.item.create", "conversation.item.delete", "conversation.item.retrieve",
    "conversation.item.truncate", "response.create", "response.cancel", "output_audio_buffer.clear",
)  # fmt: skip


class _Rejected(Exception):
    def __init__(self, code: str, message: str, param: str | None) -> None:
        super().__init__(code)
        self.code, self.message, self.param = code, message, param


class Peer:
    """The provider's side of one session."""

    def __init__(
        self,
        *,
        keys: frozenset[str] | None = None,
        models: tuple[str, ...] = MODELS.value,
        faults: frozenset[str] = frozenset(),
        speedup: float = 5.0,
        expires_s: float = 3600.0,
    ) -> None:
        unknown = faults - FAULTS
        if unknown:
            raise ValueError(f"no fault {sorted(unknown)[0]!r}; there are {', '.join(sorted(FAULTS))}")
        self.heard = bytearray()
        self.asked: list[str] = []
        self.told: list[str] = []
        self.tools: list[str] = []
        self.tool_outputs: list[tuple[str, str]] = []
        self.truncated: list[tuple[str, int]] = []
        self.response: str | None = None
        self.session: dict[str, Any] = {}
        self.updates = 0
        self.appended_before_update = 0
        self.received: list[dict[str, Any]] = []  # everything but audio
        self._keys = keys
        self._models = models
        self._faults = faults
        self._speedup = speedup
        self._expires_s = expires_s
        self._fatal: tuple[str, str, int] | None = None
        self._model = ""
        self._ids = 0
        self._queue: list[bytes] = []
        self._due: float | None = None
        self._opened_at = 0.0
        self._items_ms: dict[str, int] = {}
        self._caller_item = ""
        self._buffered = 0

    # ---------------------------------------------------------------------------------- the handshake

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """
        The HTTP refusal of a request, if any. A bad key or model is none: it comes after the upgrade.
        """
        parts = urlsplit(path_and_query)
        given = {name.lower(): value for name, value in headers.items()}
        if "forbidden" in self._faults:
            return Refusal(403, '{"error":{"message":"Your project does not have access"}}', "account")
        if "unauthorized" in self._faults:
            return Refusal(401, '{"error":{"message":"Unauthorized"}}', "key")
        if parts.path != "/v1/realtime":
            return Refusal(404, '{"error":{"message":"Invalid URL"}}', "path")
        query = parse_qs(parts.query)
        self._model = query.get("model", [""])[0]
        key = given.get("authorization", "").removeprefix("Bearer ").strip()
        if "openai-beta" in given:
            text = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            self._fatal = ("beta_api_shape_disabled", text, 4000)
        elif not key or (self._keys is not None and key not in self._keys):
            self._fatal = ("invalid_api_key", f"Incorrect API key provided: {key[:3]}***.", 3000)
        elif not self._model:
            text = "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime"
            self._fatal = ("missing_model", text, 4000)
        elif self._model not in self._models or self._model in DEAD_MODELS.value:
            self._fatal = ("invalid_model", f'Model "{self._model}" is not supported in realtime mode.', 4000)
        return None

    def opened(self, now: float) -> list[Out]:
        """The first messages."""
        self._opened_at = now
        self._due = now + self._expires_s
        if self._fatal is not None:
            code, text, close = self._fatal
            return [self._error(code, text), PeerClose(close, f"invalid_request_error.{code}")]
        self.session = {
            "type": "realtime", "object": "realtime.session", "id": self._id("sess"), "model": self._model,
            "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
            "max_output_tokens": "inf", "truncation": "auto", "tracing": None, "prompt": None,
            "expires_at": 1795520000 + int(self._expires_s),
            "audio": {
                "input": {
                    "format": PCM24, "transcription": None, "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
                        "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
                    },
                },
                "output": {"format": PCM24, "voice": "alloy", "speed": 1.0},
            },
        }  # fmt: skip
        if "no-greeting" in self._faults:
            return []
        return [self._event("session.created", session=self.session)]

    # -------------------------------------------------------------------------------- what it is sent

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers. Never raises."""
        if binary:
            text = "Expected a text WebSocket message; binary frames are not supported."
            return [self._error("invalid_event", text)]
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self._error("invalid_json", "Invalid event: failed to parse JSON value.")]
        kind = message.get("type")
        if kind not in _CLIENT_EVENTS:
            listed = ", ".join(repr(name) for name in _CLIENT_EVENTS)
            text = f"Invalid value: {str(kind)[:60]!r}. Supported values are: {listed}."
            return [self._error("invalid_value", text, "type", message)]
        if kind == "input_audio_buffer.append":
            return self._append(message, len(data))
        self.received.append(message)
        try:
            return self._handle(str(kind), message, now)
        except _Rejected as rejected:
            return [self._error(rejected.code, rejected.message, rejected.param, message)]
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            text = f"Missing required parameter or wrong type: {str(error)[:80]}."
            return [self._error("missing_required_parameter", text, None, message)]

    def _append(self, message: dict[str, Any], size: int) -> list[Out]:
        if not self.updates:
            self.appended_before_update += 1
        audio = message.get("audio")
        if not isinstance(audio, str) or size > APPEND_BYTES.value:
            return [self._error("invalid_value", "Invalid 'audio'. Expected base64-encoded audio.", "audio", message)]
        try:
            raw = binascii.a2b_base64(audio.encode(), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            return [self._error("invalid_value", "Invalid 'audio'. Expected base64-encoded audio.", "audio", message)]
        self.heard += raw
        self._buffered += len(raw)
        return []

    def _handle(self, kind: str, message: dict[str, Any], now: float) -> list[Out]:
        if kind == "session.update":
            return self._update(message)
        if kind == "response.create":
            return self._create(message)
        if kind == "response.cancel":
            if self.response is None:
                raise _Rejected("response_cancel_not_active", "Cancellation failed: no active response found", None)
            return self._cancel("client_cancelled")
        if kind == "conversation.item.create":
            return self._item(message["item"])
        if kind == "conversation.item.truncate":
            return self._truncate(message)
        if kind == "input_audio_buffer.commit":
            return self._commit()
        if kind == "input_audio_buffer.clear":
            self._buffered = 0
            return [self._event("input_audio_buffer.cleared")]
        return [self._event(f"{kind}d", item_id=str(message["item_id"]))]

    def _update(self, message: dict[str, Any]) -> list[Out]:
        session = message["session"]
        if session.get("type") != "realtime":
            text = "Missing required parameter: 'session.type'."
            raise _Rejected("missing_required_parameter", text, "session.type")
        if "reject-session" in self._faults:
            raise _Rejected("unknown_parameter", "Unknown parameter: 'session.audio'.", "session.audio")
        audio = session.get("audio", {})
        given_in, given_out = audio.get("input", {}), audio.get("output", {})
        _known("session", session, _SESSION_FIELDS)
        _known("session.audio", audio, {"input", "output"})
        _known("session.audio.input", given_in, _INPUT_FIELDS)
        _known("session.audio.output", given_out, _OUTPUT_FIELDS)
        _known("session.audio.input.turn_detection", given_in.get("turn_detection") or {}, _TURN_FIELDS)
        for name in ("create_response", "interrupt_response"):
            value = (given_in.get("turn_detection") or {}).get(name, True)
            if not isinstance(value, bool):
                where = f"session.audio.input.turn_detection.{name}"
                raise _Rejected("invalid_type", f"Invalid type for '{where}': expected boolean.", where)
        for side, given in (("input", given_in), ("output", given_out)):
            _format(f"session.audio.{side}.format", given.get("format"))
        voice = given_out.get("voice", "alloy")
        if isinstance(voice, str) and voice not in VOICES.value:
            text = f"Invalid value: '{voice}'. Supported values are: {', '.join(VOICES.value)}."
            raise _Rejected("invalid_value", text, "session.audio.output.voice")
        self._apply(session, given_in, given_out)
        self.updates += 1
        if "no-session-updated" in self._faults:
            return []
        return [self._event("session.updated", session=self.session)]

    def _apply(self, session: dict[str, Any], given_in: dict[str, Any], given_out: dict[str, Any]) -> None:
        if "ignore-formats" in self._faults:  # what a service does that has moved the field elsewhere
            given_in = {key: value for key, value in given_in.items() if key != "format"}
            given_out = {key: value for key, value in given_out.items() if key != "format"}
        mine = self.session["audio"]
        self.session = {
            **self.session,
            **{key: value for key, value in session.items() if key != "audio"},
            "audio": {"input": {**mine["input"], **given_in}, "output": {**mine["output"], **given_out}},
        }
        self.tools = [tool["name"] for tool in session.get("tools", ())]

    def _create(self, message: dict[str, Any]) -> list[Out]:
        if self.response is not None:
            text = f"Conversation already has an active response in progress: {self.response}."
            raise _Rejected("conversation_already_has_active_response", text, None)
        response = message.get("response") or {}
        _known("response", response, {"instructions", "output_modalities", "audio", "conversation", "input", "metadata",
                                      "max_output_tokens", "tools", "tool_choice", "prompt", "reasoning"})  # fmt: skip
        self.asked.append(str(response.get("instructions", "")))
        return []

    def _item(self, item: dict[str, Any]) -> list[Out]:
        if item["type"] == "function_call_output":
            if not isinstance(item["output"], str):
                raise _Rejected("invalid_type", "Invalid type for 'item.output': expected a string.", "item.output")
            self.tool_outputs.append((item["call_id"], item["output"]))
        elif item["type"] == "message":
            self.told.append(str(item["content"][0]["text"]))
        made = {"id": self._id("item"), "object": "realtime.item", "status": "completed", **item}
        return [
            self._event("conversation.item.added", previous_item_id=None, item=made),
            self._event("conversation.item.done", previous_item_id=None, item=made),
        ]

    def _truncate(self, message: dict[str, Any]) -> list[Out]:
        item_id, end_ms = message["item_id"], message["audio_end_ms"]
        if not isinstance(end_ms, int):
            text = "Invalid type for 'audio_end_ms': expected an integer."
            raise _Rejected("invalid_type", text, "audio_end_ms")
        if item_id not in self._items_ms:
            raise _Rejected("item_truncate_invalid_item_id", f"Item with item_id {item_id} not found.", "item_id")
        if end_ms > self._items_ms[item_id]:
            text = f"Audio content of {self._items_ms[item_id]}ms is already shorter than {end_ms}ms"
            raise _Rejected("invalid_value", text, "audio_end_ms")
        self._items_ms[item_id] = end_ms
        self.truncated.append((item_id, end_ms))
        return [
            self._event(
                "conversation.item.truncated", item_id=item_id, content_index=message["content_index"],
                audio_end_ms=end_ms,
            )
        ]  # fmt: skip

    def _commit(self) -> list[Out]:
        if self._buffered < 800:
            ms = self._buffered / 8
            text = f"Error committing input audio buffer: buffer too small. Expected at least 100ms, has {ms:.2f}ms."
            raise _Rejected("input_audio_buffer_commit_empty", text, None)
        self._buffered = 0
        return [self._event("input_audio_buffer.committed", item_id=self._id("item"), previous_item_id=None)]

    # -------------------------------------------------------------------- what the one who runs it calls

    @property
    def format_in(self) -> dict[str, Any]:
        given: dict[str, Any] = self.session["audio"]["input"]["format"]
        return given

    @property
    def format_out(self) -> dict[str, Any]:
        given: dict[str, Any] = self.session["audio"]["output"]["format"]
        return given

    def user_started(self, at_ms: int, now: float) -> list[Out]:
        self._caller_item = self._id("item")
        out: list[Out] = [
            self._event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._caller_item)
        ]
        turn = self.session["audio"]["input"]["turn_detection"] or {}
        if self.response is not None and turn.get("interrupt_response", True):
            out += self._cancel("turn_detected")
        return out

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        item = self._caller_item
        made = {
            "id": item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        out: list[Out] = [
            self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item),
            self._event("input_audio_buffer.committed", item_id=item, previous_item_id=None),
            self._event("conversation.item.added", previous_item_id=None, item=made),
            self._event("conversation.item.done", previous_item_id=None, item=made),
        ]
        if self.session["audio"]["input"]["transcription"]:
            name = "conversation.item.input_audio_transcription"
            usage = {"type": "tokens", "total_tokens": 12, "input_tokens": 10, "output_tokens": 2,
                     "input_token_details": {"text_tokens": 0, "audio_tokens": 10}}  # fmt: skip
            common = {"item_id": item, "content_index": 0}
            out.append(self._event(f"{name}.delta", **common, delta=transcript))
            out.append(self._event(f"{name}.completed", **common, transcript=transcript, usage=usage))
        return out

    def speak(self, pcmu: bytes, transcript: str, now: float, tool: str | None = None) -> list[Out]:
        """
        One response, in the captured order; ``pcmu`` goes out in the session's format.

        With the default format that is PCM16 at 24 kHz: noise on a phone line, as the real one's would be.
        """
        if "stop-answering" in self._faults:
            return []
        self.response = self._id("resp")
        item, audio = self._id("item"), self._render(pcmu)
        self._items_ms[item] = len(pcmu) // 8
        common = {"response_id": self.response, "item_id": item, "output_index": 0, "content_index": 0}
        message = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
        first = [
            self._event("response.created", response=self._response("in_progress")),
            self._event("response.output_item.added", response_id=self.response, output_index=0,
                        item={**message, "status": "in_progress"}),
            self._event("conversation.item.added", previous_item_id=None, item={**message, "status": "in_progress"}),
            self._event("response.content_part.added", **common, part={"type": "audio", "transcript": ""}),
        ]  # fmt: skip
        if "fail-responses" in self._faults:
            details = {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}
            done = self._event("response.done", response=self._response("failed", details))
            self.response = None
            return [*first[:1], done]
        step = DELTA_MS * (8 if self.format_out == PCMU else 48)
        name = "response.audio" if "beta-events" in self._faults else "response.output_audio"
        self._queue = [
            self._event(f"{name}.delta", **common, delta=base64.b64encode(audio[at : at + step]).decode(),
                        obfuscation="x" * (at % 7))
            for at in range(0, len(audio), step)
        ]  # fmt: skip
        self._queue += self._closing(common, message, transcript, tool, name)
        self._due = now
        out: list[Out] = [*first]
        if "unknown-events" in self._faults:
            out.append(self._event("response.mood_detected", mood="curious"))
        if "malformed-json" in self._faults:
            out.append(b'{"type":"response.output_audio.delta","delta":')
        return out + self.tick(now)

    def _closing(
        self, common: dict[str, Any], message: dict[str, Any], transcript: str, tool: str | None, name: str
    ) -> list[bytes]:
        """What follows the audio of a response."""
        done_item = {**message, "status": "completed", "content": [{"type": "output_audio", "transcript": transcript}]}
        output = [done_item]
        last = [
            self._event(f"{name}.done", **common),
            self._event(f"{name}_transcript.delta", **common, delta=transcript),
            self._event(f"{name}_transcript.done", **common, transcript=transcript),
            self._event("response.content_part.done", **common, part={"type": "audio", "transcript": transcript}),
            self._event("conversation.item.done", previous_item_id=None, item=done_item),
            self._event("response.output_item.done", response_id=common["response_id"], output_index=0, item=done_item),
        ]
        if tool is not None:
            call = {"id": self._id("item"), "object": "realtime.item", "type": "function_call", "status": "completed",
                    "name": tool, "call_id": self._id("call"), "arguments": "{}"}  # fmt: skip
            output.append(call)
            last.append(
                self._event("response.function_call_arguments.done", response_id=common["response_id"],
                            item_id=call["id"], output_index=1, call_id=call["call_id"], name=tool, arguments="{}")
            )  # fmt: skip
        last.append(self._event("response.done", response=self._response("completed", None, output)))
        last.append(
            self._event("rate_limits.updated",
                        rate_limits=[{"name": "tokens", "limit": 40000, "remaining": 39000, "reset_seconds": 1.5}])
        )  # fmt: skip
        return last

    def call_tool(self, name: str, arguments: str, now: float) -> list[Out]:
        """A response that is a tool call and no audio."""
        self.response = self._id("resp")
        item, call_id = self._id("item"), self._id("call")
        call = {"id": item, "object": "realtime.item", "type": "function_call", "status": "completed", "name": name,
                "call_id": call_id, "arguments": arguments}  # fmt: skip
        out: list[Out] = [
            self._event("response.created", response=self._response("in_progress")),
            self._event("response.function_call_arguments.done", response_id=self.response, item_id=item,
                        output_index=0, call_id=call_id, name=name, arguments=arguments),
            self._event("response.done", response=self._response("completed", None, [call])),
        ]  # fmt: skip
        self.response = None
        return out

    def _render(self, pcmu: bytes) -> bytes:
        if "digital-silence" in self._faults:
            pcmu = b"\xff" * len(pcmu)
        if self.format_out == PCMU:
            return pcmu
        import numpy as np

        from offhook.media import g711

        return np.repeat(g711.decode(pcmu), 3).astype("<i2").tobytes()

    def _response(self, status: str, details: Any = None, output: list[Any] | None = None) -> dict[str, Any]:
        usage = {
            "total_tokens": 120, "input_tokens": 80, "output_tokens": 40,
            "input_token_details": {"text_tokens": 50, "audio_tokens": 30, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 10, "audio_tokens": 30},
        }  # fmt: skip
        return {
            "id": self.response, "object": "realtime.response", "status": status, "status_details": details,
            "output": output or [], "conversation_id": "conv_1", "output_modalities": ["audio"],
            "max_output_tokens": "inf", "metadata": None,
            "usage": usage if status in ("completed", "cancelled") else None,
        }  # fmt: skip

    def _cancel(self, why: str) -> list[Out]:
        details = {"type": "cancelled", "reason": why}
        done = self._event("response.done", response=self._response("cancelled", details))
        late = [message for message in self._queue if b".delta" in message][:3] if "late-deltas" in self._faults else []
        self._queue.clear()
        self.response = None
        self._due = self._opened_at + self._expires_s
        return [done, *late]

    def deadline(self) -> float | None:
        """When something is due: a delta, or the session's end."""
        return self._due

    def tick(self, now: float) -> list[Out]:
        """What is due."""
        out: list[Out] = []
        if now >= self._opened_at + self._expires_s:
            text = f"Your session hit the maximum duration of {self._expires_s / 60:.0f} minutes."
            self._due = None
            return [self._error("session_expired", text), PeerClose(1001, text)]
        while self._queue and self._due is not None and self._due <= now:
            message = self._queue.pop(0)
            out.append(message)
            if b'.delta"' in message[:60] and b"transcript" not in message[:60]:
                self._due += DELTA_MS / 1000 / self._speedup
                if "die-mid-call" in self._faults and len(self._queue) % 10 == 5:
                    self._due = None
                    return [*out, PeerClose(None)]
        if not self._queue:
            self.response = None
            self._due = self._opened_at + self._expires_s
        return out

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids:020d}"

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _json.encode({"type": kind, "event_id": self._id("event"), **fields})

    def _error(self, code: str, text: str, param: str | None = None, message: dict[str, Any] | None = None) -> bytes:
        event_id = message.get("event_id") if message else None
        error = {"type": "invalid_request_error", "code": code, "message": text, "param": param, "event_id": event_id}
        return self._event("error", error=error)


def _known(where: str, given: Mapping[str, Any], fields: set[str]) -> None:
    for name in given:
        if name not in fields:
            raise _Rejected("unknown_parameter", f"Unknown parameter: '{where}.{name}'.", f"{where}.{name}")


def _format(where: str, given: Any) -> None:
    if given is None:
        return
    kind = given["type"]
    if kind not in ("audio/pcm", "audio/pcmu", "audio/pcma"):
        text = f"Invalid value: '{kind}'. Supported values are: 'audio/pcm', 'audio/pcmu', and 'audio/pcma'."
        raise _Rejected("invalid_value", text, f"{where}.type")
    if kind == "audio/pcm" and given.get("rate", 24000) != 24000:
        raise _Rejected("invalid_value", "Invalid value for 'rate': only 24000 is supported.", f"{where}.rate")
    if kind != "audio/pcm":
        _known(where, given, {"type"})

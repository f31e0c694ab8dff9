"""
OpenAI Realtime, GA shape, our side. The other side is ``_openai_peer.py``.

Knows messages, order and refusals; knows nothing of carriers, sockets or time (callers pass ``now``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from offhook import vocab as v
from offhook.wires._checks import check_key, check_name, check_url
from offhook.wires._wire import ConnectRequest, Fact, LocalProtocolError, SettingProblem, Violation

NAME = "openai"
LABEL = "OpenAI Realtime"
ALIASES: tuple[str, ...] = ()

# ------------------------------------------------------------------------------------------------ facts

_SDK = "openai-python 3.54.0, openai/types/realtime"
_GUIDE = "platform.openai.com/docs/guides/realtime"
_PRICES = "platform.openai.com/docs/pricing, by way of litellm 1.109.1"
_CHECKED = "2026-11-22"

ENDPOINT = Fact("wss://api.openai.com/v1/realtime", _SDK, _CHECKED)
KEY_ENV = "OPENAI_API_KEY"
KEY_PREFIX = Fact("sk-", _GUIDE, _CHECKED)
MODELS: Fact[tuple[str, ...]] = Fact(
    (
        "gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5", "gpt-realtime",
        "gpt-realtime-2025-08-28", "gpt-realtime-mini", "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15", "gpt-audio-1.5", "gpt-audio-mini",
    ), _SDK, _CHECKED,
)  # fmt: skip
DEFAULT_MODEL = Fact("gpt-realtime-2.1", _SDK, _CHECKED)
# The SDK's types still list the preview names; the service does not take them.
DEAD_MODELS: Fact[tuple[str, ...]] = Fact(
    (
        "gpt-4o-realtime-preview", "gpt-4o-realtime-preview-2024-10-01",
        "gpt-4o-realtime-preview-2024-12-17", "gpt-4o-realtime-preview-2025-06-03",
        "gpt-4o-mini-realtime-preview", "gpt-4o-mini-realtime-preview-2024-12-17",
    ), "platform.openai.com/docs/deprecations", _CHECKED, until="2026-05-07",
)  # fmt: skip
VOICES: Fact[tuple[str, ...]] = Fact(
    ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"), _SDK, _CHECKED
)
DEFAULT_VOICE = Fact("marin", _SDK, _CHECKED)
TRANSCRIPTION_MODEL = Fact("gpt-4o-mini-transcribe", _SDK, _CHECKED, until="2027-02-26")
SESSION_LIMIT_S = Fact(3600.0, "livekit/agents#2341; session.created expires_at", _CHECKED)
APPEND_BYTES = Fact(15 * 1024 * 1024, _SDK, _CHECKED)
# US dollars per million tokens: text in, text out, audio in, audio out.
PRICES = Fact(
    {
        "gpt-realtime-2.1": (4.0, 24.0, 32.0, 64.0),
        "gpt-realtime-2.1-mini": (0.6, 2.4, 10.0, 20.0),
        "gpt-realtime": (4.0, 16.0, 32.0, 64.0),
        "gpt-realtime-1.5": (4.0, 16.0, 32.0, 64.0),
    },
    _PRICES,
    _CHECKED,
)
# Races that hurt nobody, by code and, for whoever words them without one, by text.
BENIGN_CODES = Fact(
    ("response_cancel_not_active", "conversation_already_has_active_response",
     "input_audio_buffer_commit_empty", "item_truncate_invalid_item_id"),
    "pipecat-ai/pipecat, livekit/agents error handling", _CHECKED,
)  # fmt: skip
BENIGN_TEXTS = Fact(
    ("Cancellation failed: no active response found", "is already shorter than"),
    "pipecat-ai/pipecat#2106",
    _CHECKED,
)
FATAL_CODES = Fact(
    ("invalid_api_key", "missing_model", "invalid_model", "model_not_found", "beta_api_shape_disabled",
     "session_expired", "insufficient_quota"),
    "api7/aisix#1061; langwatch/scenario#602; livekit/agents#2341", _CHECKED,
)  # fmt: skip
OTHERS_KEYS = Fact({"xai-": "xAI", "AIza": "Google", "sk-ant-": "Anthropic"}, "vendors' consoles", _CHECKED)
OTHERS_NAMES = Fact(
    {"grok": "xAI", "eve": "xAI", "ara": "xAI", "rex": "xAI", "sal": "xAI", "leo": "xAI", "gemini": "Google"},
    "vendors' model and voice lists",
    _CHECKED,
)


class SessionSettings(Struct, frozen=True):
    """What a session is opened with."""

    api_key: str
    model: str = DEFAULT_MODEL.value
    voice: str = DEFAULT_VOICE.value
    url: str = ENDPOINT.value
    instructions: str = ""
    tools: tuple[v.ToolSpec, ...] = ()
    language: str | None = None
    allow_unlisted: bool = False

    def __repr__(self) -> str:
        return f"SessionSettings(model={self.model!r}, voice={self.voice!r}, url={self.url!r})"


def traits(settings: SessionSettings) -> v.ProviderTraits:
    """The manners of this provider."""
    return v.ProviderTraits(
        name=NAME,
        speaks_first="provider",
        echoes_session=True,
        turn_events=True,
        cancels_itself=True,  # turn_detection.interrupt_response is asked for
        truncates=True,
        session_limit_s=SESSION_LIMIT_S.value,
        audio_in=v.PCMU_8K,
        audio_out=v.PCMU_8K,
    )


def connect_request(settings: SessionSettings) -> ConnectRequest:
    """URL and headers of a session. No ``OpenAI-Beta`` header: since May 2026 it is fatal."""
    return ConnectRequest(
        url=f"{settings.url}?model={quote(settings.model, safe='')}",
        headers=(("Authorization", f"Bearer {settings.api_key}"),),
    )


def check(settings: SessionSettings) -> list[SettingProblem]:
    """What cannot work with this provider, known without dialling."""
    unlisted = settings.allow_unlisted
    names = OTHERS_NAMES.value
    return [
        *check_key(settings.api_key, env=KEY_ENV, prefix="sk-", others=OTHERS_KEYS.value, source=KEY_PREFIX),
        *check_name("model", settings.model, vendor="OpenAI", listed=MODELS, dead=DEAD_MODELS.value,
                    others=names, allow_unlisted=unlisted),
        *check_name("voice", settings.voice, vendor="OpenAI", listed=VOICES, dead=(),
                    others=names, allow_unlisted=unlisted),
        *check_url(settings.url, endpoint=ENDPOINT, env=KEY_ENV),
    ]  # fmt: skip


def explain_close(code: int | None, reason: str) -> str:
    """What a close of this provider means."""
    if code == 1001 or "maximum duration" in reason:
        return "the session reached its maximum duration"
    if code == 3000:
        return f"the key was refused ({reason})"
    if code in (4000, 4004):
        return f"the request was refused ({reason})"
    if code is None or code in (1005, 1006):
        return "the connection was dropped without a close"
    return f"closed by OpenAI with {code} {reason}".strip()


# --------------------------------------------------------------------------------------------- messages


class AudioDelta(Struct, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    delta: Raw
    content_index: int = 0


_audio_decoder = msgspec.json.Decoder(AudioDelta)
_json = msgspec.json.Encoder()
_AUDIO_HEAD = b'{"type":"response.output_audio.delta"'
_APPEND_HEAD = b'{"type":"input_audio_buffer.append","audio":"'

# Event names of the retired beta shape that carry what the GA names carry.
_BETA_NAMES = Fact(
    ("response.audio.delta", "response.audio.done", "response.audio_transcript.delta",
     "response.audio_transcript.done", "response.text.delta", "response.text.done",
     "conversation.item.created"),
    "openai-python 3.54.0, openai/types/beta/realtime", _CHECKED, until="2026-05-07",
)  # fmt: skip

# Known events that say nothing to the bridge.
_HARMLESS = frozenset(
    (
        "input_audio_buffer.committed", "input_audio_buffer.cleared", "input_audio_buffer.timeout_triggered",
        "conversation.created", "conversation.item.added", "conversation.item.done",
        "conversation.item.deleted", "conversation.item.retrieved", "conversation.item.truncated",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.input_audio_transcription.failed", "response.output_item.added",
        "response.output_item.done", "response.content_part.added", "response.content_part.done",
        "response.output_text.delta", "response.output_text.done",
        "response.function_call_arguments.delta", "rate_limits.updated", "output_audio_buffer.started",
        "output_audio_buffer.stopped", "output_audio_buffer.cleared",
    )
)  # fmt: skip


def session_object(settings: SessionSettings) -> dict[str, Any]:
    """The session that is asked for; what matters on a phone line is said, never left to a default."""
    transcription: dict[str, Any] = {"model": TRANSCRIPTION_MODEL.value}
    if settings.language:
        transcription["language"] = settings.language
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": settings.instructions,
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": transcription,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 400,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": settings.voice},
        },
    }
    if settings.tools:
        session["tools"] = [
            {"type": "function", "name": tool.name, "description": tool.description,
             "parameters": tool.parameters}
            for tool in settings.tools
        ]  # fmt: skip
        session["tool_choice"] = "auto"
    return session


# What of the asked session must stand in the echo, and whether the call can go on without it.
_COMPARED: tuple[tuple[str, bool], ...] = (
    ("audio.input.format", True),
    ("audio.output.format", True),
    ("audio.output.voice", False),
    ("audio.input.turn_detection", False),
    ("audio.input.transcription", False),
    ("instructions", False),
    ("output_modalities", False),
    ("tools", False),
)
DEFAULT_FORMAT = Fact({"type": "audio/pcm", "rate": 24000}, "captured session.created", _CHECKED)


# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one session."""

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._update_id: str | None = None
        self._received_bytes: dict[str, int] = {}
        self._sent_ids = 0
        self._handlers: dict[str, Callable[[dict[str, Any]], v.Event]] = {
            "session.created": self._on_created,
            "session.updated": self._on_updated,
            "input_audio_buffer.speech_started": lambda m: v.SpeechStarted(
                at_ms=_int(m.get("audio_start_ms")), item_id=_text(m.get("item_id"))
            ),
            "input_audio_buffer.speech_stopped": lambda m: v.SpeechStopped(at_ms=_int(m.get("audio_end_ms"))),
            "response.created": lambda m: v.ResponseStarted(response_id=str(m["response"]["id"])),
            "response.output_audio.done": lambda m: v.AgentAudioDone(
                response_id=str(m["response_id"]), item_id=str(m["item_id"])
            ),
            "response.output_audio_transcript.delta": lambda m: self._agent_said(m, "delta", False),
            "response.output_audio_transcript.done": lambda m: self._agent_said(m, "transcript", True),
            "conversation.item.input_audio_transcription.delta": self._on_caller_delta,
            "conversation.item.input_audio_transcription.completed": lambda m: v.CallerTranscript(
                item_id=str(m["item_id"]), text=str(m["transcript"]), final=True
            ),
            "response.function_call_arguments.done": lambda m: v.ToolCalled(
                tool_call_id=str(m["call_id"]),
                name=str(m["name"]),
                arguments=str(m["arguments"]),
                response_id=_text(m.get("response_id")),
            ),
            "response.done": self._on_done,
            "error": self._on_error,
        }
        self._caller_text: dict[str, str] = {}

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if data.startswith(_AUDIO_HEAD) and not binary:
            try:
                message = _audio_decoder.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                return self._broken("response.output_audio.delta", None, str(error)[:120], "the GA shape")
            return self._audio(message)
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        return self._other(data)

    def _audio(self, message: AudioDelta) -> v.Event:
        raw = bytes(message.delta)
        payload = raw[1:-1]
        if raw[:1] != b'"':
            return self._broken("response.output_audio.delta", "delta", "no string", "base64 text")
        if b"\\" in payload:
            payload = msgspec.json.decode(raw, type=str).encode()
        n = len(payload)
        if n == 0 or n % 4:
            return self._broken("response.output_audio.delta", "delta", f"{n} characters", "padded base64")
        n_bytes = n // 4 * 3 - payload.count(b"=", n - 2)
        item_id = message.item_id
        self._received_bytes[item_id] = self._received_bytes.get(item_id, 0) + n_bytes
        return v.AgentAudio(message.response_id, item_id, message.content_index, payload, n_bytes)

    def _other(self, data: bytes) -> v.Event:
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._broken("frame", "type", "no event", "an object with a type")
        if kind == "response.output_audio.delta":  # the same event, its keys in another order
            try:
                return self._audio(_audio_decoder.decode(data))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                return self._broken(kind, None, str(error)[:120], "the GA shape")
        handler = self._handlers.get(kind)
        if handler is None:
            return self._unhandled(kind)
        try:
            return handler(message)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            return self._broken(kind, str(error)[:60], "missing or of another type", "the GA shape")

    def _unhandled(self, kind: str) -> v.Event:
        if kind in _HARMLESS:
            return v.Harmless(leg=v.Leg.PROVIDER, tag=kind)
        if kind in _BETA_NAMES.value:
            self.violations.append(_violation(kind, "type", f"'{kind}' of the beta shape", "the GA name", by="peer"))
        return v.Unknown(leg=v.Leg.PROVIDER, tag=kind[:80])

    def _on_created(self, message: dict[str, Any]) -> v.Event:
        session = message.get("session")
        if isinstance(session, dict) and "input_audio_format" in session:
            self.violations.append(
                _violation("session.created", "session.input_audio_format", "the beta shape",
                           "audio.input.format", by="peer")
            )  # fmt: skip
        return v.SessionGreeted()

    def _on_updated(self, message: dict[str, Any]) -> v.Event:
        return v.SessionConfigured(differences=compare(self._settings, message["session"]))

    def _agent_said(self, message: dict[str, Any], field: str, final: bool) -> v.Event:
        return v.AgentTranscript(
            response_id=str(message["response_id"]),
            item_id=str(message["item_id"]),
            text=str(message[field]),
            final=final,
        )

    def _on_caller_delta(self, message: dict[str, Any]) -> v.Event:
        item_id = str(message["item_id"])
        self._caller_text[item_id] = (self._caller_text.get(item_id, "") + str(message.get("delta", "")))[:4000]
        return v.CallerTranscript(item_id=item_id, text=self._caller_text[item_id], final=False)

    def _on_done(self, message: dict[str, Any]) -> v.Event:
        response = message["response"]
        details = response.get("status_details")
        reason: str | None = None
        if isinstance(details, dict):
            error = details.get("error")
            reason = details.get("reason")
            if isinstance(error, dict):
                said = error.get("message") or error.get("code") or error.get("type")
                reason = str(said)[:200] if said else reason
        status = response["status"]
        if status not in ("completed", "cancelled", "failed", "incomplete"):
            return self._broken("response.done", "response.status", repr(status)[:40], "a final status")
        return v.ResponseDone(
            response_id=str(response["id"]), status=status, reason=reason, usage=usage(response.get("usage"))
        )

    def _on_error(self, message: dict[str, Any]) -> v.Event:
        error = message["error"]
        code = str(error.get("code") or error.get("type") or "error")
        text = _SECRET.sub("***", str(error.get("message") or ""))[:300]
        field = _text(error.get("param"))
        if self._update_id is not None and error.get("event_id") == self._update_id:
            return v.SessionRejected(field=field, code=code, message=text)
        benign = code in BENIGN_CODES.value or any(part in text for part in BENIGN_TEXTS.value)
        return v.ProviderError(code=code, message=text, field=field, benign=benign, fatal=code in FATAL_CODES.value)

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError for what the provider would refuse."""
        if type(command) is v.AppendAudio:
            if len(command.payload) > APPEND_BYTES.value or not command.payload:
                raise self._local("input_audio_buffer.append", "audio", f"{command.n_bytes} bytes", "audio")
            return [_APPEND_HEAD + command.payload + b'"}']
        return [_json.encode(message) for message in self._messages(command)]

    def _messages(self, command: v.Command) -> list[dict[str, Any]]:
        match command:
            case v.ConfigureSession():
                self._update_id = self._event_id()
                update = {"type": "session.update", "event_id": self._update_id}
                return [{**update, "session": session_object(self._settings)}]
            case v.Greet(text=text):
                asked = f"Greet the caller now. Say exactly this and nothing else: {text}"
                return [{"type": "response.create", "response": {"instructions": asked}}]
            case v.AskResponse(instructions=None):
                return [{"type": "response.create"}]
            case v.AskResponse(instructions=instructions):
                return [{"type": "response.create", "response": {"instructions": instructions}}]
            case v.CancelResponse(response_id=None):
                return [{"type": "response.cancel"}]
            case v.CancelResponse(response_id=response_id):
                return [{"type": "response.cancel", "response_id": response_id}]
            case v.Truncate():
                return [self._truncate(command)]
            case v.TellAgent(text=text):
                content = [{"type": "input_text", "text": text}]
                item = {"type": "message", "role": "user", "content": content}
                return [{"type": "conversation.item.create", "item": item}]
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return [{"type": "conversation.item.create", "item": item}]
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def _truncate(self, command: v.Truncate) -> dict[str, Any]:
        if command.heard_ms < 0:
            raise self._local("conversation.item.truncate", "audio_end_ms", str(command.heard_ms), "0 or more")
        # "Audio content of Xms is already shorter than Yms": never past what was received
        received_ms = self._received_bytes.get(command.item_id, 0) // 8
        return {
            "type": "conversation.item.truncate",
            "item_id": command.item_id,
            "content_index": command.content_index,
            "audio_end_ms": min(command.heard_ms, received_ms),
        }

    def _event_id(self) -> str:
        self._sent_ids += 1
        return f"offhook_{self._sent_ids}"

    def _local(self, message: str, field: str, got: str, wanted: str) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us"))

    # ------------------------------------------------------------------------------------------ redact

    def redact(self, data: bytes, *, binary: bool = False) -> Mapping[str, Any]:
        """A message of either direction as it may be written down: audio as sizes, no secrets."""
        if binary:
            return {"binary_bytes": len(data)}
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {"not_json_bytes": len(data)}
        if not isinstance(message, dict):
            return {"not_an_object": type(message).__name__}
        kind = message.get("type")
        for name in ("audio", "delta"):
            if isinstance(message.get(name), str) and (name == "audio" or kind == "response.output_audio.delta"):
                message[name] = f"<{len(message[name])} characters>"
        message.pop("obfuscation", None)
        return message


_SECRET = re.compile(r"\b(?:sk|xai|ek)-[\w*-]{4,}")


def compare(settings: SessionSettings, echo: Any) -> tuple[v.Difference, ...]:
    """Where the echo is not what was asked; filled-in defaults and left-out fields are no differences."""
    if not isinstance(echo, dict):
        return (v.Difference(field="session", asked="an object", got=type(echo).__name__, fatal=True),)
    asked = session_object(settings)
    found = []
    for path, fatal in _COMPARED:
        want, got = _at(asked, path), _at(echo, path)
        if want is None or (got is None and not fatal):
            continue
        if got is None:
            got = DEFAULT_FORMAT.value  # what the service uses where nothing was applied
        if not _same(want, got):
            found.append(v.Difference(field=path, asked=_short(want), got=_short(got), fatal=fatal))
    model = echo.get("model")
    if isinstance(model, str) and model and not _same_model(settings.model, model):
        found.append(v.Difference(field="model", asked=settings.model, got=model, fatal=False))
    return tuple(found)


def _same_model(asked: str, got: str) -> bool:
    """An alias is answered by a dated name of the same model."""
    return got == asked or bool(re.fullmatch(re.escape(asked) + r"-\d{4}-\d{2}-\d{2}", got))


def _same(want: Any, got: Any) -> bool:
    if isinstance(want, dict) and isinstance(got, dict):
        return all(key not in got or _same(value, got[key]) for key, value in want.items()) and (
            "type" not in want or want["type"] == got.get("type")
        )
    if isinstance(got, dict) and isinstance(want, str):
        return want in (got.get("id"), got.get("name"))  # a voice as an object
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(_same(a, b) for a, b in zip(want, got, strict=True))
    return bool(want == got)


def _at(node: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(part)
    return node


def _short(value: Any) -> str:
    return value[:80] if isinstance(value, str) else _json.encode(value).decode()[:160]


def usage(given: Any) -> dict[str, int] | None:
    """The provider's usage figures, flattened to ``input_token_details.audio_tokens`` and the like."""
    if not isinstance(given, dict):
        return None
    flat: dict[str, int] = {}
    for key, value in given.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            flat[key] = value
        elif isinstance(value, dict):
            flat.update({f"{key}.{name}": n for name, n in (usage(value) or {}).items()})
    return flat


def _int(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _violation(message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"]) -> Violation:
    return Violation(wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_SDK, by=by)

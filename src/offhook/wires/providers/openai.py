"""
OpenAI Realtime, GA shape, our side. The other side is ``_openai_peer.py``.

Knows messages, order and refusals; knows nothing of carriers, sockets or time (callers pass ``now``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args
from urllib.parse import quote

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._checks import check_key, check_name, check_url
from offhook.wires._wire import (
    ConnectRequest,
    Ending,
    Fact,
    LocalProtocolError,
    Price,
    ProviderWay,
    SettingProblem,
    Usual,
    Violation,
    briefed,
    clean_text,
    flat_figures,
    near_miss,
    redact_json,
)  # fmt: skip
from offhook.wires.providers._openai_messages import (
    BETA_NAMES,
    AgentSaid,
    AgentWords,
    AudioDelta,
    AudioDone,
    CallerSaid,
    CallerWords,
    ErrorBody,
    ErrorEvent,
    FromPeer,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ToolArguments,
)

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
# OpenAI's notice of 2026-08-26 names gpt-live-transcribe and gpt-transcribe in its place, and documents them for
# sessions of their own and for files: nobody told us of one that writes down the caller within a conversation.
TRANSCRIPTION_MODEL = Fact(
    "gpt-4o-mini-transcribe", "developers.openai.com/api/docs/deprecations", "2026-11-26", until="2027-02-26"
)
SESSION_LIMIT_S = Fact(3600.0, "livekit/agents#2341; session.created expires_at", _CHECKED)
APPEND_BYTES = Fact(15 * 1024 * 1024, _SDK, _CHECKED)
# US dollars per million tokens: text in, text out, audio in, audio out.
PRICES = Fact(
    {"gpt-realtime-2.1": (4.0, 24.0, 32.0, 64.0), "gpt-realtime-2.1-mini": (0.6, 2.4, 10.0, 20.0),
     "gpt-realtime": (4.0, 16.0, 32.0, 64.0), "gpt-realtime-1.5": (4.0, 16.0, 32.0, 64.0)}, _PRICES, _CHECKED,
)  # fmt: skip
# The same for what was in the cache: text, audio. A model that is not here has a price that nobody told us.
CACHED_PRICES = Fact(
    {"gpt-realtime-2.1": (0.4, 0.4), "gpt-realtime-2.1-mini": (0.06, 0.3), "gpt-realtime": (0.4, 0.4),
     "gpt-realtime-mini": (0.06, 0.3)}, "developers.openai.com/api/docs/pricing, by way of litellm 1.109.1", _CHECKED,
)  # fmt: skip
# The same for the model that writes down what callers say: audio in, text out. Of text in, a prompt, nobody told us; we
# send none. (Tables of third parties have 3.0 for audio in, as it was in 2025.)
TRANSCRIPTION_PRICES = Fact((1.25, 5.0), "developers.openai.com/api/docs/models/gpt-4o-mini-transcribe", "2026-11-25")
# Races that hurt nobody, by code and, for whoever words them without one, by text.
BENIGN_CODES = Fact(
    ("response_cancel_not_active", "conversation_already_has_active_response",
     "input_audio_buffer_commit_empty", "item_truncate_invalid_item_id"),
    "pipecat-ai/pipecat, livekit/agents error handling", _CHECKED,
)  # fmt: skip
BENIGN_TEXTS = Fact(
    ("Cancellation failed: no active response found", "is already shorter than",
     "Conversation already has an active response"),
    "pipecat-ai/pipecat#2106; openai/openai-realtime-agents#3", _CHECKED,
)  # fmt: skip
FATAL_CODES = Fact(
    ("invalid_api_key", "missing_model", "invalid_model", "model_not_found", "beta_api_shape_disabled",
     "session_expired", "insufficient_quota"),
    "api7/aisix#1061; langwatch/scenario#602; livekit/agents#2341", _CHECKED,
)  # fmt: skip
OTHERS_KEYS = Fact({"xai-": "xAI", "AIza": "Google", "sk-ant-": "Anthropic"}, "vendors' consoles", _CHECKED)
OTHERS_NAMES = Fact(
    {"grok": "xAI", "eve": "xAI", "ara": "xAI", "rex": "xAI", "sal": "xAI", "leo": "xAI", "gemini": "Google"},
    "vendors' model and voice lists", _CHECKED,
)  # fmt: skip


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
    transcriber: str = TRANSCRIPTION_MODEL.value  # writes down what the caller says; empty: nobody does

    def __repr__(self) -> str:
        return f"SessionSettings(model={self.model!r}, voice={self.voice!r}, url={self.url!r})"


def price_list(model: str) -> Fact[tuple[Price, ...]] | None:
    """What a session with this model costs, by the figures of its usage; None where nobody told us."""
    known = PRICES.value.get(model)
    if known is None:
        return None
    text_in, text_out, audio_in, audio_out = known
    given, made, million = "input_token_details", "output_token_details", 1_000_000
    cached_text, cached_audio = (f"{given}.cached_tokens_details.{kind}_tokens" for kind in ("text", "audio"))
    prices = [
        Price(f"{given}.text_tokens", text_in, million, less=cached_text),
        Price(f"{given}.audio_tokens", audio_in, million, less=cached_audio),
        Price(f"{made}.text_tokens", text_out, million),
        Price(f"{made}.audio_tokens", audio_out, million),
    ]
    if cached := CACHED_PRICES.value.get(model):
        prices += [Price(cached_text, cached[0], million), Price(cached_audio, cached[1], million)]
    heard, written = TRANSCRIPTION_PRICES.value
    dated = (TRANSCRIPTION_PRICES.source, TRANSCRIPTION_PRICES.checked)
    prices += [
        Price("transcription.input_token_details.audio_tokens", heard, million, source=dated[0], checked=dated[1]),
        Price("transcription.output_tokens", written, million, source=dated[0], checked=dated[1]),
    ]
    return Fact(tuple(prices), PRICES.source, PRICES.checked)


def traits(settings: SessionSettings) -> v.ProviderTraits:
    """The manners of this provider."""
    return v.ProviderTraits(
        name=NAME, speaks_first="provider", echoes_session=True, turn_events=True,
        cancels_itself=True,  # turn_detection.interrupt_response is asked for
        truncates=True, session_limit_s=SESSION_LIMIT_S.value, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
        takes_said=True,  # an item's input_audio is read by the session's input format (openai-python, 2026-11-25)
    )  # fmt: skip


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


def ending(settings: SessionSettings) -> list[Ending]:
    """What of a session the provider has said it will not serve for ever."""
    if settings.transcriber != TRANSCRIPTION_MODEL.value:
        return []
    then = "it is left out once it is refused: calls go on, what callers say is not written down"
    return [Ending("transcript", TRANSCRIPTION_MODEL, then)]


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


_KNOWN = {str(message.__struct_config__.tag): message for message in get_args(FromPeer)}

# Known events that say nothing to the bridge.
_HARMLESS = frozenset(
    (
        "input_audio_buffer.committed", "input_audio_buffer.cleared", "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received", "conversation.created", "conversation.item.added",
        "conversation.item.done", "conversation.item.deleted", "conversation.item.retrieved",
        "conversation.item.truncated", "conversation.item.input_audio_transcription.segment",
        "conversation.item.input_audio_transcription.failed", "response.output_item.added",
        "response.output_item.done", "response.content_part.added", "response.content_part.done",
        "response.output_text.delta", "response.output_text.done",
        "response.function_call_arguments.delta", "rate_limits.updated", "output_audio_buffer.started",
        "output_audio_buffer.stopped", "output_audio_buffer.cleared",
    )
)  # fmt: skip

_BETA_FIELDS = ("input_audio_format", "output_audio_format", "modalities")

_json = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(FromPeer).decode
_APPEND_HEAD = b'{"type":"input_audio_buffer.append","audio":"'
_APPEND_MOST = APPEND_BYTES.value
# A piece of speech as it comes after the first of its item; what differs in anything is read by ``_decode``.
_USUAL_DELTA = (
    Usual("type", "is", "response.output_audio.delta"), Usual("event_id", "any", optional=True),
    Usual("response_id", "own", own=0), Usual("item_id", "own", own=1),
    Usual("output_index", "any", optional=True), Usual("content_index", "own-figure", own=2),
    Usual("delta", "audio"), Usual("obfuscation", "any", optional=True),
)  # fmt: skip
_WAY = ProviderWay(_USUAL_DELTA, (_APPEND_HEAD, b'"}'), frozenset(kind.encode() for kind in _HARMLESS))
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Where audio stands, by event.
_AUDIO_IN = {
    "input_audio_buffer.append": "audio", "response.output_audio.delta": "delta", "response.audio.delta": "delta",
}  # fmt: skip
_YEAR_3000 = 32_503_680_000  # in seconds since 1970
_ITEMS_KEPT = 64  # an item that old has long been played or cleared


# The defaults differ by model (silence 200 ms in one capture, 500 in the SDK's text), so all are said. 400 ms: shorter
# cuts off who thinks while speaking, longer is heard as slow.
TURN_DETECTION = {
    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 400,
    "create_response": True, "interrupt_response": True,
}  # fmt: skip


def session_object(settings: SessionSettings) -> dict[str, Any]:
    """The session that is asked for; what matters on a phone line is said, never left to a default."""
    transcription: dict[str, Any] = {"model": settings.transcriber}
    if settings.language:
        transcription["language"] = settings.language
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": settings.instructions,
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": transcription if settings.transcriber else None,
                "turn_detection": {**TURN_DETECTION},
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


# What of the asked session the echo is held against; without the first two the call cannot go on.
_FORMATS = ("audio.input.format", "audio.output.format")
_COMPARED = (
    *_FORMATS, "type", "audio.output.voice", "audio.input.turn_detection", "audio.input.transcription", "instructions",
    "output_modalities", "tools", "tool_choice",
)  # fmt: skip


# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one session."""

    __slots__ = (
        "_beta_seen", "_caller_text", "_handlers", "_received_bytes", "_sent_ids", "_settings", "_update_id",
        "violations",
    )  # fmt: skip

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._update_id: str | None = None  # of the session.update that is not answered yet
        self._sent_ids = 0
        self._received_bytes: dict[str, int] = {}  # of the latest items
        self._caller_text: dict[str, str] = {}
        self._beta_seen: set[str] = set()
        self._handlers: dict[type[Struct], Callable[[Any], v.Event]] = {
            SessionCreated: self._on_created,
            SessionUpdated: self._on_updated,
            SpeechStarted: lambda m: v.SpeechStarted(at_ms=_whole(m.audio_start_ms), item_id=m.item_id),
            SpeechStopped: lambda m: v.SpeechStopped(at_ms=_whole(m.audio_end_ms)),
            ResponseCreated: lambda m: v.ResponseStarted(response_id=m.response.id),
            ResponseDone: self._on_done,
            AudioDone: lambda m: v.AgentAudioDone(response_id=m.response_id, item_id=m.item_id),
            AgentWords: lambda m: v.AgentTranscript(m.response_id, m.item_id, m.delta, False),
            AgentSaid: lambda m: v.AgentTranscript(m.response_id, m.item_id, m.transcript, True),
            CallerWords: self._on_caller_words,
            CallerSaid: self._on_caller_said,
            ToolArguments: lambda m: v.ToolCalled(m.call_id, m.name, m.arguments, m.response_id),
            ErrorEvent: self._on_error,
        }

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._unread(data)
        if type(message) is AudioDelta:
            return self._audio(message, 92 in data)
        return self._handlers[type(message)](message)

    def _audio(self, message: AudioDelta, escaped: bool) -> v.Event:
        """
        The payload goes on untouched, so it must fit into any other JSON string.

        Without a backslash in the message it does. The alphabet is looked at in the first piece of an item and
        wherever a backslash was: whoever does not send base64 does not do it in the middle of a sentence.
        """
        payload = message.delta.encode()
        item_id = message.item_id
        n = len(payload)
        received = self._received_bytes.get(item_id)
        if not n or n & 3 or ((escaped or received is None) and not _is_base64(payload)):
            return self._broken("response.output_audio.delta", "delta", f"{n} characters", "padded base64")
        n_bytes = n // 4 * 3
        if payload[-1] == 61:  # "="
            n_bytes -= 2 if payload[-2] == 61 else 1
        if received is None:
            received = 0
            if len(self._received_bytes) >= _ITEMS_KEPT:
                del self._received_bytes[next(iter(self._received_bytes))]
        self._received_bytes[item_id] = received + n_bytes
        return v.AgentAudio(message.response_id, item_id, message.content_index, payload, n_bytes)

    def _unread(self, data: bytes) -> v.Event:
        """What no known message fits: an unknown one, one with near names, or a broken one."""
        try:
            message = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._broken("frame", "type", "no event", "an object with a type")
        kind = self._ga_name(kind)
        if kind in _HARMLESS:
            return v.Harmless(leg=v.Leg.PROVIDER, tag=kind)
        if kind not in _KNOWN:
            return v.Unknown(leg=v.Leg.PROVIDER, tag=kind[:80])
        return self._near(kind, {**message, "type": kind})

    def _ga_name(self, kind: str) -> str:
        name = BETA_NAMES.value.get(kind)
        if name is None:
            return kind
        if kind not in self._beta_seen:
            self._beta_seen.add(kind)
            got = f"'{kind}' of the beta shape"
            self.violations.append(_violation(kind, "type", got, f"'{name}'", by="peer", accepted=True))
        return name

    def _near(self, kind: str, message: dict[str, Any]) -> v.Event:
        """A message whose missing fields may stand there under nearly the right name."""
        fields = [field for field in msgspec.structs.fields(_KNOWN[kind]) if field.required]
        for name in (field.encode_name for field in fields):
            other = near_miss(name, message) if name not in message else None
            if other is not None:
                message[name] = message[other]
                self.violations.append(_violation(kind, name, f"'{other}'", f"'{name}'", by="peer", accepted=True))
        try:
            read = msgspec.convert(message, FromPeer)
        except msgspec.ValidationError as error:
            return self._broken(kind, _path(str(error)), str(error)[:120], "the GA shape")
        if type(read) is AudioDelta:
            return self._audio(read, True)
        return self._handlers[type(read)](read)

    def _on_created(self, message: SessionCreated) -> v.Event:
        for name in _BETA_FIELDS:
            if name in message.session:
                self.violations.append(
                    _violation("session.created", f"session.{name}", "the beta shape", "the GA shape", by="peer")
                )
                break
        expires = message.session.get("expires_at")
        if isinstance(expires, (int, float)) and not isinstance(expires, bool) and 0 < expires < _YEAR_3000:
            return v.SessionGreeted(float(expires))
        return v.SessionGreeted()

    def _on_updated(self, message: SessionUpdated) -> v.Event:
        self._update_id = None
        return v.SessionConfigured(differences=compare(self._settings, message.session))

    def _on_caller_words(self, message: CallerWords) -> v.Event:
        if len(self._caller_text) >= _ITEMS_KEPT and message.item_id not in self._caller_text:
            del self._caller_text[next(iter(self._caller_text))]
        text = (self._caller_text.get(message.item_id, "") + message.delta)[:4000]
        self._caller_text[message.item_id] = text
        return v.CallerTranscript(item_id=message.item_id, text=text, final=False)

    def _on_caller_said(self, message: CallerSaid) -> v.Event:
        self._caller_text.pop(message.item_id, None)
        figures = {f"transcription.{name}": n for name, n in (flat_figures(message.usage) or {}).items()}
        return v.CallerTranscript(item_id=message.item_id, text=message.transcript, final=True, usage=figures or None)

    def _on_done(self, message: ResponseDone) -> v.Event:
        response = message.response
        if response.status == "in_progress":
            return self._broken("response.done", "response.status", "none, or in_progress", "a final status")
        details = response.status_details
        reason: str | None = None
        if isinstance(details, dict):
            reason = _text(details.get("reason"))
            error = details.get("error")
            if isinstance(error, dict):
                said = error.get("message") or error.get("code") or error.get("type")
                reason = clean_text(str(said))[:200] if said else reason
        return v.ResponseDone(response.id, response.status, reason, flat_figures(response.usage))

    def _on_error(self, message: ErrorEvent) -> v.Event:
        error = message.error
        code = error.code or error.type or "error"
        text = clean_text(error.message or "")[:300]
        field = _text(error.param)
        if self._rejects_update(error, field):
            self._update_id = None
            spares = (field or "").startswith("session.audio.input.transcription")
            return v.SessionRejected(field=field, code=code, message=text, spares=spares)
        benign = code in BENIGN_CODES.value or any(part in text for part in BENIGN_TEXTS.value)
        return v.ProviderError(code=code, message=text, field=field, benign=benign, fatal=code in FATAL_CODES.value)

    def _rejects_update(self, error: ErrorBody, field: str | None) -> bool:
        """By the id of our update; where the error carries none (livekit/agents#1403), by the field it names."""
        if self._update_id is None or error.code in FATAL_CODES.value:
            return False
        if error.event_id is not None:
            return error.event_id == self._update_id
        return field is not None and field.split(".")[0] == "session"

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError for what the provider would refuse."""
        if type(command) is v.AppendAudio:
            return [self.append(command.payload)]
        return [_json.encode(message) for message in self._messages(command)]

    def append(self, payload: bytes) -> bytes:
        """The message that carries a piece of the caller's audio (base64 text). Raises LocalProtocolError."""
        n = len(payload)
        # 34 and 92 are the quote and the backslash, which would end or bend the JSON string
        if not n or n & 3 or n > _APPEND_MOST or 34 in payload or 92 in payload:
            raise self._local("input_audio_buffer.append", "audio", f"{n} characters", "padded base64")
        return _APPEND_HEAD + payload + b'"}'

    def way(self) -> ProviderWay | None:
        return _WAY

    def passed(self, item_id: str, n_bytes: int) -> None:
        self._received_bytes[item_id] = self._received_bytes.get(item_id, 0) + n_bytes

    def _messages(self, command: v.Command) -> list[dict[str, Any]]:
        match command:
            case v.ConfigureSession():
                self._settings = briefed(self._settings, command)
                if not command.transcribe:
                    self._settings = msgspec.structs.replace(self._settings, transcriber="")
                self._update_id = self._event_id()
                update = {"type": "session.update", "event_id": self._update_id}
                return [{**update, "session": session_object(self._settings)}]
            case v.Greet(text=text):
                # there is no "say this" on this wire; the instructions of one response come nearest
                asked = f"Greet the caller now. Say exactly this and nothing else: {text}"
                return [{"type": "response.create", "response": {"instructions": asked}}]
            case v.Say(text=text):
                asked = f"Say exactly this and nothing else, word for word: {text}"
                return [{"type": "response.create", "response": {"instructions": asked}}]
            case v.AskResponse(instructions=asked):
                return [{"type": "response.create", **({"response": {"instructions": asked}} if asked else {})}]
            case v.CancelResponse(response_id=response_id):
                return [{"type": "response.cancel", **({"response_id": response_id} if response_id else {})}]
            case v.Truncate():
                return self._truncate(command)
            case v.TellAgent(text=text):
                content = [{"type": "input_text", "text": text}]
                item = {"type": "message", "role": "user", "content": content}
                return [{"type": "conversation.item.create", "item": item}]
            case v.TellSaid(payload=payload):
                content = [{"type": "input_audio", "audio": payload.decode()}]
                item = {"type": "message", "role": "user", "content": content}
                return [{"type": "conversation.item.create", "item": item}]
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return [{"type": "conversation.item.create", "item": item}]
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def _truncate(self, command: v.Truncate) -> list[dict[str, Any]]:
        heard_ms = command.heard_ms
        if type(heard_ms) is not int or heard_ms < 0:
            raise self._local("conversation.item.truncate", "audio_end_ms", repr(heard_ms)[:40], "an integer from 0")
        received_bytes = self._received_bytes.get(command.item_id)
        if received_bytes is None:
            return []  # of an item that sent no audio there is nothing to take back
        message = {
            "type": "conversation.item.truncate",
            "item_id": command.item_id,
            "content_index": command.content_index,
            # never past what was received: "Audio content of Xms is already shorter than Yms"
            "audio_end_ms": min(heard_ms, received_bytes // 8),
        }
        return [message]

    def _event_id(self) -> str:
        self._sent_ids += 1
        return f"offhook_{self._sent_ids}"

    def _local(self, message: str, field: str, got: str, wanted: str) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us"))

    # ------------------------------------------------------------------------------------------ redact

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> Mapping[str, Any]:
        """A message of either direction as it may be written down: audio as sizes, no secrets, numbers masked."""
        return redact_json(data, _AUDIO_IN, binary=binary, digits=digits)


def compare(settings: SessionSettings, echo: Mapping[str, Any]) -> tuple[v.Difference, ...]:
    """
    Where the echo is not what was asked; filled-in defaults and left-out fields are no differences.

    A field that is there and null was switched off. A format that is left out is named and not fatal: the bytes per
    second that arrive will tell.
    """
    for name in _BETA_FIELDS:
        if name in echo:
            return (v.Difference("session", "the GA shape", f"the beta shape ({name})", fatal=True),)
    asked = session_object(settings)
    found = []
    for path in _COMPARED:
        fatal = path in _FORMATS
        want, got = _at(asked, path), _at(echo, path)
        if want is _ABSENT:
            continue
        if got is _ABSENT:
            if fatal:
                found.append(v.Difference(path, _short(want), "left out of the echo", fatal=False))
        elif not _same(want, got):
            found.append(v.Difference(path, _short(want), _short(got), fatal=fatal))
    model = echo.get("model")
    if isinstance(model, str) and model and not _same_model(settings.model, model):
        found.append(v.Difference(field="model", asked=settings.model, got=model[:80], fatal=False))
    return tuple(found)


def _same_model(asked: str, got: str) -> bool:
    """An alias is answered by a dated name of the same model."""
    return got == asked or bool(re.fullmatch(re.escape(asked) + r"-\d{4}-\d{2}-\d{2}", got))


def _same(want: Any, got: Any) -> bool:
    if isinstance(want, dict) and isinstance(got, dict):
        return all(key not in got or _same(value, got[key]) for key, value in want.items()) and (
            "type" not in want or want["type"] == got.get("type")
        )
    if isinstance(want, str) and isinstance(got, dict):
        return want in (got.get("id"), got.get("name"))  # a voice as an object
    if isinstance(want, str) and isinstance(got, str):
        return want.strip() == got.strip()
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(_same(a, b) for a, b in zip(want, got, strict=True))
    if isinstance(want, float) and isinstance(got, float):
        return abs(want - got) < 1e-6  # 0.5 may come back as a 32-bit float
    return type(want) is type(got) and bool(want == got)


_ABSENT = object()


def _at(node: Any, path: str) -> Any:
    """The value at ``path``; None when something on the way is null, ``_ABSENT`` when it is not there."""
    for part in path.split("."):
        if node is None:
            return None
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _short(value: Any) -> str:
    return clean_text(value if isinstance(value, str) else _json.encode(value).decode())[:80]


def _whole(value: int | float | None) -> int | None:
    return None if value is None else int(value)


def _is_base64(payload: bytes) -> bool:
    rest = payload.translate(None, _BASE64)
    return rest in (b"", b"=", b"==") and payload.endswith(rest)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _path(error: str) -> str | None:
    """The field that a msgspec error names: it ends in "- at `$.response.id`", or has the missing one in ticks."""
    found = re.search(r"`\$\.([\w.\[\]]+)`", error) or re.search(r"field `(\w+)`", error)
    return found[1] if found else None


def _violation(
    message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"], accepted: bool = False
) -> Violation:
    return Violation(NAME, message, field, got, wanted, _SDK, by, accepted=accepted)

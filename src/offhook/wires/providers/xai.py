"""
xAI Grok voice, our side. The other side is ``_xai_peer.py``.

Looks like OpenAI Realtime and is not: voice and turn detection stand at the top of the session, unknown fields are
ignored in silence, an unknown model is replaced in silence, transcripts are cumulative and come repeatedly.
Knows nothing of carriers, sockets or time.
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

NAME = "xai"
LABEL = "xAI Grok voice"
ALIASES = ("grok",)

# ------------------------------------------------------------------------------------------------ facts

_DOCS = "docs.x.ai/developers/model-capabilities/audio/speech-to-speech"
_EVENTS = "docs.x.ai voice-realtime.ws.json"
_CHECKED = "2026-11-22"

ENDPOINT = Fact("wss://api.x.ai/v1/realtime", _DOCS, _CHECKED)
# The query has flipped twice, so it is the value that is checked, not the presence of the parameter.
MODEL_QUERY = Fact("model", _DOCS, _CHECKED)
MODEL_QUERY_HISTORY = (
    Fact(None, "launch documentation: bare URL", "2025-12-15", until="2026-04-25"),
    Fact(None, "gptme/gptme-contrib#692 dropped the query", "2026-04-19", until="2026-04-25"),
    Fact("model", "gptme/gptme-contrib#757 put it back: without it an old model answered in silence", "2026-04-25"),
    Fact("model", "pipecat-ai/pipecat#4401: a model inside session.update is ignored", "2026-05-01"),
)
KEY_ENV = "XAI_API_KEY"
KEY_PREFIX = Fact("xai-", "console.x.ai", _CHECKED)
MODELS: Fact[tuple[str, ...]] = Fact(("grok-voice-latest", "grok-voice-3.0", "grok-voice-2.0"), _DOCS, _CHECKED)
DEFAULT_MODEL = Fact("grok-voice-latest", _DOCS, _CHECKED)
LATEST_MODEL = Fact("grok-voice-3.0", "docs.x.ai release notes, 2026-10-14", _CHECKED)
DEPRECATED_MODELS = Fact(
    ("grok-voice-fast-1.0", "grok-voice-think-fast-1.0", "grok-voice-think-fast-2.0", "grok-voice-2.0"),
    "docs.x.ai release notes",
    _CHECKED,
)
# Names that appear in third-party code and were never voice models, and one that is served no more.
DEAD_MODELS = Fact(
    ("grok-2-realtime", "grok-3", "grok-3-fast", "grok-4.1", "grok-voice-fast-1.0"),
    "gptme/gptme-contrib#688-#694; docs.x.ai release notes",
    _CHECKED,
)
VOICES: Fact[tuple[str, ...]] = Fact(
    ("eve", "ara", "rex", "sal", "leo", "carina", "helix", "zagan"), "docs.x.ai GET /v1/tts/voices", _CHECKED
)
DEFAULT_VOICE = Fact("eve", _DOCS, _CHECKED)
# Echoed voice ids come back with one of these before the name.
VOICE_PREFIXES = Fact(
    ("xai_", "human_"), "TheSmokeDev/hermes-talk capture 2026-08-28; pipecat-ai/pipecat#3720", _CHECKED
)
TRANSCRIPTION_MODEL = Fact("grok-transcribe", _EVENTS, _CHECKED)
# Documents disagree (30, 60, 120 min); the shortest that was seen to cut a call is believed.
SESSION_LIMIT_S = Fact(1800.0, "hkjarral/AVA-AI-Voice-Agent-for-Asterisk docs", _CHECKED)
PRICE_PER_MINUTE = Fact(0.08, "docs.x.ai pricing, by way of litellm 1.109.1", _CHECKED)
# The text is the same as OpenAI's, the code is not: the text decides (pipecat-ai/pipecat#4533).
BENIGN_TEXTS = Fact(
    ("no active response found", "is already shorter than", "active response"), "pipecat-ai/pipecat#4533", _CHECKED
)
FATAL_TYPES = Fact(("max_duration", "timeout"), _EVENTS, _CHECKED)
OTHERS_KEYS = Fact({"sk-ant-": "Anthropic", "sk-": "OpenAI", "AIza": "Google"}, "vendors' consoles", _CHECKED)
OTHERS_NAMES = Fact(
    {"gpt": "OpenAI", "alloy": "OpenAI", "ash": "OpenAI", "ballad": "OpenAI", "coral": "OpenAI", "echo": "OpenAI",
     "sage": "OpenAI", "shimmer": "OpenAI", "verse": "OpenAI", "marin": "OpenAI", "cedar": "OpenAI",
     "gemini": "Google"}, "vendors' model and voice lists", _CHECKED,
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

    def __repr__(self) -> str:
        return f"SessionSettings(model={self.model!r}, voice={self.voice!r}, url={self.url!r})"


def traits(settings: SessionSettings) -> v.ProviderTraits:
    """The manners of this provider."""
    return v.ProviderTraits(
        name=NAME, speaks_first="provider", echoes_session=True, turn_events=True, cancels_itself=True,
        truncates=True, session_limit_s=SESSION_LIMIT_S.value, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
    )  # fmt: skip


def connect_request(settings: SessionSettings) -> ConnectRequest:
    """URL and headers of a session. The model goes into the query: inside the session it is ignored."""
    return ConnectRequest(
        url=f"{settings.url}?{MODEL_QUERY.value}={quote(settings.model, safe='')}",
        headers=(("Authorization", f"Bearer {settings.api_key}"),),
    )


def check(settings: SessionSettings) -> list[SettingProblem]:
    """What cannot work with this provider, known without dialling."""
    unlisted, names = settings.allow_unlisted, OTHERS_NAMES.value
    return [
        *check_key(settings.api_key, env=KEY_ENV, prefix="xai-", others=OTHERS_KEYS.value, source=KEY_PREFIX),
        *check_name("model", settings.model, vendor="xAI", listed=MODELS, dead=DEAD_MODELS.value, others=names,
                    allow_unlisted=unlisted),
        *check_name("voice", settings.voice, vendor="xAI", listed=VOICES, dead=(), others=names,
                    allow_unlisted=unlisted),
        *check_url(settings.url, endpoint=ENDPOINT, env=KEY_ENV),
    ]  # fmt: skip


def explain_close(code: int | None, reason: str) -> str:
    """What a close of this provider means. Its codes are documented nowhere."""
    if "duration" in reason:
        return "the session reached its maximum duration"
    if code is None or code in (1005, 1006):
        return "the connection was dropped without a close"
    return f"closed by xAI with {code} {reason}; what its codes mean is not documented".strip()


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
_HARMLESS = frozenset(
    (
        "ping", "input_audio_buffer.cleared", "conversation.item.added", "conversation.item.created",
        "conversation.item.deleted", "conversation.item.truncated", "response.output_item.added",
        "response.output_item.done", "response.content_part.added", "response.content_part.done", "response.text.delta",
        "response.text.done", "response.output_text.delta", "response.output_text.done",
        "response.function_call_arguments.delta", "mcp_list_tools.in_progress", "mcp_list_tools.completed",
        "mcp_list_tools.failed", "input_audio_buffer.timeout_triggered",
    )
)  # fmt: skip
PHONE = {"type": "audio/pcmu", "rate": 8000}


def session_object(settings: SessionSettings) -> dict[str, Any]:
    """The session that is asked for: voice and turn detection at the top, formats under audio."""
    transcription: dict[str, Any] = {"model": TRANSCRIPTION_MODEL.value}
    if settings.language:
        transcription["language_hint"] = settings.language
    session: dict[str, Any] = {
        "voice": settings.voice,
        "instructions": settings.instructions,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.85,
            "silence_duration_ms": 400,
            "prefix_padding_ms": 333,
        },
        "audio": {"input": {"format": PHONE, "transcription": transcription}, "output": {"format": PHONE}},
    }
    if settings.tools:
        session["tools"] = [
            {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in settings.tools
        ]
    return session


# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one session."""

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._update_sent = False
        self._confirmed = False
        self._greeted = False
        self._received_bytes: dict[str, int] = {}
        self._committed: set[str] = set()
        self._transcribed: set[str] = set()
        self._handlers: dict[str, Callable[[dict[str, Any]], v.Event]] = {
            "session.created": self._on_greeting,
            "conversation.created": self._on_greeting,  # older servers send only this one
            "session.updated": self._on_updated,
            "input_audio_buffer.speech_started": lambda m: v.SpeechStarted(
                at_ms=_int(m.get("audio_start_ms")), item_id=_text(m.get("item_id"))
            ),
            "input_audio_buffer.speech_stopped": lambda m: v.SpeechStopped(at_ms=_int(m.get("audio_end_ms"))),
            "input_audio_buffer.committed": self._on_committed,
            "response.created": lambda m: v.ResponseStarted(response_id=str(m["response"]["id"])),
            "response.output_audio.done": lambda m: v.AgentAudioDone(
                response_id=str(m["response_id"]), item_id=str(m["item_id"])
            ),
            "response.output_audio_transcript.delta": lambda m: self._agent_said(m, "delta", False),
            "response.output_audio_transcript.done": lambda m: self._agent_said(m, "transcript", True),
            "conversation.item.input_audio_transcription.updated": lambda m: v.CallerTranscript(
                item_id=str(m["item_id"]), text=str(m["transcript"]), final=False
            ),
            "conversation.item.input_audio_transcription.completed": self._on_transcribed,
            "response.function_call_arguments.done": lambda m: v.ToolCalled(
                tool_call_id=str(m["call_id"]),
                name=str(m["name"]),
                arguments=str(m["arguments"]),
                response_id=_text(m.get("response_id")),
            ),
            "response.done": self._on_done,
            "error": self._on_error,
        }

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:  # the transport setting "binary" was not asked for
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        if data.startswith(_AUDIO_HEAD):
            return self._audio(data)
        try:
            message = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._broken("frame", "type", "no event", "an object with a type")
        if kind == "response.output_audio.delta":
            return self._audio(data)
        handler = self._handlers.get(kind)
        if handler is None:
            known = kind in _HARMLESS
            return (v.Harmless if known else v.Unknown)(leg=v.Leg.PROVIDER, tag=kind[:80])
        try:
            return handler(message)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            return self._broken(kind, str(error)[:60], "missing or of another type", "the documented shape")

    def _audio(self, data: bytes) -> v.Event:
        try:
            message = _audio_decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._broken("response.output_audio.delta", None, str(error)[:120], "the documented shape")
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
        self._received_bytes[message.item_id] = self._received_bytes.get(message.item_id, 0) + n_bytes
        return v.AgentAudio(message.response_id, message.item_id, message.content_index, payload, n_bytes)

    def _on_greeting(self, message: dict[str, Any]) -> v.Event:
        if self._greeted:  # session.created, then conversation.created: one greeting
            return v.Harmless(leg=v.Leg.PROVIDER, tag=str(message["type"]))
        self._greeted = True
        return v.SessionGreeted()

    def _on_updated(self, message: dict[str, Any]) -> v.Event:
        self._confirmed = True
        return v.SessionConfigured(differences=compare(self._settings, message["session"]))

    def _on_committed(self, message: dict[str, Any]) -> v.Event:
        self._committed.add(str(message["item_id"]))
        return v.Harmless(leg=v.Leg.PROVIDER, tag="input_audio_buffer.committed")

    def _on_transcribed(self, message: dict[str, Any]) -> v.Event:
        """It comes several times an item, also before the commit: the first one after the commit counts."""
        item_id = str(message["item_id"])
        if item_id not in self._committed:
            return v.CallerTranscript(item_id=item_id, text=str(message["transcript"]), final=False)
        if item_id in self._transcribed:
            return v.Harmless(leg=v.Leg.PROVIDER, tag="conversation.item.input_audio_transcription.completed")
        self._transcribed.add(item_id)
        return v.CallerTranscript(item_id=item_id, text=str(message["transcript"]), final=True)

    def _agent_said(self, message: dict[str, Any], field: str, final: bool) -> v.Event:
        return v.AgentTranscript(
            response_id=str(message["response_id"]),
            item_id=str(message["item_id"]),
            text=str(message[field]),
            final=final,
        )

    def _on_done(self, message: dict[str, Any]) -> v.Event:
        response = message["response"]
        details = response.get("status_details")
        reason: str | None = None
        if isinstance(details, dict):  # it can be the text "unimplemented"
            error = details.get("error")
            reason = str(error.get("message"))[:200] if isinstance(error, dict) else _text(details.get("reason"))
        status = response.get("status", "completed")
        if status not in ("completed", "cancelled", "failed", "incomplete"):
            return self._broken("response.done", "response.status", repr(status)[:40], "a final status")
        figures = usage(response.get("usage") or message.get("usage"))
        return v.ResponseDone(response_id=str(response["id"]), status=status, reason=reason, usage=figures)

    def _on_error(self, message: dict[str, Any]) -> v.Event:
        error = message["error"]
        kind = str(error.get("type") or "error")
        code = str(error.get("code") or kind)
        text = _SECRET.sub("***", str(error.get("message") or ""))[:300]
        field = _text(error.get("param"))
        if self._update_sent and not self._confirmed and kind != "max_duration":
            return v.SessionRejected(field=field, code=code, message=text)
        return v.ProviderError(
            code=code,
            message=text,
            field=field,
            benign=any(part in text for part in BENIGN_TEXTS.value),
            fatal=kind in FATAL_TYPES.value,
        )

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError for what the provider would refuse."""
        if type(command) is v.AppendAudio:
            if not command.payload:
                raise LocalProtocolError(_violation("input_audio_buffer.append", "audio", "nothing", "audio", by="us"))
            return [_APPEND_HEAD + command.payload + b'"}']
        return [_json.encode(self._message(command))]

    def _message(self, command: v.Command) -> dict[str, Any]:
        match command:
            case v.ConfigureSession():
                self._update_sent = True
                return {"type": "session.update", "session": session_object(self._settings)}
            case v.Greet(text=text):
                # spoken word for word at once; a response.create after it would speak over it
                content = [{"type": "output_text", "text": text}]
                item = {"type": "force_message", "role": "assistant", "content": content, "interruptible": True}
                return {"type": "conversation.item.create", "item": item}
            case v.AskResponse(instructions=None):
                return {"type": "response.create"}
            case v.AskResponse(instructions=instructions):
                return {"type": "response.create", "response": {"modalities": ["audio"], "instructions": instructions}}
            case v.CancelResponse():
                return {"type": "response.cancel"}
            case v.Truncate(item_id=item_id, content_index=index, heard_ms=heard_ms):
                if heard_ms < 0:
                    raise LocalProtocolError(
                        _violation("conversation.item.truncate", "audio_end_ms", str(heard_ms), "0 or more", by="us")
                    )
                received_ms = self._received_bytes.get(item_id, 0) // 8
                return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": index,
                        "audio_end_ms": min(heard_ms, received_ms)}  # fmt: skip
            case v.TellAgent(text=text):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
                return {"type": "conversation.item.create", "item": item}
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return {"type": "conversation.item.create", "item": item}
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

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
        for name in ("audio", "delta"):
            value = message.get(name)
            if isinstance(value, str) and (name == "audio" or message.get("type") == "response.output_audio.delta"):
                message[name] = f"<{len(value)} characters>"
        return message


_SECRET = re.compile(r"\bxai-[\w*-]{4,}")


def compare(settings: SessionSettings, echo: Any) -> tuple[v.Difference, ...]:
    """
    Where the echo is not what was asked. It is normalised by the provider: voices come back prefixed and in any case,
    the id may be absent, fields may be left out.

    A missing audio format means the default, PCM16 at 24 kHz: static on the line. That and a different one are fatal.
    """
    if not isinstance(echo, dict):
        return (v.Difference(field="session", asked="an object", got=type(echo).__name__, fatal=True),)
    found = []
    given_audio = echo.get("audio")
    audio: dict[str, Any] = given_audio if isinstance(given_audio, dict) else {}
    for side in ("input", "output"):
        given = audio.get(side, {}).get("format") if isinstance(audio.get(side), dict) else None
        if not isinstance(given, dict) or given.get("type") != "audio/pcmu" or given.get("rate", 8000) != 8000:
            got = _json.encode(given).decode()[:80] if given else "nothing, so PCM16 at 24 kHz"
            found.append(v.Difference(field=f"audio.{side}.format", asked="audio/pcmu 8000", got=got, fatal=True))
    voice = echo.get("voice")
    if isinstance(voice, str) and _plain_voice(voice) != settings.voice.lower():
        found.append(v.Difference(field="voice", asked=settings.voice, got=voice, fatal=False))
    model = echo.get("model")
    if isinstance(model, str) and model and not _same_model(settings.model, model):
        found.append(v.Difference(field="model", asked=settings.model, got=model, fatal=False))
    turn = echo.get("turn_detection")
    if isinstance(turn, dict) and turn.get("type") != "server_vad":
        found.append(v.Difference(field="turn_detection", asked="server_vad", got=str(turn.get("type")), fatal=False))
    return tuple(found)


def _plain_voice(voice: str) -> str:
    voice = voice.lower()
    for prefix in VOICE_PREFIXES.value:
        voice = voice.removeprefix(prefix)
    return voice


def _same_model(asked: str, got: str) -> bool:
    """``latest`` is answered by the name of the day, which moves; a named model must be that model."""
    if asked == "grok-voice-latest":
        return got.startswith("grok-voice-") and got not in DEPRECATED_MODELS.value
    return got == asked


def usage(given: Any) -> dict[str, int] | None:
    """The provider's usage figures, flattened."""
    if not isinstance(given, dict):
        return None
    flat: dict[str, int] = {}
    for key, value in given.items():
        if isinstance(value, int) and not isinstance(value, bool):
            flat[key] = value
        elif isinstance(value, dict):
            flat.update({f"{key}.{name}": n for name, n in (usage(value) or {}).items()})
    return flat


def _int(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _violation(message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"]) -> Violation:
    return Violation(wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_EVENTS, by=by)

"""
xAI Grok voice, our side. The other side is ``_xai_peer.py``.

Looks like OpenAI Realtime and is not: voice and turn detection stand at the top of the session, unknown fields are
ignored in silence, an unknown model is replaced in silence, transcripts are cumulative and come repeatedly. So the
echo of the session is the only proof of anything. Knows nothing of carriers, sockets or time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
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
from offhook.wires.providers import _xai_messages as wire

NAME = "xai"
LABEL = "xAI Grok voice"
ALIASES = ("grok",)

# ------------------------------------------------------------------------------------------------ facts

_DOCS = "docs.x.ai/developers/model-capabilities/audio/speech-to-speech"
_EVENTS = "docs.x.ai voice-realtime.ws.json"
_NOTES = "docs.x.ai/developers/release-notes"
_CHECKED = "2026-11-22"

ENDPOINT = Fact("wss://api.x.ai/v1/realtime", _DOCS, _CHECKED)
# The parameter went and came back within a week in one project, so its presence proves nothing: the value is checked,
# and then the echo. The first fact that has no ``until`` is the one in force.
MODEL_QUERY_HISTORY: tuple[Fact[str | None], ...] = (
    Fact(None, "docs.x.ai, launch pages: bare URL", "2025-12-17", until="2026-04-25"),
    Fact(None, "gptme/gptme-contrib#692 dropped the query", "2026-04-19", until="2026-04-25"),
    Fact("model", "gptme/gptme-contrib#757 put it back: without it an old default model answered", _CHECKED),
    Fact("model", "pipecat-ai/pipecat#4401: a model inside session.update is ignored", _CHECKED),
)
MODEL_QUERY = next(fact.value for fact in MODEL_QUERY_HISTORY if fact.value is not None and fact.until is None)
KEY_ENV = "XAI_API_KEY"
KEY_PREFIX = Fact("xai-", "console.x.ai", _CHECKED)
MODELS: Fact[tuple[str, ...]] = Fact(("grok-voice-latest", "grok-voice-3.0"), _NOTES, _CHECKED)
DEFAULT_MODEL = Fact("grok-voice-latest", _DOCS, _CHECKED)
LATEST_MODEL_HISTORY = (  # what "latest" was answered by
    Fact("grok-voice-think-fast-1.0", _NOTES, "2026-04-23", until="2026-08-05"),
    Fact("grok-voice-think-fast-2.0", _NOTES, "2026-08-05", until="2026-10-14"),
    Fact("grok-voice-3.0", _NOTES, _CHECKED),
)
LATEST_MODEL = LATEST_MODEL_HISTORY[-1]
# Names that were served and are superseded; each until the date on which xAI or its staff called it so.
DEPRECATED_MODELS = (
    Fact("grok-voice-fast-1.0", "livekit/agents#5548; BerriAI/litellm-docs#362", _CHECKED, until="2026-04-24"),
    Fact("grok-voice-think-fast-1.0", _NOTES, _CHECKED, until="2026-08-05"),
    Fact("grok-voice-think-fast-2.0", _NOTES, _CHECKED, until="2026-10-14"),
    Fact("grok-voice-2.0", _NOTES, _CHECKED, until="2026-10-14"),
)
# Text models, and one name that never existed: all stand in published code as realtime models.
DEAD_MODELS: Fact[tuple[str, ...]] = Fact(
    ("grok-2-realtime", "grok-3", "grok-3-fast", "grok-4.1"), "gptme/gptme-contrib#691, #692", _CHECKED
)
VOICES: Fact[tuple[str, ...]] = Fact(
    (
        "eve", "ara", "rex", "sal", "leo", "carina", "helix", "zagan", "orion", "luna", "iris", "altair", "zenith",
        "perseus", "helios", "lux", "kepler", "rigel", "cosmo", "celeste", "ursa", "sirius", "lumen", "castor",
        "naksh", "atlas",
    ), "docs.x.ai GET /v1/tts/voices, by way of livekit-plugins-xai 1.8.9 types.py", _CHECKED,
)  # fmt: skip
DEFAULT_VOICE = Fact("eve", _DOCS, _CHECKED)
# Echoed voice ids come back in any case and with one of these before the name.
VOICE_PREFIXES = Fact(
    ("xai_", "human_"), "TheSmokeDev/hermes-talk#70 capture 2026-08-28; pipecat-ai/pipecat#3720", _CHECKED
)
TRANSCRIPTION_MODEL = Fact("grok-transcribe", _EVENTS, _CHECKED)
DEFAULT_FORMAT = Fact({"type": "audio/pcm", "rate": 24000}, _EVENTS, _CHECKED)
# Documents disagree (30, 60, 120 min); the shortest that was seen to cut a call is believed.
SESSION_LIMIT_S = Fact(1800.0, "hkjarral/AVA-AI-Voice-Agent-for-Asterisk docs/Provider-Grok-Setup.md", _CHECKED)
# US dollars for each minute that a session is open, whoever speaks. It was 0.05 with the models before grok-voice-2.0.
PRICE_PER_MINUTE = Fact(0.08, "docs.x.ai pricing, by way of litellm 1.109.1", _CHECKED)
PRICE_PER_TEXT = Fact(0.004, "docs.x.ai pricing, by way of litellm 1.109.1", _CHECKED)  # each text item from us
# ``.completed`` comes around the commit, and no capture tells how late. What was said before the commit stands then.
TRANSCRIPT_SETTLES_S = Fact(0.5, "TheSmokeDev/hermes-talk#70 repeats it around the commit", _CHECKED, assumed=True)
# The texts are OpenAI's, the codes are not: the text decides (pipecat-ai/pipecat#4533).
BENIGN_TEXTS = Fact(
    ("no active response found", "already has an active response", "is already shorter than"),
    "pipecat-ai/pipecat#4533, #2106", _CHECKED,
)  # fmt: skip
FATAL_TYPES = Fact(("max_duration",), _EVENTS, _CHECKED)
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


def price_list(model: str) -> Fact[tuple[Price, ...]] | None:
    """What a session with this model costs: minutes, and texts sent into it. None for models with an older price."""
    if model in {fact.value for fact in DEPRECATED_MODELS if fact.value != "grok-voice-2.0"}:
        return None
    prices = (Price("minutes", PRICE_PER_MINUTE.value), Price("texts", PRICE_PER_TEXT.value))
    return Fact(prices, PRICE_PER_MINUTE.source, PRICE_PER_MINUTE.checked)


def traits(settings: SessionSettings) -> v.ProviderTraits:
    """The manners of this provider."""
    return v.ProviderTraits(
        name=NAME, speaks_first="provider", echoes_session=True, turn_events=True, cancels_itself=True,
        truncates=True, session_limit_s=SESSION_LIMIT_S.value, audio_in=v.PCMU_8K, audio_out=v.PCMU_8K,
    )  # fmt: skip


def connect_request(settings: SessionSettings) -> ConnectRequest:
    """URL and headers of a session. The model goes into the query: inside the session it is ignored."""
    return ConnectRequest(
        url=f"{settings.url}?{MODEL_QUERY}={quote(settings.model, safe='')}",
        headers=(("Authorization", f"Bearer {settings.api_key}"),),
    )


def check(settings: SessionSettings) -> list[SettingProblem]:
    """What cannot work with this provider, known without dialling."""
    unlisted, names = settings.allow_unlisted, OTHERS_NAMES.value
    old = next((fact for fact in DEPRECATED_MODELS if fact.value == settings.model), None)
    return [
        *check_key(settings.api_key, env=KEY_ENV, prefix=KEY_PREFIX.value, others=OTHERS_KEYS.value, source=KEY_PREFIX),
        *(_superseded(old, unlisted) if old is not None else
          check_name("model", settings.model, vendor="xAI", listed=MODELS, dead=DEAD_MODELS.value, others=names,
                     allow_unlisted=unlisted)),
        *check_name("voice", settings.voice, vendor="xAI", listed=VOICES, dead=(), others=names,
                    allow_unlisted=unlisted),
        *check_url(settings.url, endpoint=ENDPOINT, env=KEY_ENV),
    ]  # fmt: skip


def _superseded(model: Fact[str], allow_unlisted: bool) -> list[SettingProblem]:
    if allow_unlisted:
        return []
    got = f"{model.value!r}, which xAI calls deprecated since {model.until}"
    fix = f'write model = "{DEFAULT_MODEL.value}", or set provider.allow_unlisted = true: then the echo decides'
    return [SettingProblem("provider.model", got, "one of " + ", ".join(MODELS.value), fix, model.source)]


# Nobody has recorded a close of this provider: these are RFC 6455's meanings, not xAI's.
_CLOSES = {
    1000: "it ended the session without an error",
    1001: "it is going away, or the session was too old",
    1008: "it calls something a policy violation: look at the key and the account",
    1011: "an internal error of the provider",
    1012: "it restarts",
    1013: "it is overloaded: try again later",
}


def ending(settings: SessionSettings) -> list[Ending]:
    """Nothing of a session has an end that we know of."""
    return []


def explain_close(code: int | None, reason: str) -> str:
    """What a close of this provider means. Its codes are documented nowhere, so the text is quoted."""
    if re.search(r"max\w*[ _]duration", reason):
        return "the session reached its maximum duration"
    if code is None or code in (1005, 1006):
        return "the connection was dropped without a close"
    meaning = _CLOSES.get(code, "what that means is not documented")
    said = f' "{clean_text(reason)}"' if reason else ""
    return f"closed by xAI with {code}{said}: {meaning}"


# --------------------------------------------------------------------------------------------- messages


_json = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(wire.FromPeer).decode
_AudioDelta = wire.AudioDelta
_APPEND_HEAD = b'{"type":"input_audio_buffer.append","audio":"'
# A piece of speech as it comes after the first of its item; what differs in anything is read by ``_decode``.
_USUAL_DELTA = (
    Usual("type", "is", "response.output_audio.delta"), Usual("event_id", "any", optional=True),
    Usual("response_id", "own", own=0), Usual("item_id", "own", own=1),
    Usual("output_index", "any", optional=True), Usual("content_index", "own-figure", own=2),
    Usual("delta", "audio"),
)  # fmt: skip
_WAY = ProviderWay(_USUAL_DELTA, (_APPEND_HEAD, b'"}'))
_AUDIO_IN = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_ITEMS_KEPT = 64  # an item that old has long been played or cleared
PHONE = {"type": "audio/pcmu", "rate": 8000}
# The documented defaults, said all the same, but for the silence: 400 ms, as with every provider. Shorter cuts off who
# thinks while speaking, longer is heard as slow.
TURN_DETECTION = {"type": "server_vad", "threshold": 0.85, "prefix_padding_ms": 333, "silence_duration_ms": 400}


def session_object(settings: SessionSettings) -> dict[str, Any]:
    """The session that is asked for: voice and turn detection at the top, formats under audio."""
    transcription: dict[str, Any] = {"model": TRANSCRIPTION_MODEL.value}
    if settings.language:
        transcription["language_hint"] = settings.language
    session: dict[str, Any] = {
        "voice": settings.voice,
        "instructions": settings.instructions,
        "turn_detection": {**TURN_DETECTION},
        "audio": {"input": {"format": {**PHONE}, "transcription": transcription}, "output": {"format": {**PHONE}}},
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

    __slots__ = (
        "_agent_text", "_asked_since_update", "_committed", "_early", "_greeted", "_handlers", "_model_named",
        "_now", "_owed", "_received_bytes", "_sent_ids", "_settings", "_update_id", "violations",
    )  # fmt: skip

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._update_id: str | None = None  # of the session.update that is not answered yet
        self._asked_since_update = False  # whether an error can be about anything but the update
        self._sent_ids = 0
        self._greeted = False
        self._model_named: str | None = None  # by session.created
        self._received_bytes: dict[str, int] = {}  # of the latest items
        self._agent_text: dict[str, str] = {}
        self._committed: dict[str, bool] = {}  # caller's items -> whether the final transcript came
        self._early: dict[str, str] = {}  # transcripts that were complete before the commit
        self._owed: tuple[str, float] | None = None  # the item that has only such a one, and when it was committed
        self._now = 0.0  # of the message that is being read, but for audio
        self._handlers: dict[type[Struct], Callable[[Any], v.Event]] = {
            wire.SessionCreated: self._on_created,
            wire.ConversationCreated: lambda m: self._greeting("conversation.created"),
            wire.SessionUpdated: self._on_updated,
            wire.SpeechStarted: lambda m: v.SpeechStarted(at_ms=_whole(m.audio_start_ms), item_id=m.item_id),
            wire.SpeechStopped: lambda m: v.SpeechStopped(at_ms=_whole(m.audio_end_ms)),
            wire.Committed: self._on_committed,
            wire.ResponseCreated: lambda m: v.ResponseStarted(response_id=m.response.id),
            wire.ResponseDone: self._on_done,
            wire.AudioDone: lambda m: v.AgentAudioDone(response_id=m.response_id, item_id=m.item_id),
            wire.AgentWords: self._on_agent_words,
            wire.AgentSaid: self._on_agent_said,
            wire.CallerWords: lambda m: v.CallerTranscript(item_id=m.item_id, text=m.transcript, final=False),
            wire.CallerSaid: self._on_caller_said,
            wire.ToolArguments: lambda m: v.ToolCalled(m.call_id, m.name, m.arguments, m.response_id),
            wire.ErrorEvent: self._on_error,
        }

    # ----------------------------------------------------------------------------------------- receive

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """
        The event that a message stands for. Never raises.

        An audio payload goes on untouched, so it must fit into any other JSON string. Without a backslash in the
        message it does. The alphabet is looked at in the first piece of an item and wherever a backslash was: whoever
        does not send base64 does not do it in the middle of a sentence.
        """
        if binary:  # the transport "binary" was not asked for
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._unread(data, now)
        if type(message) is not _AudioDelta:
            self._now = now
            return self._handlers[type(message)](message)
        payload = message.delta.encode()
        item_id = message.item_id
        n = len(payload)
        received = self._received_bytes.get(item_id)
        if not n or n & 3 or ((received is None or 92 in data) and payload.rstrip(b"=").translate(None, _BASE64)):
            return self._broken("response.output_audio.delta", "delta", f"{n} characters", "padded base64")
        n_bytes = n // 4 * 3
        if payload[-1] == 61:  # "="
            n_bytes -= 2 if payload[-2] == 61 else 1
        if received is None:
            received = 0
            _forget_oldest(self._received_bytes)
        self._received_bytes[item_id] = received + n_bytes
        return v.AgentAudio(message.response_id, item_id, message.content_index, payload, n_bytes)

    def _unread(self, data: bytes, now: float) -> v.Event:
        """What no known message fits: an unknown one, one with near names, or a broken one."""
        try:
            message = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._broken("frame", "type", "no event", "an object with a type")
        if kind in wire.HARMLESS:
            return self._settled(now) or v.Harmless(leg=v.Leg.PROVIDER, tag=kind)
        if kind not in wire.KNOWN:
            return v.Unknown(leg=v.Leg.PROVIDER, tag=kind[:80])
        return self._near(kind, message, now)

    def _near(self, kind: str, message: dict[str, Any], now: float) -> v.Event:
        """A message whose missing fields may stand there under nearly the right name."""
        for field in msgspec.structs.fields(wire.KNOWN[kind]):
            name = field.encode_name
            other = near_miss(name, message) if field.required and name not in message else None
            if other is not None:
                message[name] = message[other]
                self.violations.append(_violation(kind, name, f"'{other}'", f"'{name}'", by="peer", accepted=True))
        try:
            read = msgspec.convert(message, wire.FromPeer)
        except msgspec.ValidationError as error:
            return self._broken(kind, _path(str(error)), str(error)[:120], "the documented shape")
        return self.receive(_json.encode(read), now)

    def _on_created(self, message: wire.SessionCreated) -> v.Event:
        if isinstance(message.session, dict):
            self._model_named = _text(message.session.get("model"))
        return self._greeting("session.created")

    def _greeting(self, tag: str) -> v.Event:
        if self._greeted:  # session.created and conversation.created, in either order: one greeting
            return v.Harmless(leg=v.Leg.PROVIDER, tag=tag)
        self._greeted = True
        return v.SessionGreeted()

    def _on_updated(self, message: wire.SessionUpdated) -> v.Event:
        self._update_id = None
        return v.SessionConfigured(differences=compare(self._settings, message.session, self._model_named))

    def _on_committed(self, message: wire.Committed) -> v.Event:
        settled = self._settled(None)  # no transcript of an earlier turn comes any more
        if message.item_id not in self._committed:
            _forget_oldest(self._committed)
            self._committed[message.item_id] = False
            if message.item_id in self._early:
                self._owed = (message.item_id, self._now)
        return settled or v.Harmless(leg=v.Leg.PROVIDER, tag="input_audio_buffer.committed")

    def _on_caller_said(self, message: wire.CallerSaid) -> v.Event:
        """
        It comes several times an item, also before the commit: the first one after the commit counts.

        Where none comes after it, the last one before it does: see ``_settled``.
        """
        item_id = message.item_id
        final = self._committed.get(item_id)
        if final:
            tag = "conversation.item.input_audio_transcription.completed"
            return self._settled(self._now) or v.Harmless(leg=v.Leg.PROVIDER, tag=tag)
        if final is None and message.status != "in_progress":
            if item_id not in self._early:
                _forget_oldest(self._early)
            self._early[item_id] = message.transcript
        if final is None or message.status == "in_progress":
            return v.CallerTranscript(item_id=item_id, text=message.transcript, final=False)
        return self._final(item_id, message.transcript)

    def _final(self, item_id: str, text: str) -> v.CallerTranscript:
        self._committed[item_id] = True
        self._early.pop(item_id, None)
        if self._owed is not None and self._owed[0] == item_id:
            self._owed = None
        return v.CallerTranscript(item_id=item_id, text=text, final=True)

    def _settled(self, now: float | None) -> v.CallerTranscript | None:
        """The turn whose transcript came only before its commit, once no better one is to be waited for."""
        if self._owed is None:
            return None
        item_id, since = self._owed
        if now is not None and now - since < TRANSCRIPT_SETTLES_S.value:
            return None
        return self._final(item_id, self._early[item_id])

    def _on_agent_words(self, message: wire.AgentWords) -> v.Event:
        if message.item_id not in self._agent_text:
            _forget_oldest(self._agent_text)
        self._agent_text[message.item_id] = (self._agent_text.get(message.item_id, "") + message.delta)[:8000]
        return v.AgentTranscript(message.response_id, message.item_id, message.delta, False)

    def _on_agent_said(self, message: wire.AgentSaid) -> v.Event:
        so_far = self._agent_text.pop(message.item_id, "")
        text = so_far if message.transcript is None else message.transcript
        return v.AgentTranscript(message.response_id, message.item_id, text, True)

    def _on_done(self, message: wire.ResponseDone) -> v.Event:
        response = message.response
        if response.status == "in_progress":
            return self._broken("response.done", "response.status", "in_progress", "a final status")
        details = response.status_details
        reason: str | None = None
        if isinstance(details, dict):
            reason = _text(details.get("reason"))
            error = details.get("error")
            if isinstance(error, dict):
                said = error.get("message") or error.get("code") or error.get("type")
                reason = clean_text(str(said))[:200] if said else reason
        figures = flat_figures(response.usage) or flat_figures(message.usage)
        return v.ResponseDone(response.id, response.status, reason, figures)

    def _on_error(self, message: wire.ErrorEvent) -> v.Event:
        error = message.error
        kind = error.type or error.code or "error"
        code = error.code or kind
        text = clean_text(error.message or "")[:300]
        field = _text(error.param)
        benign = any(part in text.lower() for part in BENIGN_TEXTS.value)
        fatal = kind in FATAL_TYPES.value or code in FATAL_TYPES.value
        if not benign and not fatal and self._rejects_update(error, field):
            self._update_id = None
            return v.SessionRejected(field=field, code=code, message=text)
        return v.ProviderError(code=code, message=text, field=field, benign=benign, fatal=fatal)

    def _rejects_update(self, error: wire.ErrorBody, field: str | None) -> bool:
        """By the id of our update, by the field it names, or because there is nothing else it could be about."""
        if self._update_id is None:
            return False
        if error.event_id is not None:
            return error.event_id == self._update_id
        return (field is not None and field.split(".")[0] == "session") or not self._asked_since_update

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    # -------------------------------------------------------------------------------------------- send

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError for what the provider would refuse."""
        if type(command) is v.AppendAudio:
            return [self.append(command.payload)]
        if type(command) is v.Truncate:
            return self._truncate(command)
        message = self._message(command)
        if message["type"] != "session.update":
            self._asked_since_update = True
        return [_json.encode(message)]

    def append(self, payload: bytes) -> bytes:
        """The message that carries a piece of the caller's audio (base64 text). Raises LocalProtocolError."""
        n = len(payload)
        # 34 and 92 are the quote and the backslash, which would end or bend the JSON string
        if not n or n & 3 or 34 in payload or 92 in payload:
            raise self._local("input_audio_buffer.append", "audio", f"{n} characters", "padded base64")
        return _APPEND_HEAD + payload + b'"}'

    def way(self) -> ProviderWay | None:
        return _WAY

    def passed(self, item_id: str, n_bytes: int) -> None:
        self._received_bytes[item_id] = self._received_bytes.get(item_id, 0) + n_bytes

    def _message(self, command: v.Command) -> dict[str, Any]:
        match command:
            case v.ConfigureSession():
                self._settings = briefed(self._settings, command)
                self._sent_ids += 1
                self._update_id = f"offhook_{self._sent_ids}"
                self._asked_since_update = False
                session = session_object(self._settings)
                return {"type": "session.update", "event_id": self._update_id, "session": session}
            case v.Greet(text=text) | v.Say(text=text):
                # Spoken word for word at once; a response.create after it would speak over it. Interruptible, since the
                # alternative drops caller audio by a playback clock that is not the caller's.
                content = [{"type": "output_text", "text": text}]
                item = {"type": "force_message", "role": "assistant", "content": content, "interruptible": True}
                return {"type": "conversation.item.create", "item": item}
            case v.AskResponse(instructions=instructions):
                response: dict[str, Any] = {"modalities": ["text", "audio"]}
                if instructions is not None:
                    response["instructions"] = instructions
                return {"type": "response.create", "response": response}
            case v.CancelResponse():
                return {"type": "response.cancel"}
            case v.TellAgent(text=text):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
                return {"type": "conversation.item.create", "item": item}
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return {"type": "conversation.item.create", "item": item}
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def _truncate(self, command: v.Truncate) -> list[bytes]:
        heard_ms = command.heard_ms
        if type(heard_ms) is not int or heard_ms < 0:
            raise self._local("conversation.item.truncate", "audio_end_ms", repr(heard_ms)[:40], "an integer from 0")
        received_bytes = self._received_bytes.get(command.item_id)
        if received_bytes is None:
            return []  # of an item that sent no audio there is nothing to take back
        self._asked_since_update = True
        message = {
            "type": "conversation.item.truncate",
            "item_id": command.item_id,
            "content_index": command.content_index,
            "audio_end_ms": min(heard_ms, received_bytes // 8),  # never past what was received
        }
        return [_json.encode(message)]

    def _local(self, message: str, field: str, got: str, wanted: str) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us"))

    # ------------------------------------------------------------------------------------------ redact

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> Mapping[str, Any]:
        """A message of either direction as it may be written down: audio as sizes, no secrets, numbers masked."""
        return redact_json(data, _AUDIO_IN, binary=binary, digits=digits)


# What the echo is held against besides the formats, the voice and the model; left-out fields are no differences.
_COMPARED = ("turn_detection", "audio.input.transcription", "instructions")


def compare(
    settings: SessionSettings, echo: Mapping[str, Any], model_named: str | None = None
) -> tuple[v.Difference, ...]:
    """
    Where the echo is not what was asked. It is normalised by the provider: voices come back prefixed and in any case,
    defaults are filled in, the id may be absent.

    Another audio format is static on the line and the only thing that is fatal. A format that is left out is named and
    not fatal: the bytes per second that arrive will tell. Another model answers calls, so it is named and not fatal;
    ``model_named`` is what ``session.created`` said, for an echo that says none.
    """
    asked = session_object(settings)
    found = [*_formats(echo)]
    for path in _COMPARED:
        want, got = _at(asked, path), _at(echo, path)
        if got is not _ABSENT and not _same(want, got):
            found.append(v.Difference(path, _short(want), _short(got), fatal=False))
    voice = echo.get("voice")
    if isinstance(voice, str) and _plain_voice(voice) != _plain_voice(settings.voice):
        found.append(v.Difference("voice", settings.voice, voice[:80], fatal=False))
    model = _text(echo.get("model")) or model_named
    if model and not _same_model(settings.model, model):
        found.append(v.Difference("model", settings.model, model[:80], fatal=False))
    names = [tool.name for tool in settings.tools]
    tools = echo.get("tools")
    if names and isinstance(tools, list):
        got_names = [tool.get("name") for tool in tools if isinstance(tool, dict)]
        if sorted(names) != sorted(str(name) for name in got_names):
            found.append(v.Difference("tools", ", ".join(names)[:80], _short(got_names), fatal=False))
    return tuple(found)


def _formats(echo: Mapping[str, Any]) -> list[v.Difference]:
    found = []
    for side in ("input", "output"):
        path = f"audio.{side}.format"
        got = _at(echo, path)
        if got is _ABSENT or got is None:
            found.append(v.Difference(path, _short(PHONE), "left out of the echo", fatal=False))
        elif not isinstance(got, dict) or got.get("type") != "audio/pcmu" or got.get("rate", 8000) not in (8000, None):
            found.append(v.Difference(path, _short(PHONE), _short(got), fatal=True))
    return found


def _plain_voice(voice: str) -> str:
    voice = voice.lower()
    for prefix in VOICE_PREFIXES.value:
        voice = voice.removeprefix(prefix)
    return voice


def _same_model(asked: str, got: str) -> bool:
    """``latest`` is answered by the name of the day, which moves; a named model must be that model."""
    if asked == DEFAULT_MODEL.value:
        return got.startswith("grok-voice-") and got not in [fact.value for fact in DEPRECATED_MODELS]
    return got == asked


def _same(want: Any, got: Any) -> bool:
    """Whether what was asked stands in ``got``, which may have more."""
    if isinstance(want, dict):
        return isinstance(got, dict) and all(key not in got or _same(value, got[key]) for key, value in want.items())
    if isinstance(want, str) and isinstance(got, str):
        return want.strip() == got.strip()
    if isinstance(want, int | float) and isinstance(got, int | float) and not isinstance(got, bool):
        return abs(want - got) < 1e-6  # 0.85 may come back as a 32-bit float
    return bool(want == got)


_ABSENT = object()


def _at(node: Any, path: str) -> Any:
    """The value at ``path``; ``_ABSENT`` when it, or something on the way, is not there."""
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _short(value: Any) -> str:
    return clean_text(value if isinstance(value, str) else _json.encode(value).decode())[:80]


def _forget_oldest(kept: dict[str, Any]) -> None:
    if len(kept) >= _ITEMS_KEPT:
        del kept[next(iter(kept))]


def _whole(value: int | float | None) -> int | None:
    return None if value is None else int(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _path(error: str) -> str | None:
    """The field that a msgspec error names: its path stands behind "at", a missing one's own name before that."""
    at = re.search(r"`\$\.([\w.\[\]]+)`", error)
    missing = re.search(r"field `(\w+)`", error)
    return ".".join(found[1] for found in (at, missing) if found) or None


def _violation(
    message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"], accepted: bool = False
) -> Violation:
    return Violation(NAME, message, field, got, wanted, _EVENTS, by, accepted=accepted)

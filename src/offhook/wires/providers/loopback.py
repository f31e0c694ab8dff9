"""
The loopback provider, our side: the on-machine receptionist's wire, shaped like OpenAI Realtime GA.

It is no AI model and uses no network. The wire is its own all the same: it has no key, one model, one voice, no
transcription settings, and answers faster. The other side is ``_loopback_peer.py``. Knows nothing of carriers, sockets
or time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.wires._checks import check_name, check_url
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
    redact_json,
)  # fmt: skip
from offhook.wires.providers import _loopback_messages as wire

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
SAY = "say: "  # how a response's instructions begin that are to be said word for word


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


def price_list(model: str) -> Fact[tuple[Price, ...]] | None:
    """It runs on this machine and takes nothing."""
    return Fact((Price("minutes", 0.0),), _OURS, _CHECKED)


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


def ending(settings: SessionSettings) -> list[Ending]:
    """Nothing of a session has an end that we know of."""
    return []


def explain_close(code: int | None, reason: str) -> str:
    """What a close of this provider means."""
    return f"the receptionist's process ended ({code or 'no close frame'} {reason})".strip()


def session_object(settings: SessionSettings) -> dict[str, Any]:
    """The session that is asked for."""
    tools = [{"type": "function", "name": tool.name, "parameters": tool.parameters} for tool in settings.tools]
    return {
        "type": "realtime",
        "instructions": settings.instructions,
        "audio": {"input": {"format": FORMAT}, "output": {"format": FORMAT, "voice": settings.voice}},
        "tools": tools,
    }


# --------------------------------------------------------------------------------------------- messages


_json = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(wire.FromPeer).decode
_KNOWN = {str(message.__struct_config__.tag) for message in get_args(wire.FromPeer)}
_APPEND_HEAD = b'{"type":"input_audio_buffer.append","audio":"'
# A piece of speech as it comes after the first of its item; what differs in anything is read by ``_decode``.
_USUAL_DELTA = (
    Usual("type", "is", "response.output_audio.delta"), Usual("response_id", "own", own=0),
    Usual("item_id", "own", own=1), Usual("content_index", "own-figure", own=2), Usual("delta", "audio"),
)  # fmt: skip
_WAY = ProviderWay(_USUAL_DELTA, (_APPEND_HEAD, b'"}'))
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Where audio stands, by event.
_AUDIO_IN = {"input_audio_buffer.append": "audio", "response.output_audio.delta": "delta"}
# Races that hurt nobody.
BENIGN_CODES = ("response_cancel_not_active", "conversation_already_has_active_response")


# -------------------------------------------------------------------------------------------------- leg


class Leg:
    """Our side of one session."""

    def __init__(self, settings: SessionSettings) -> None:
        self.violations: list[Violation] = []
        self._settings = settings
        self._handlers: dict[type[Struct], Callable[[Any], v.Event]] = {
            wire.SessionCreated: lambda m: v.SessionGreeted(),
            wire.SessionUpdated: self._on_updated,
            wire.SpeechStarted: lambda m: v.SpeechStarted(at_ms=m.audio_start_ms, item_id=m.item_id),
            wire.SpeechStopped: lambda m: v.SpeechStopped(at_ms=m.audio_end_ms),
            wire.CallerSaid: lambda m: v.CallerTranscript(item_id=m.item_id, text=m.transcript, final=True),
            wire.ResponseCreated: lambda m: v.ResponseStarted(response_id=m.response.id),
            wire.ResponseDone: self._on_done,
            wire.AudioDone: lambda m: v.AgentAudioDone(response_id=m.response_id, item_id=m.item_id),
            wire.AgentSaid: lambda m: v.AgentTranscript(m.response_id, m.item_id, m.transcript, True),
            wire.ToolArguments: lambda m: v.ToolCalled(m.call_id, m.name, m.arguments, m.response_id),
            wire.ItemAdded: lambda m: v.Harmless(leg=v.Leg.PROVIDER, tag="conversation.item.added"),
            wire.ItemTruncated: lambda m: v.Harmless(leg=v.Leg.PROVIDER, tag="conversation.item.truncated"),
            wire.ErrorEvent: self._on_error,
        }

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> v.Event:
        """The event that a message stands for. Never raises."""
        if binary:
            return self._broken("frame", None, "a binary frame", "JSON in a text frame")
        try:
            message = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._unread(data, str(error))
        if type(message) is wire.AudioDelta:
            return self._audio(message)
        return self._handlers[type(message)](message)

    def _audio(self, message: wire.AudioDelta) -> v.Event:
        """The payload goes on untouched, so it must fit into any other JSON string."""
        payload = message.delta.encode()
        n = len(payload)
        if not n or n & 3 or payload.rstrip(b"=").translate(None, _BASE64):
            return self._broken("response.output_audio.delta", "delta", f"{n} characters", "padded base64")
        n_bytes = n // 4 * 3 - payload[-2:].count(b"=")
        return v.AgentAudio(message.response_id, message.item_id, message.content_index, payload, n_bytes)

    def _unread(self, data: bytes, error: str) -> v.Event:
        """Of a type that this wire has not, or broken: nothing here is read by guessing, both ends are ours."""
        try:
            message = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._broken("frame", None, f"{len(data)} bytes that are not JSON", "one JSON object")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._broken("frame", "type", "no event", "an object with a type")
        if kind not in _KNOWN:
            return v.Unknown(leg=v.Leg.PROVIDER, tag=kind[:80])
        return self._broken(kind, _path(error), error[:120], "a message of this wire")

    def _on_updated(self, message: wire.SessionUpdated) -> v.Event:
        asked = session_object(self._settings)
        names = [tool["name"] for tool in asked["tools"]]
        got = [tool.name for tool in message.session.tools]
        pairs = (("instructions", asked["instructions"], message.session.instructions),
                 ("tools", ", ".join(names), ", ".join(got)))  # fmt: skip
        found = [v.Difference(field, a[:80], b[:80], fatal=False) for field, a, b in pairs if a != b]
        return v.SessionConfigured(differences=tuple(found))

    def _on_done(self, message: wire.ResponseDone) -> v.Event:
        response = message.response
        if response.status == "in_progress":
            return self._broken("response.done", "response.status", "in_progress", "a final status")
        reason = response.status_details.reason if response.status_details else None
        return v.ResponseDone(response.id, response.status, reason)

    def _on_error(self, message: wire.ErrorEvent) -> v.Event:
        error = message.error
        if error.code == "invalid_session":
            return v.SessionRejected(field=error.param, code=error.code, message=error.message)
        benign, fatal = error.code in BENIGN_CODES, error.code == "session_expired"
        return v.ProviderError(code=error.code, message=error.message, field=error.param, benign=benign, fatal=fatal)

    def _broken(self, message: str, field: str | None, got: str, wanted: str) -> v.Event:
        violation = _violation(message, field, got, wanted, by="peer")
        self.violations.append(violation)
        return v.Malformed(leg=v.Leg.PROVIDER, why=str(violation))

    def send(self, command: v.Command) -> list[bytes]:
        """The messages of ``command``. Raises LocalProtocolError."""
        if type(command) is v.AppendAudio:
            return [self.append(command.payload)]
        if type(command) is v.Truncate and (type(command.heard_ms) is not int or command.heard_ms < 0):
            got = repr(command.heard_ms)[:40]
            raise self._local("conversation.item.truncate", "audio_end_ms", got, "an integer from 0")
        return [_json.encode(self._message(command))]

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
        """Nothing is counted on this wire."""

    def _message(self, command: v.Command) -> dict[str, Any]:
        match command:
            case v.ConfigureSession():
                self._settings = briefed(self._settings, command)
                return {"type": "session.update", "session": session_object(self._settings)}
            case v.Greet(text=text):
                return {"type": "response.create", "response": {"instructions": f"greet {text}"}}
            case v.Say(text=text):
                return {"type": "response.create", "response": {"instructions": f"{SAY}{text}"}}
            case v.AskResponse(instructions=instructions):
                return {"type": "response.create", "response": {"instructions": instructions or ""}}
            case v.CancelResponse():
                return {"type": "response.cancel"}
            case v.Truncate(item_id=item_id, heard_ms=heard_ms):
                return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0,
                        "audio_end_ms": heard_ms}  # fmt: skip
            case v.TellAgent(text=text):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
                return {"type": "conversation.item.create", "item": item}
            case v.AnswerTool(tool_call_id=call_id, output=output):
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                return {"type": "conversation.item.create", "item": item}
        raise TypeError(f"no message of this wire carries {type(command).__name__}")

    def _local(self, message: str, field: str, got: str, wanted: str) -> LocalProtocolError:
        return LocalProtocolError(_violation(message, field, got, wanted, by="us"))

    def redact(self, data: bytes, *, binary: bool = False, digits: bool = False) -> Mapping[str, Any]:
        """A message of either direction as it may be written down: audio as sizes, numbers and keys masked."""
        return redact_json(data, _AUDIO_IN, binary=binary, digits=digits)


def _path(error: str) -> str | None:
    """The field that a msgspec error names: its path stands behind "at", a missing one's own name before that."""
    at = re.search(r"`\$\.([\w.\[\]]+)`", error)
    missing = re.search(r"field `(\w+)`", error)
    return ".".join(found[1] for found in (at, missing) if found) or None


def _violation(message: str, field: str | None, got: str, wanted: str, *, by: Literal["us", "peer"]) -> Violation:
    return Violation(wire=NAME, message=message, field=field, got=got, wanted=wanted, source=_OURS, by=by)

"""
OpenAI Realtime, GA shape, their side: strict about URL, headers, session, order and sizes, with its error texts.

Whoever runs it feeds ``heard`` audio to a voice detector and calls ``user_started``, ``user_stopped``, ``transcribe``
and ``speak``. It makes no mistake: faults are put around it (``sims/provider_faults.py``). Knows no sockets; callers
pass ``now``.
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
import numpy as np
from msgspec import Struct, structs

from offhook.media import g711
from offhook.wires._wire import Fact, Out, PeerClose, Refusal
from offhook.wires.providers import _openai_messages as to
from offhook.wires.providers.openai import APPEND_BYTES, DEAD_MODELS, MODELS, VOICES

__all__ = ["Peer", "said_of"]

DELTA_MS = 100
# rate_limits.updated comes that much after response.done.
RATE_LIMITS_AFTER_S = Fact(0.043, "third-party capture of gpt-realtime-mini", "2026-11-22")
_json = msgspec.json.Encoder()


class _Rejected(Exception):
    def __init__(self, code: str, message: str, param: str | None) -> None:
        super().__init__(code)
        self.code, self.message, self.param = code, message, param


class _Due(Struct):
    """A message that will be sent; ``audio_ms`` of it are speech, ``ends`` the response."""

    at: float
    message: bytes
    audio_ms: int = 0
    ends: bool = False


class Peer:
    """
    The provider's side of one session.

    A model of ours that is not among ``models`` is one the key may not use. ``unix_s`` is the wall clock's time
    at 0 of ``now``. Ids count on from ``first_id``: no two sessions of a real one share any.
    """

    def __init__(
        self,
        *,
        keys: frozenset[str] | None = None,
        models: tuple[str, ...] = MODELS.value,
        dead: tuple[str, ...] = DEAD_MODELS.value,
        dead_transcribers: tuple[str, ...] = (),
        speedup: float = 5.0,
        expires_s: float = 3600.0,
        first_audio_s: float = 0.0,
        unix_s: float = 1_795_520_000.0,
        first_id: int = 0,
    ) -> None:
        self.heard = bytearray()
        self.asked: list[str] = []
        self.commits: list[str] = []  # items that the client made of the caller's audio by itself
        self.forced: list[str] = []  # this provider has nothing that is said word for word
        self.told: list[str] = []
        self.said: list[bytes] = []  # sound that came as an item
        self.tools: list[str] = []
        self.tool_outputs: list[tuple[str, str]] = []
        self.truncated: list[tuple[str, int]] = []
        self.response: str | None = None
        self.session: dict[str, Any] = {}
        self.updates = 0
        self.appended_before_update = 0
        self.received: list[dict[str, Any]] = []  # everything but audio
        self._keys, self._models, self._speedup, self._first_audio_s = keys, models, speedup, first_audio_s
        self._expires_s = expires_s
        self._unix_s = unix_s
        self._dead, self._dead_transcribers = dead, dead_transcribers
        self._refusal: tuple[str, str, int] | None = None
        self._model = ""
        self._ids = first_id
        self._due: deque[_Due] = deque()
        self._expires_at: float | None = None
        self._items: dict[str, dict[str, Any]] = {}
        self._items_ms: dict[str, int] = {}  # audio sent of each of its own items
        self._last_item: str | None = None
        self._speaking: dict[str, Any] = {}  # the item of the running response
        self._caller_item = ""
        self._buffered = 0

    # ---------------------------------------------------------------------------------- the handshake

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """
        The HTTP refusal of a request, if any. A bad key or model is none: it comes after the upgrade.
        """
        parts = urlsplit(path_and_query)
        given = {name.lower(): value for name, value in headers.items()}
        if parts.path != "/v1/realtime":
            return Refusal(404, '{"error":{"message":"Invalid URL"}}', "path")
        self._model = model = parse_qs(parts.query).get("model", [""])[0]
        scheme, _, key = given.get("authorization", "").partition(" ")
        if "openai-beta" in given:
            text = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            self._refusal = ("beta_api_shape_disabled", text, 4000)
        elif scheme != "Bearer" or not key or (self._keys is not None and key not in self._keys):
            where = "You can find your API key at https://platform.openai.com/account/api-keys."
            self._refusal = ("invalid_api_key", f"Incorrect API key provided: {key[:3]}***. {where}", 3000)
        elif not model:
            text = "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime"
            self._refusal = ("missing_model", text, 4000)
        elif model in MODELS.value and model not in self._models:
            text = f"The model `{model}` does not exist or you do not have access to it."
            self._refusal = ("model_not_found", text, 4004)
        elif model not in self._models or model in self._dead:
            self._refusal = ("invalid_model", f'Model "{model}" is not supported in realtime mode.', 4000)
        return None

    def opened(self, now: float) -> list[Out]:
        """The first messages."""
        if self._refusal is not None:
            code, text, close = self._refusal
            return [self._error(code, text), PeerClose(close, f"invalid_request_error.{code}")]
        self._expires_at = now + self._expires_s
        pcm = {"type": "audio/pcm", "rate": 24000}
        self.session = {
            "type": "realtime", "object": "realtime.session", "id": self._id("sess"), "model": self._model,
            "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
            "max_output_tokens": "inf", "truncation": "auto", "tracing": None, "prompt": None, "include": None,
            "expires_at": int(self._unix_s + self._expires_at),
            "audio": {
                "input": {
                    "format": pcm, "transcription": None, "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
                        "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
                    },
                },
                "output": {"format": pcm, "voice": "alloy", "speed": 1.0},
            },
        }  # fmt: skip
        return [self._event("session.created", session=self.session)]

    # -------------------------------------------------------------------------------- what it is sent

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers. Never raises."""
        if self._expires_at is None:
            return []  # refused or over: nobody reads it
        if binary:
            text = "Expected a text WebSocket message; binary frames are not supported."
            return [self._error("invalid_event", text)]
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [self._error("invalid_json", "Invalid event: failed to parse JSON value. ")]
        given_id = message.get("event_id")
        event_id = given_id if isinstance(given_id, str) else None
        try:
            return self._handle(_read(message), message, len(data), now)
        except _Rejected as rejected:
            return [self._error(rejected.code, rejected.message, rejected.param, event_id)]

    def _handle(self, read: Any, message: dict[str, Any], size: int, now: float) -> list[Out]:
        if type(read) is to.Append:
            return self._append(read.audio, size)
        self.received.append(message)
        match read:
            case to.SessionUpdate():
                return self._update(message["session"])
            case to.ResponseCreate(response=response):
                return self._create((response.instructions if response else None) or "")
            case to.ResponseCancel(response_id=response_id):
                if self.response is None or response_id not in (None, self.response):
                    raise _Rejected("response_cancel_not_active", "Cancellation failed: no active response found", None)
                return self._cancel("client_cancelled", now)
            case to.ItemCreate(item=item):
                return self._create_item(item, message["item"])
            case to.ItemTruncate():
                return self._truncate(read)
            case to.Commit():
                return self._commit()
            case to.Clear():
                self._buffered = 0
                return [self._event("input_audio_buffer.cleared")]
            case to.ItemDelete(item_id=item_id):
                self._item(item_id, "item_delete_invalid_item_id")
                del self._items[item_id]
                return [self._event("conversation.item.deleted", item_id=item_id)]
        found = self._item(read.item_id, "item_retrieve_invalid_item_id")
        return [self._event("conversation.item.retrieved", item=found)]

    def _append(self, audio: str, size: int) -> list[Out]:
        self.appended_before_update += not self.updates
        raw = _sound(audio if size <= APPEND_BYTES.value else "", "audio")
        self.heard += raw
        self._buffered += len(raw)
        return []

    def _update(self, session: dict[str, Any]) -> list[Out]:
        audio = session.get("audio") or {}
        given = {side: dict(audio.get(side) or {}) for side in ("input", "output")}
        where, voice = "session.audio.output.voice", given["output"].get("voice")
        if isinstance(voice, str) and voice not in VOICES.value:
            text = f"Invalid value: '{voice}'. Supported values are: {', '.join(VOICES.value)}."
            raise _Rejected("invalid_value", text, where)
        if voice is not None and self._items_ms and voice != self.session["audio"]["output"]["voice"]:
            # the rule is the SDK's, its words are assumed
            text = "Cannot update a conversation's voice if assistant audio is present."
            raise _Rejected("cannot_update_voice", text, where)
        transcriber = (given["input"].get("transcription") or {}).get("model")
        if transcriber in self._dead_transcribers:  # its words are assumed
            text = f"Invalid value: '{transcriber}'. The model is not available for transcription."
            raise _Rejected("invalid_value", text, "session.audio.input.transcription.model")
        top = {name: value for name, value in session.items() if name != "audio"}
        mine = self.session["audio"]
        self.session = {**self.session, **top, "audio": {side: {**mine[side], **given[side]} for side in given}}
        self.tools = [tool["name"] for tool in self.session["tools"] if tool["type"] == "function"]
        self.updates += 1
        return [self._event("session.updated", session=self.session)]

    def _create(self, instructions: str) -> list[Out]:
        if self.response is not None:
            wait = "Wait until the response is finished before creating a new one."
            text = f"Conversation already has an active response in progress: {self.response}. {wait}"
            raise _Rejected("conversation_already_has_active_response", text, None)
        self.asked.append(instructions)
        return []

    def _create_item(self, read: to.Item, item: dict[str, Any]) -> list[Out]:
        if isinstance(read, to.FunctionOutput):
            if not any(known.get("call_id") == read.call_id for known in self._items.values()):
                text = f"Tool call ID '{read.call_id}' not found in conversation."
                raise _Rejected("invalid_tool_call_id", text, None)
            self.tool_outputs.append((read.call_id, read.output))
        elif isinstance(read, to.MessageItem):
            item = {**item, "content": [self._part(at, part) for at, part in enumerate(read.content)]}
            self.told.append(" ".join(part.text for part in read.content if part.text))
        made = {"id": self._id("item"), "object": "realtime.item", "status": "completed", **item}
        return self._added(made, "conversation.item.added") + self._added(made, "conversation.item.done")

    def _part(self, at: int, part: to.Content) -> dict[str, Any]:
        """A part of a message as the echo has it: sound is not sent back."""
        if part.type != "input_audio":
            return {name: value for name, value in structs.asdict(part).items() if value is not None}
        self.said.append(_sound(part.audio or "", f"item.content[{at}].audio"))
        return {"type": "input_audio", "transcript": part.transcript}

    def _added(self, item: dict[str, Any], kind: str) -> list[Out]:
        """Tell of an item of the conversation; it stands after the last one."""
        previous = self._items.get(item["id"], {}).get("_after", self._last_item)
        self._items[item["id"]] = {**item, "_after": previous}
        self._last_item = item["id"]
        return [self._event(kind, previous_item_id=previous, item=item)]

    def _item(self, item_id: str, code: str) -> dict[str, Any]:
        if item_id not in self._items:
            raise _Rejected(code, f"Item with item_id '{item_id}' not found.", "item_id")
        return {name: value for name, value in self._items[item_id].items() if name != "_after"}

    def _truncate(self, read: to.ItemTruncate) -> list[Out]:
        self._item(read.item_id, "item_truncate_invalid_item_id")
        ms = self._items_ms.get(read.item_id)
        if ms is None:
            raise _Rejected("invalid_value", "Only model output audio messages can be truncated", "item_id")
        if read.content_index != 0 or read.audio_end_ms < 0:
            raise _Rejected("invalid_value", "Invalid value for 'content_index' or 'audio_end_ms'.", "content_index")
        if read.audio_end_ms > ms:
            text = f"Audio content of {ms}ms is already shorter than {read.audio_end_ms}ms"
            raise _Rejected("invalid_value", text, "audio_end_ms")
        self._items_ms[read.item_id] = read.audio_end_ms
        self.truncated.append((read.item_id, read.audio_end_ms))
        fields = {"content_index": read.content_index, "audio_end_ms": read.audio_end_ms}
        return [self._event("conversation.item.truncated", item_id=read.item_id, **fields)]

    def _commit(self) -> list[Out]:
        ms = self._buffered / _bytes_per_ms(self.format_in)
        if ms < 100:
            text = f"Expected at least 100ms of audio, but buffer only has {ms:.2f}ms of audio."
            raise _Rejected(
                "input_audio_buffer_commit_empty",
                f"Error committing input audio buffer: buffer too small. {text}",
                None,
            )
        self.commits.append(self._id("item"))
        return self._committed(self.commits[-1])

    def _committed(self, item_id: str) -> list[Out]:
        self._buffered = 0
        item = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
                "content": [{"type": "input_audio", "transcript": None}]}  # fmt: skip
        committed = self._event("input_audio_buffer.committed", item_id=item_id, previous_item_id=self._last_item)
        added = self._added(item, "conversation.item.added")
        return [committed, *added, *self._added(item, "conversation.item.done")]

    # -------------------------------------------------------------------- what the one who runs it calls

    @property
    def format_in(self) -> dict[str, Any]:
        given: dict[str, Any] = self.session["audio"]["input"]["format"]
        return given

    @property
    def format_out(self) -> dict[str, Any]:
        given: dict[str, Any] = self.session["audio"]["output"]["format"]
        return given

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """None: the client ends turns by itself."""
        given: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return given

    def user_started(self, at_ms: int, now: float) -> list[Out]:
        turn = self.turn_detection
        if turn is None:
            return []
        self._caller_item = self._id("item")
        out: list[Out] = [
            self._event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._caller_item)
        ]
        if self.response is not None and turn.get("interrupt_response", True):
            out += self._cancel("turn_detected", now)
        return out

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        if self.turn_detection is None:
            return []
        item = self._caller_item
        stopped = self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item)
        return [stopped, *self._committed(item), *self.transcribe(item, transcript, now)]

    def transcribe(self, item_id: str, transcript: str, now: float) -> list[Out]:
        """What was understood of a committed item, if the session asks for it."""
        if not self.session["audio"]["input"]["transcription"]:
            return []
        name = "conversation.item.input_audio_transcription"
        usage = {"type": "tokens", "total_tokens": 12, "input_tokens": 10, "output_tokens": 2,
                 "input_token_details": {"text_tokens": 0, "audio_tokens": 10}}  # fmt: skip
        common = {"item_id": item_id, "content_index": 0}
        out: list[Out] = [self._event(f"{name}.delta", **common, delta=piece) for piece in _pieces(transcript)]
        out.append(self._event(f"{name}.completed", **common, transcript=transcript, usage=usage))
        return out

    def speak(self, pcmu: bytes, transcript: str, now: float, calls: Sequence[tuple[str, str]] = ()) -> list[Out]:
        """
        One response, in the captured order; ``pcmu`` goes out in the session's format. ``calls`` are tools and their
        arguments. Without audio and text the response is the calls alone, or nothing.

        With the default format that is PCM16 at 24 kHz: noise on a phone line, as the real one's would be.
        """
        self.response = self._id("resp")
        out: list[Out] = [self._event("response.created", response=self._response("in_progress"))]
        closing: list[bytes] = []
        output: list[dict[str, Any]] = []
        last = now + self._first_audio_s
        if pcmu or transcript:
            item = {"id": self._id("item"), "object": "realtime.item", "type": "message", "role": "assistant",
                    "status": "in_progress", "content": []}  # fmt: skip
            common = {"response_id": self.response, "item_id": item["id"], "output_index": 0, "content_index": 0}
            self._speaking = {"item": item, "common": common, "transcript": transcript}
            self._items_ms[str(item["id"])] = 0
            out.append(self._event("response.output_item.added", response_id=self.response, output_index=0, item=item))
            out += self._added(item, "conversation.item.added")
            out.append(self._event("response.content_part.added", **common, part={"type": "audio", "transcript": ""}))
            last = self._plan_audio(self._render(pcmu), len(pcmu) // 8, transcript, common, last)
            done = {**item, "status": "completed", "content": [{"type": "output_audio", "transcript": transcript}]}
            closing, output = self._closing(common, done, transcript), [done]
        for tool, arguments in calls:
            call, events = self._function_call(tool, arguments, len(output))
            closing, output = [*closing, *events], [*output, call]
        self._due.extend(_Due(last, message) for message in closing)
        self._due.append(_Due(last, self._done("completed", None, output), ends=True))
        self._due.append(_Due(last + RATE_LIMITS_AFTER_S.value, self._rate_limits()))
        return out + self.tick(now)

    def _plan_audio(self, audio: bytes, ms: int, transcript: str, common: dict[str, Any], at: float) -> float:
        """Deltas of 100 ms with the words between them, ahead of real time; returns when the last one is over."""
        step = int(DELTA_MS * _bytes_per_ms(self.format_out))
        words = _pieces(transcript)
        for n, start in enumerate(range(0, len(audio), step)):
            if n < len(words):
                self._due.append(
                    _Due(at, self._event("response.output_audio_transcript.delta", **common, delta=words[n]))
                )
            delta = base64.b64encode(audio[start : start + step]).decode()
            message = self._event("response.output_audio.delta", **common, delta=delta, obfuscation="x" * (n % 7))
            self._due.append(_Due(at, message, audio_ms=min(DELTA_MS, ms - n * DELTA_MS)))
            at += DELTA_MS / 1000 / self._speedup
        rest = "".join(words[(len(audio) + step - 1) // step :])
        if rest:
            self._due.append(_Due(at, self._event("response.output_audio_transcript.delta", **common, delta=rest)))
        return at

    def _closing(self, common: dict[str, Any], item: dict[str, Any], transcript: str) -> list[bytes]:
        """What follows the audio of an item, finished or interrupted."""
        self._items[item["id"]] |= item
        response_id, previous = common["response_id"], self._items[item["id"]]["_after"]
        return [
            self._event("response.output_audio.done", **common),
            self._event("response.output_audio_transcript.done", **common, transcript=transcript),
            self._event("response.content_part.done", **common, part={"type": "audio", "transcript": transcript}),
            self._event("conversation.item.done", previous_item_id=previous, item=item),
            self._event("response.output_item.done", response_id=response_id, output_index=0, item=item),
        ]

    def _function_call(self, name: str, arguments: str, index: int) -> tuple[dict[str, Any], list[bytes]]:
        call = {"id": self._id("item"), "object": "realtime.item", "type": "function_call", "status": "completed",
                "name": name, "call_id": self._id("call"), "arguments": arguments}  # fmt: skip
        begun = {**call, "status": "in_progress", "arguments": ""}
        place = {"response_id": self.response, "output_index": index}
        which = {**place, "item_id": call["id"], "call_id": call["call_id"]}
        kind = "response.function_call_arguments"
        added = [m for m in self._added(begun, "conversation.item.added") if isinstance(m, bytes)]
        self._items[str(call["id"])] |= call
        done = [m for m in self._added(call, "conversation.item.done") if isinstance(m, bytes)]
        return call, [
            self._event("response.output_item.added", **place, item=begun), *added,
            self._event(f"{kind}.delta", **which, delta=arguments),
            self._event(f"{kind}.done", **which, name=name, arguments=arguments), *done,
            self._event("response.output_item.done", **place, item=call),
        ]  # fmt: skip

    def _render(self, pcmu: bytes) -> bytes:
        kind = self.format_out["type"]
        if kind == "audio/pcmu":
            return pcmu
        samples = g711.decode(pcmu)
        return np.repeat(samples, 3).astype("<i2").tobytes() if kind == "audio/pcm" else g711.encode_pcma(samples)

    def _response(self, status: str, details: Any = None, output: list[Any] | None = None) -> dict[str, Any]:
        usage = {
            "total_tokens": 120, "input_tokens": 80, "output_tokens": 40,
            "input_token_details": {"text_tokens": 50, "audio_tokens": 30, "image_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 10, "audio_tokens": 30},
        }  # fmt: skip
        return {
            "id": self.response, "object": "realtime.response", "status": status, "status_details": details,
            "output": output or [], "conversation_id": "conv_1", "output_modalities": ["audio"],
            "max_output_tokens": "inf", "metadata": None, "audio": {"output": self._said_output()},
            "usage": usage if status in ("completed", "cancelled") else None,
        }  # fmt: skip

    def _said_output(self) -> dict[str, Any]:
        return {"format": self.format_out, "voice": self.session["audio"]["output"]["voice"]}

    def _done(self, status: str, details: Any, output: list[Any]) -> bytes:
        return self._event("response.done", response=self._response(status, details, output))

    def _rate_limits(self) -> bytes:
        limit = {"name": "tokens", "limit": 40000, "remaining": 39000, "reset_seconds": 1.5}
        return self._event("rate_limits.updated", rate_limits=[limit])

    def _over(self, status: str, details: Any, now: float, output: list[Any] | None = None) -> list[Out]:
        """End the running response now."""
        done = self._done(status, details, output or [])
        self.response, self._speaking = None, {}
        self._due.append(_Due(now + RATE_LIMITS_AFTER_S.value, self._rate_limits()))
        return [done]

    def _cancel(self, why: str, now: float) -> list[Out]:
        self._due.clear()
        out: list[Out] = []
        output = []
        if self._speaking:
            item, common = self._speaking["item"], self._speaking["common"]
            said = self._speaking["transcript"]
            cut = {**item, "status": "incomplete", "content": [{"type": "output_audio", "transcript": said}]}
            out += self._closing(common, cut, said)
            output.append(cut)
        return out + self._over("cancelled", {"type": "cancelled", "reason": why}, now, output)

    # ------------------------------------------------------------------------------------------- time

    def deadline(self) -> float | None:
        """When something is due: a delta, or the session's end."""
        if self._expires_at is None:
            return None
        return min(self._due[0].at, self._expires_at) if self._due else self._expires_at

    def tick(self, now: float) -> list[Out]:
        """What is due."""
        out: list[Out] = []
        if self._expires_at is None:
            return out
        if now >= self._expires_at:
            text = f"Your session hit the maximum duration of {self._expires_s / 60:.0f} minutes."
            self._expires_at = None
            return [self._error("session_expired", text), PeerClose(1001, text)]
        while self._due and self._due[0].at <= now:
            due = self._due.popleft()
            out.append(due.message)
            if due.ends:
                self.response, self._speaking = None, {}
            if due.audio_ms:
                self._items_ms[self._speaking["item"]["id"]] += due.audio_ms
        return out

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids:020d}"

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _json.encode({"type": kind, "event_id": self._id("event"), **fields})

    def _error(self, code: str, text: str, param: str | None = None, event_id: str | None = None) -> bytes:
        error = {"type": "invalid_request_error", "code": code, "message": text, "param": param, "event_id": event_id}
        return self._event("error", error=error)


def said_of(message: dict[str, Any]) -> dict[str, Any] | None:
    """The error, as the service words it, that the shape of a client's message gets; None when it has the right one."""
    try:
        _read(message)
    except _Rejected as rejected:
        return {"code": rejected.code, "message": rejected.message, "param": rejected.param}
    return None


def _read(message: dict[str, Any]) -> Any:
    """A client's message, typed; raises _Rejected."""
    kind = message.get("type")
    if kind is None:
        raise _Rejected("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    if not isinstance(kind, str) or kind not in to.TAKEN:
        raise _Rejected("invalid_value", f"Invalid value: '{kind}'. Supported values are: {to.LISTED}.", "type")
    session = message.get("session")
    if kind == "session.update" and isinstance(session, dict) and "type" not in session:
        # said before any unknown field of the same update (TanStack/ai#586)
        raise _Rejected("missing_required_parameter", "Missing required parameter: 'session.type'.", "session.type")
    try:
        return msgspec.convert(message, to.ToPeer)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _as_openai_says(_with_index(message, str(error))) from None


_SHAPES = (
    (r"Object contains unknown field `(?P<got>[^`]*)`", "unknown_parameter", "Unknown parameter: '{where}'."),
    (r"Object missing required field `(?P<got>[^`]*)`", "missing_required_parameter",
     "Missing required parameter: '{where}'."),
    (r"Expected `(?P<want>[^`]*)`, got `(?P<got>[^`]*)`", "invalid_type",
     "Invalid type for '{where}': expected {want}, got {got}."),
    (r"Invalid (?:enum )?value (?P<got>.*?)(?: - at|$)", "invalid_value", "Invalid value: {got}."),
)  # fmt: skip
_JSON_NAMES = {"bool": "boolean", "int": "an integer", "str": "a string", "array": "an array", "object": "an object"}


def _with_index(message: dict[str, Any], error: str) -> str:
    """``error`` with the number of the list element that it is about, which the decoder keeps to itself."""
    found = re.search(r"`\$\.([\w.]+)\[\.\.\.\]", error)
    if found is None:
        return error
    *above, name = found[1].split(".")
    parent = message
    for part in above:
        parent = parent[part]
    for n, element in enumerate(parent[name]):
        trial = msgspec.json.decode(_json.encode(message))
        node = trial
        for part in above:
            node = node[part]
        node[name] = [element]
        try:
            msgspec.convert(trial, to.ToPeer)
        except msgspec.ValidationError as again:
            if str(again) == error:
                return error.replace("[...]", f"[{n}]", 1)
    return error


def _as_openai_says(error: str) -> _Rejected:
    """The service's words for what a decoder found."""
    at = re.search(r"`\$\.?([^`]*)`$", error)
    path = at[1] if at else ""
    for pattern, code, words in _SHAPES:
        found = re.match(pattern, error)
        if found is None:
            continue
        said = found.groupdict()
        names_field = code in ("unknown_parameter", "missing_required_parameter")
        where = ".".join(part for part in (path, said["got"] if names_field else "") if part)
        want = _JSON_NAMES.get(said.get("want", ""), said.get("want"))
        return _Rejected(code, words.format(where=where, want=want, got=said["got"]), where)
    return _Rejected("invalid_value", f"Invalid value for '{path}'.", path or None)


def _sound(audio: str, param: str) -> bytes:
    """Raises what the service says of sound that is none."""
    try:
        if not audio:
            raise binascii.Error
        return binascii.a2b_base64(audio.encode(), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _Rejected("invalid_value", f"Invalid '{param}'. Expected base64-encoded audio bytes.", param) from None


def _bytes_per_ms(given: Mapping[str, Any]) -> int:
    return 48 if given["type"] == "audio/pcm" else 8


def _pieces(text: str) -> list[str]:
    """Words as a model writes them: the blank stands before."""
    return re.findall(r"\s*\S+", text)

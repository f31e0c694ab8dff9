"""
xAI Grok voice, their side: silent where OpenAI refuses. Unknown fields are ignored without a word, a flat session
changes nothing, an unknown model is replaced by another, and the echo is normalised.

Both ways a dead model may show can be played: a refusal of the upgrade (its text is assumed: nobody recorded one), and
the silent replacement. It makes no mistake: faults are put around it (``sims/provider_faults.py``). Knows no sockets;
callers pass ``now``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np

from offhook.media import g711
from offhook.wires._wire import Fact, Out, PeerClose, Refusal
from offhook.wires.providers.xai import DEAD_MODELS, DEFAULT_FORMAT, DEPRECATED_MODELS, LATEST_MODEL, MODELS

__all__ = ["REFUSALS", "Peer"]

_CHECKED = "2026-11-22"
# Refusals of an upgrade. The statuses are those that a client of the live service handles, nobody printed the bodies.
REFUSALS = {
    401: Fact('{"code":"unauthenticated","error":"assumed text: invalid API key"}',
              "TheSmokeDev/hermes-talk talk_grok_realtime.py", _CHECKED, assumed=True),
    403: Fact('{"code":"permission-denied","error":"assumed text: this account has no realtime access"}',
              "TheSmokeDev/hermes-talk talk_grok_realtime.py", _CHECKED, assumed=True),
    404: Fact('{"code":"not-found","error":"assumed text: the model {model} does not exist"}',
              "gptme/gptme-contrib#692 (a failed handshake, not its text)", _CHECKED, assumed=True),
    429: Fact('{"code":"resource-exhausted","error":"assumed text: 100 concurrent sessions are open"}',
              "docs.x.ai voice agent limits", _CHECKED, assumed=True),
}  # fmt: skip
# What answered for an unknown name, and without one.
FALLBACK_MODEL = Fact("grok-voice-fast-1.0", "pipecat-ai/pipecat#4401; gptme/gptme-contrib#756", _CHECKED)
PING_S = Fact(15.0, "the event is captured and documented, its period is not", _CHECKED, assumed=True)
# The error's type is documented; its text, its close code and whether a warning precedes it are not.
EXPIRED = Fact("Session exceeded the maximum duration", "docs.x.ai voice-realtime.ws.json", _CHECKED, assumed=True)
SERVED = (*MODELS.value, *[fact.value for fact in DEPRECATED_MODELS])
RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)
DELTA_MS = 100
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_json = msgspec.json.Encoder()


class _Rejected(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind)
        self.kind, self.text = kind, text


class Peer:
    """
    The provider's side of one session.

    An unknown model is replaced by another, or refused; a URL without one gets ``bare_model``, one that asks for the
    latest gets ``latest``. Ids count on from ``first_id``: no two sessions of a real one share any.
    """

    def __init__(
        self,
        *,
        keys: frozenset[str] | None = None,
        models: tuple[str, ...] = SERVED,
        bare_model: str = LATEST_MODEL.value,
        latest: str = LATEST_MODEL.value,
        refuses_unknown_models: bool = False,
        speedup: float = 5.0,
        expires_s: float = 1800.0,
        first_id: int = 0,
    ) -> None:
        self.heard = bytearray()
        self.asked: list[str] = []
        self.commits: list[str] = []  # items that the client made of the caller's audio by itself
        self.told: list[str] = []
        self.tools: list[str] = []
        self.forced: list[str] = []  # texts of force_message
        self.tool_outputs: list[tuple[str, str]] = []
        self.truncated: list[tuple[str, int]] = []
        self.response: str | None = None
        self.session: dict[str, Any] = {}
        self.updates = 0
        self.appended_before_update = 0
        self.received: list[dict[str, Any]] = []  # everything but audio
        self._keys = keys
        self._models = models
        self._bare_model = bare_model
        self._latest = latest
        self._refuses_unknown_models = refuses_unknown_models
        self._speedup = speedup
        self._expires_s = expires_s
        self._model = ""
        self._ids = first_id
        self._queue: list[bytes] = []
        self._next_delta: float | None = None
        self._next_ping = 0.0
        self._opened_at = 0.0
        self._closed = False
        self._items_ms: dict[str, int] = {}
        self._caller_item = ""
        self._deaf_until = 0.0
        self._deaf_next = False

    # ---------------------------------------------------------------------------------- the handshake

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """The HTTP refusal of a request, if any."""
        parts = urlsplit(path_and_query)
        if parts.path != "/v1/realtime":
            return Refusal(404, "Not Found", "path")
        given = {name.lower(): value for name, value in headers.items()}
        scheme, _, key = given.get("authorization", "").partition(" ")
        known_key = scheme.lower() == "bearer" and key and (self._keys is None or key in self._keys)
        if not known_key:
            return self._refusal(401, "key")
        return self._choose_model(parse_qs(parts.query).get("model", [None])[0])

    def _choose_model(self, asked: str | None) -> Refusal | None:
        """Documents say that a bare URL gets the latest; in spring 2026 it got the oldest."""
        if asked is None:
            self._model = self._bare_model
            return None
        known = asked in self._models and asked not in DEAD_MODELS.value
        if not known and self._refuses_unknown_models:
            return self._refusal(404, "model", asked)
        self._model = asked if known else FALLBACK_MODEL.value
        if self._model == "grok-voice-latest":
            self._model = self._latest
        return None

    def _refusal(self, status: int, why: str, model: str = "") -> Refusal:
        return Refusal(status, REFUSALS[status].value.replace("{model}", model[:80]), why)

    def opened(self, now: float) -> list[Out]:
        """The first messages."""
        self._opened_at = now
        self._next_ping = now + PING_S.value
        self.session = {
            "object": "realtime.session", "id": self._id("sess"), "model": self._model, "voice": "xai_eve",
            "instructions": "", "tools": [],
            "turn_detection": {"type": "server_vad", "threshold": 0.85, "prefix_padding_ms": 333,
                               "silence_duration_ms": 200},
            "audio": {"input": {"format": DEFAULT_FORMAT.value}, "output": {"format": DEFAULT_FORMAT.value}},
        }  # fmt: skip
        conversation = {"id": self._id("conv"), "object": "realtime.conversation"}
        return [
            self._event("session.created", session=self.session),
            self._event("conversation.created", conversation=conversation),
        ]

    # -------------------------------------------------------------------------------- what it is sent

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers. Never raises."""
        if binary:
            self._hear(data, now)  # input takes both kinds of frame
            return []
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self._error("invalid_event", "could not parse the event")]
        kind = message.get("type")
        if kind == "input_audio_buffer.append":
            return self._append(message, now)
        self.received.append(message)
        try:
            return self._handle(str(kind), message, now)
        except _Rejected as rejected:
            return [self._error(rejected.kind, rejected.text)]
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            return [self._error("invalid_request_error", f"{str(kind)[:60]}: {str(error)[:80]}")]

    def _append(self, message: dict[str, Any], now: float) -> list[Out]:
        try:
            audio = binascii.a2b_base64(message["audio"].encode(), strict_mode=True)
        except (binascii.Error, KeyError, AttributeError, UnicodeEncodeError):
            return [self._error("invalid_request_error", "audio is not base64")]
        self._hear(audio, now)
        return []

    def _hear(self, audio: bytes, now: float) -> None:
        if not self.updates:
            self.appended_before_update += 1
        if now >= self._deaf_until:
            self.heard += audio

    def _handle(self, kind: str, message: dict[str, Any], now: float) -> list[Out]:
        if kind == "session.update":
            return self._update(message["session"])
        if kind == "response.create":
            if self.response is not None:
                raise _Rejected("invalid_request_error", "Conversation already has an active response")
            self.asked.append(str((message.get("response") or {}).get("instructions", "")))
            return []
        if kind == "response.cancel":
            if self.response is None:
                raise _Rejected("invalid_request_error", "Cancellation failed: no active response found")
            return self._cancel()
        if kind == "conversation.item.create":
            return self._item(message["item"])
        if kind == "conversation.item.truncate":
            return self._truncate(message)
        if kind == "conversation.item.delete":
            return [self._event("conversation.item.deleted", item_id="")]  # empty, as clients have seen it
        if kind == "input_audio_buffer.commit":
            self.commits.append(self._id("item"))
            return self._committed(self.commits[-1])
        if kind == "input_audio_buffer.clear":
            return [self._event("input_audio_buffer.cleared")]
        raise _Rejected("invalid_event", f"unknown event type {kind[:60]!r}")

    def _update(self, session: dict[str, Any]) -> list[Out]:
        """Take what is known where it is known; everything else is ignored, and nothing is said about it."""
        tools = session.get("tools")
        if tools is not None:
            self._check_tools(tools)
        given = session.get("audio")
        asked: dict[str, Any] = given if isinstance(given, dict) else {}
        self.session["audio"] = {side: self._side(side, asked.get(side)) for side in ("input", "output")}
        if isinstance(session.get("voice"), str):
            self.session["voice"] = "xai_" + session["voice"].lower()
        for name, kind in (("instructions", str), ("turn_detection", dict | None), ("reasoning", dict)):
            if name in session and isinstance(session[name], kind):
                self.session[name] = session[name]
        if isinstance(session.get("turn_detection"), dict):  # defaults are filled in
            defaults = {"threshold": 0.85, "prefix_padding_ms": 333, "silence_duration_ms": 200}
            self.session["turn_detection"] = defaults | session["turn_detection"]
        if tools is not None:
            self.session["tools"] = tools
            self.tools = [tool.get("name", tool["type"]) for tool in tools]
        self.updates += 1
        echo = {key: value for key, value in self.session.items() if key != "id"}
        return [self._event("session.updated", session=echo)]

    def _side(self, side: str, given: Any) -> dict[str, Any]:
        """One direction's audio settings after an update; what of it this peer cannot play, it says."""
        mine: dict[str, Any] = self.session["audio"][side]
        if not isinstance(given, dict):
            return mine
        if given.get("transport") == "binary" and side == "output":
            raise _Rejected("internal_error", "this simulator does not play the binary transport")
        wanted = given.get("format")
        if isinstance(wanted, dict):
            kind, rate = wanted.get("type"), wanted.get("rate")
            if kind in ("audio/pcma", "audio/opus"):
                raise _Rejected("internal_error", f"this simulator does not play {kind}")
            if kind not in ("audio/pcm", "audio/pcmu"):
                raise _Rejected("invalid_audio_format", f"unsupported format {str(kind)[:40]!r}")
            if rate is not None and rate not in (RATES if kind == "audio/pcm" else (8000,)):
                raise _Rejected("invalid_audio_format", f"unsupported rate {str(rate)[:20]}")
        taken = {key: value for key, value in given.items() if key in ("format", "transport", "transcription", "speed")}
        if not isinstance(wanted, dict):
            taken.pop("format", None)
        return {**mine, **taken}

    def _check_tools(self, tools: Any) -> None:
        """A bad list changes nothing and gives an error."""
        for given in tools if isinstance(tools, list) else [None]:
            tool: dict[str, Any] = given if isinstance(given, dict) else {}
            kind = tool.get("type")
            named = kind != "function" or isinstance(tool.get("name"), str)
            if kind not in ("function", "web_search", "x_search", "file_search", "mcp") or not named:
                raise _Rejected("invalid_request_error", "invalid tool configuration; the previous one stays")

    def _item(self, item: dict[str, Any]) -> list[Out]:
        if item["type"] == "force_message":
            self.forced.append(str(item["content"][0]["text"]))
            self._deaf_next = item.get("interruptible") is False
            return []  # the whole course of a response follows instead
        if item["type"] == "function_call_output":
            if not isinstance(item["output"], str):
                raise _Rejected("invalid_request_error", "output must be a string")
            self.tool_outputs.append((item["call_id"], item["output"]))
        elif item["type"] == "message":
            self.told.append(str(item["content"][0]["text"]))
        else:
            raise _Rejected("invalid_request_error", f"unknown item type {str(item['type'])[:40]!r}")
        made = {"id": self._id("item"), "object": "realtime.item", "status": "completed", **item}
        return [self._event("conversation.item.added", previous_item_id=None, item=made)]

    def _truncate(self, message: dict[str, Any]) -> list[Out]:
        item_id, end_ms = message["item_id"], int(message["audio_end_ms"])
        if item_id not in self._items_ms:
            raise _Rejected("invalid_request_error", f"item {str(item_id)[:40]!r} not found")
        sent = self._items_ms[item_id]
        if end_ms > sent:
            raise _Rejected("invalid_request_error", f"Audio content of {sent}ms is already shorter than {end_ms}ms")
        self.truncated.append((item_id, end_ms))
        index = message["content_index"]
        return [self._event("conversation.item.truncated", item_id=item_id, content_index=index, audio_end_ms=end_ms)]

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
        given: dict[str, Any] | None = self.session["turn_detection"]
        return given

    def user_started(self, at_ms: int, now: float) -> list[Out]:
        self._caller_item = self._id("item")
        started = self._event("input_audio_buffer.speech_started", item_id=self._caller_item, audio_start_ms=at_ms)
        out: list[Out] = [started]
        return out + (self._cancel() if self.response is not None else [])

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        """The completed transcript comes early and again; cumulative ones only from the model that makes them."""
        item, words = self._caller_item, transcript.split()
        common = {"item_id": item, "content_index": 0}
        asked = self.session["audio"]["input"].get("transcription")
        streams = isinstance(asked, dict) and asked.get("model") == "grok-transcribe"
        said = [" ".join(words[:n]) for n in range(1, len(words) + 1)] if streams else []
        out: list[Out] = [self._event(f"{_TRANSCRIPTION}.updated", **common, transcript=text) for text in said]
        out.append(self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item))
        out.append(self._event(f"{_TRANSCRIPTION}.completed", **common, transcript=transcript))
        out += self._committed(item)
        return out + self.transcribe(item, transcript, now)

    def transcribe(self, item_id: str, transcript: str, now: float) -> list[Out]:
        """What was understood of a committed item; it comes twice."""
        done = {"item_id": item_id, "content_index": 0, "transcript": transcript}
        return [self._event(f"{_TRANSCRIPTION}.completed", **done) for _ in range(2)]

    def _committed(self, item_id: str) -> list[Out]:
        made = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
                "content": [{"type": "input_audio", "transcript": None}]}  # fmt: skip
        return [
            self._event("input_audio_buffer.committed", item_id=item_id, previous_item_id=None),
            self._event("conversation.item.added", previous_item_id=None, item=made),
        ]

    def speak(self, pcmu: bytes, transcript: str, now: float, calls: Sequence[tuple[str, str]] = ()) -> list[Out]:
        """
        One response; ``pcmu`` goes out in the session's format: after a flat update that is PCM16 at 24 kHz.

        ``calls`` are tools and their arguments. Without audio and text it is the calls alone, or nothing.
        """
        response = self.response = self._id("resp")
        if self._deaf_next:  # not to be interrupted: the caller's audio is dropped until it has been played
            self._deaf_next, self._deaf_until = False, now + len(pcmu) / 8000
        first: list[Out] = [self._event("response.created", response=self._response("in_progress"))]
        self._queue = []
        if pcmu or transcript:
            item = self._id("item")
            self._items_ms[item] = len(pcmu) // 8
            message = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant",
                       "status": "in_progress", "content": []}  # fmt: skip
            common = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
            first += [
                self._event("response.output_item.added", response_id=response, output_index=0, item=message),
                self._event("conversation.item.added", previous_item_id=None, item=message),
                self._event("response.content_part.added", **common, part={"type": "audio", "transcript": ""}),
            ]
            self._queue += self._deltas_of(common, pcmu, transcript) + self._closing(common, message, transcript)
        index = 1 if self._queue else 0
        for tool, arguments in calls:
            self._queue += self._call(response, index, tool, arguments)
            index += 1
        # usage stands at the top level here
        figures = {"total_tokens": 100, "input_tokens": 60, "output_tokens": 40}
        self._queue.append(self._event("response.done", response=self._response("completed"), usage=figures))
        self._next_delta = now
        return first + self.tick(now)

    def _deltas_of(self, common: dict[str, Any], pcmu: bytes, transcript: str) -> list[bytes]:
        audio, rate = self._render(pcmu)
        step = rate * DELTA_MS // 1000
        deltas = [
            self._event("response.output_audio.delta", **common, delta=base64.b64encode(audio[at : at + step]).decode())
            for at in range(0, len(audio), step)
        ]
        words = [word + " " for word in transcript.split()]
        texts = [self._event("response.output_audio_transcript.delta", **common, delta=word) for word in words]
        return deltas[:1] + texts + deltas[1:]

    def _closing(self, common: dict[str, Any], message: dict[str, Any], transcript: str) -> list[bytes]:
        """What follows the audio of a response. There is no conversation.item.done here, and no rate_limits.updated."""
        part = {"type": "audio", "transcript": transcript}
        finished = {**message, "status": "completed", "content": [{"type": "output_audio", "transcript": transcript}]}
        response_id = common["response_id"]
        return [
            self._event("response.output_audio.done", **common),
            self._event("response.output_audio_transcript.done", **common, transcript=transcript),
            self._event("response.content_part.done", **common, part=part),
            self._event("response.output_item.done", response_id=response_id, output_index=0, item=finished),
        ]

    def _call(self, response_id: str, index: int, name: str, arguments: str) -> list[bytes]:
        call = {"id": self._id("item"), "object": "realtime.item", "type": "function_call", "status": "completed",
                "call_id": self._id("call"), "name": name, "arguments": arguments}  # fmt: skip
        added = self._event("conversation.item.added", previous_item_id=None, item=call)
        fields = {"response_id": response_id, "item_id": call["id"], "output_index": index, "call_id": call["call_id"]}
        return [
            self._event("response.output_item.added", response_id=response_id, output_index=index, item=call),
            added,
            added,  # sent twice, as clients of the live service have seen it
            self._event("response.function_call_arguments.done", **fields, name=name, arguments=arguments),
            self._event("response.output_item.done", response_id=response_id, output_index=index, item=call),
        ]

    def _render(self, pcmu: bytes) -> tuple[bytes, int]:
        """The answer in the agreed format, and that format's bytes per second."""
        if self.format_out["type"] == "audio/pcmu":
            return pcmu, 8000
        rate = int(self.format_out.get("rate") or 24000)
        samples = g711.decode(pcmu)
        at = np.arange(len(samples) * rate // 8000) * 8000 / rate
        return np.interp(at, np.arange(len(samples)), samples).astype("<i2").tobytes(), rate * 2

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self.response, "object": "realtime.response", "status": status, "status_details": "unimplemented",
            "output": [], "metadata": None,
        }  # fmt: skip

    def _cancel(self) -> list[Out]:
        done = self._event("response.done", response=self._response("cancelled"))
        self._end_response()
        return [done]

    def _end_response(self) -> None:
        self._queue.clear()
        self.response = None
        self._next_delta = None

    # ------------------------------------------------------------------------------------------ time

    def _expires_at(self) -> float:
        return self._opened_at + self._expires_s

    def deadline(self) -> float | None:
        """When something is due: a delta, a ping, or the session's end."""
        if self._closed or not self.session:
            return None
        due = min(self._expires_at(), self._next_ping)
        return due if self._next_delta is None else min(due, self._next_delta)

    def tick(self, now: float) -> list[Out]:
        """What is due."""
        if self._closed or not self.session:
            return []
        if now >= self._expires_at():
            self._closed = True
            return [self._error("max_duration", EXPIRED.value), PeerClose(1000, EXPIRED.value)]
        out: list[Out] = []
        while now >= self._next_ping:
            self._next_ping += PING_S.value
            out.append(self._event("ping", timestamp=1795520000 + int(now - self._opened_at)))
        while self._queue and self._next_delta is not None and self._next_delta <= now:
            message = self._queue.pop(0)
            out.append(message)
            if b"output_audio.delta" in message[:60]:
                self._next_delta += DELTA_MS / 1000 / self._speedup
        if not self._queue:
            self._end_response()
        return out

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids:08d}"

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _json.encode({"type": kind, "event_id": self._id("event"), **fields})

    def _error(self, kind: str, text: str) -> bytes:
        """The code is the type, as documented."""
        return self._event("error", error={"type": kind, "code": kind, "message": text})

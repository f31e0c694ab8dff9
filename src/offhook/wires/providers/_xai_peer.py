"""
xAI Grok voice, their side: silent where OpenAI refuses. Unknown fields are ignored without a word, a flat session
changes nothing, an unknown model is replaced by another, and the echo is normalised.

Both ways a dead model may show can be played: a refusal of the upgrade (its text is assumed: nobody recorded one), and
the silent replacement. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from offhook.wires._wire import Out, PeerClose, Refusal
from offhook.wires.providers.xai import DEAD_MODELS, LATEST_MODEL, MODELS

__all__ = ["FAULTS", "Peer"]

FAULTS = frozenset(
    (
        "no-greeting", "no-session-updated", "conversation-first", "refuse-dead-model", "malformed-json",
        "unknown-events", "digital-silence", "die-mid-call", "stop-answering", "ignore-formats", "no-start-ms",
        "unauthorized", "forbidden", "late-deltas", "session-expired", "fail-responses",
    )
)  # fmt: skip
_json = msgspec.json.Encoder()
PCM24 = {"type": "audio/pcm", "rate": 24000}
DELTA_MS = 100
FALLBACK_MODEL = "grok-voice-fast-1.0"  # what answered for an unknown name (pipecat-ai/pipecat#4401)


class Peer:
    """The provider's side of one session."""

    def __init__(
        self,
        *,
        keys: frozenset[str] | None = None,
        models: tuple[str, ...] = MODELS.value,
        faults: frozenset[str] = frozenset(),
        speedup: float = 5.0,
        expires_s: float = 1800.0,
    ) -> None:
        unknown = faults - FAULTS
        if unknown:
            raise ValueError(f"no fault {sorted(unknown)[0]!r}; there are {', '.join(sorted(FAULTS))}")
        self.heard = bytearray()
        self.asked: list[str] = []
        self.told: list[str] = []
        self.tools: list[str] = []
        self.forced: list[str] = []  # texts of force_message
        self.tool_outputs: list[tuple[str, str]] = []
        self.truncated: list[tuple[str, int]] = []
        self.response: str | None = None
        self.session: dict[str, Any] = {}
        self.updates = 0
        self.appended_before_update = 0
        self.received: list[dict[str, Any]] = []
        self._keys = keys
        self._models = models
        self._faults = faults
        self._speedup = speedup
        self._expires_s = expires_s
        self._model = ""
        self._ids = 0
        self._queue: list[bytes] = []
        self._due: float | None = None
        self._opened_at = 0.0
        self._items_ms: dict[str, int] = {}
        self._caller_item = ""

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """The HTTP refusal of a request, if any."""
        parts = urlsplit(path_and_query)
        given = {name.lower(): value for name, value in headers.items()}
        if parts.path != "/v1/realtime":
            return Refusal(404, "Not Found", "path")
        key = given.get("authorization", "").removeprefix("Bearer ").strip()
        if "unauthorized" in self._faults or not key or (self._keys is not None and key not in self._keys):
            return Refusal(401, '{"code":"unauthenticated","error":"assumed text: invalid API key"}', "key")
        if "forbidden" in self._faults:
            return Refusal(403, '{"code":"permission-denied","error":"assumed text: no realtime access"}', "account")
        asked = parse_qs(parts.query).get("model", ["grok-voice-latest"])[0]
        known = asked in self._models and asked not in DEAD_MODELS.value
        if not known and "refuse-dead-model" in self._faults:
            text = f'{{"code":"not-found","error":"assumed text: the model {asked} does not exist"}}'
            return Refusal(404, text, "model")
        self._model = asked if known else FALLBACK_MODEL
        if self._model == "grok-voice-latest":
            self._model = LATEST_MODEL.value
        return None

    def opened(self, now: float) -> list[Out]:
        """The first messages."""
        self._opened_at = now
        self._due = now + self._expires_s
        self.session = {
            "object": "realtime.session", "id": self._id("sess"), "model": self._model, "voice": "xai_eve",
            "instructions": "", "tools": [],
            "turn_detection": {"type": "server_vad", "threshold": 0.85, "prefix_padding_ms": 333,
                               "silence_duration_ms": 200},
            "audio": {"input": {"format": PCM24}, "output": {"format": PCM24}},
        }  # fmt: skip
        if "no-greeting" in self._faults:
            return []
        conversation = self._event(
            "conversation.created", conversation={"id": "conv_1", "object": "realtime.conversation"}
        )
        if "conversation-first" in self._faults:
            return [conversation]
        return [self._event("session.created", session=self.session), conversation]

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers. Never raises."""
        if binary:
            self.heard += data  # input takes both kinds of frame
            return []
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [self._error("invalid_event", "could not parse the event")]
        kind = message.get("type")
        if kind == "input_audio_buffer.append":
            return self._append(message)
        self.received.append(message)
        try:
            return self._handle(str(kind), message)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            return [self._error("invalid_request_error", f"{kind}: {str(error)[:80]}")]

    def _append(self, message: dict[str, Any]) -> list[Out]:
        if not self.updates:
            self.appended_before_update += 1
        try:
            self.heard += binascii.a2b_base64(str(message.get("audio", "")).encode(), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            return [self._error("invalid_request_error", "audio is not base64")]
        return []

    def _handle(self, kind: str, message: dict[str, Any]) -> list[Out]:
        if kind == "session.update":
            return self._update(message["session"])
        if kind == "response.create":
            if self.response is not None:
                return [self._error("invalid_request_error", "there is already an active response")]
            self.asked.append(str((message.get("response") or {}).get("instructions", "")))
            return []
        if kind == "response.cancel":
            if self.response is None:
                return [self._error("invalid_request_error", "Cancellation failed: no active response found")]
            return self._cancel("client_cancelled")
        if kind == "conversation.item.create":
            return self._item(message["item"])
        if kind == "conversation.item.truncate":
            return self._truncate(message)
        return [self._error("invalid_event", f"unknown event type {kind[:60]!r}")]

    def _update(self, session: dict[str, Any]) -> list[Out]:
        """Take what is known where it is known; everything else is ignored, and nothing is said about it."""
        given_audio = session.get("audio")
        audio: dict[str, Any] = given_audio if isinstance(given_audio, dict) else {}
        for side in ("input", "output"):
            given = audio.get(side, {}) if isinstance(audio.get(side), dict) else {}
            wanted = given.get("format")
            if isinstance(wanted, dict) and wanted.get("type") not in (
                "audio/pcm",
                "audio/pcmu",
                "audio/pcma",
                "audio/opus",
            ):
                return [self._error("invalid_audio_format", f"unsupported format {wanted.get('type')!r}")]
            kept = dict(given)
            if "ignore-formats" in self._faults:
                kept.pop("format", None)
            mine = self.session["audio"]
            self.session["audio"] = {**mine, side: {**mine[side], **kept}}
        if isinstance(session.get("voice"), str):
            self.session["voice"] = "xai_" + session["voice"].lower()
        for name in ("instructions", "turn_detection"):
            if name in session:
                self.session[name] = session[name]
        if isinstance(session.get("tools"), list):
            self.session["tools"] = session["tools"]
            self.tools = [tool.get("name", tool.get("type")) for tool in session["tools"]]
        self.updates += 1
        if "no-session-updated" in self._faults:
            return []
        echo = {key: value for key, value in self.session.items() if key != "id"}
        return [self._event("session.updated", session=echo)]

    def _item(self, item: dict[str, Any]) -> list[Out]:
        if item["type"] == "force_message":
            self.forced.append(str(item["content"][0]["text"]))
        elif item["type"] == "function_call_output":
            self.tool_outputs.append((item["call_id"], str(item["output"])))
        elif item["type"] == "message":
            self.told.append(str(item["content"][0]["text"]))
        return [self._event("conversation.item.added", item={"id": self._id("item"), **item})]

    def _truncate(self, message: dict[str, Any]) -> list[Out]:
        item_id, end_ms = message["item_id"], int(message["audio_end_ms"])
        sent = self._items_ms[item_id]
        if end_ms > sent:
            return [
                self._error("invalid_request_error", f"Audio content of {sent}ms is already shorter than {end_ms}ms")
            ]
        self.truncated.append((item_id, end_ms))
        return [self._event("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms)]

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
        fields = {} if "no-start-ms" in self._faults else {"audio_start_ms": at_ms}
        out: list[Out] = [self._event("input_audio_buffer.speech_started", item_id=self._caller_item, **fields)]
        return out + (self._cancel("turn_detected") if self.response is not None else [])

    def user_stopped(self, at_ms: int, transcript: str, now: float) -> list[Out]:
        """Transcripts are cumulative, and the completed one comes early and again."""
        item, name = self._caller_item, "conversation.item.input_audio_transcription"
        words = transcript.split()
        out: list[Out] = [
            self._event(f"{name}.updated", item_id=item, content_index=0, transcript=" ".join(words[:n]))
            for n in range(1, len(words) + 1)
        ]
        done = self._event(f"{name}.completed", item_id=item, content_index=0, transcript=transcript)
        return [
            *out,
            self._event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item),
            done,
            self._event("input_audio_buffer.committed", item_id=item),
            self._event("conversation.item.added", item={"id": item, "type": "message", "role": "user", "content": []}),
            done,
            done,
        ]

    def speak(self, pcmu: bytes, transcript: str, now: float, tool: str | None = None) -> list[Out]:
        """One response; ``pcmu`` goes out in the session's format."""
        if "stop-answering" in self._faults:
            return []
        self.response = self._id("resp")
        item = self._id("item")
        self._items_ms[item] = len(pcmu) // 8
        common = {"response_id": self.response, "item_id": item, "output_index": 0, "content_index": 0}
        out: list[Out] = [self._event("response.created", response=self._response("in_progress"))]
        if "fail-responses" in self._faults:
            done = self._event("response.done", response=self._response("failed"))
            self.response = None
            return [*out, done]
        audio = self._render(pcmu)
        step = DELTA_MS * (8 if self.format_out["type"] == "audio/pcmu" else 48)
        self._queue = [
            self._event("response.output_audio.delta", **common, delta=base64.b64encode(audio[at : at + step]).decode())
            for at in range(0, len(audio), step)
        ]
        self._queue.append(self._event("response.output_audio.done", **common))
        self._queue.append(self._event("response.output_audio_transcript.done", **common, transcript=transcript))
        if tool is not None:
            self._queue.append(
                self._event("response.function_call_arguments.done", response_id=self.response, output_index=1,
                            item_id=self._id("item"), call_id=self._id("call"), name=tool, arguments="{}")
            )  # fmt: skip
        # usage stands at the top level here, and the details are a text
        figures = {"total_tokens": 100, "input_tokens": 60, "output_tokens": 40}
        self._queue.append(self._event("response.done", response=self._response("completed"), usage=figures))
        self._due = now
        if "unknown-events" in self._faults:
            out.append(self._event("response.mood_detected", mood="curious"))
        if "malformed-json" in self._faults:
            out.append(b'{"type":"response.output_audio.delta","delta":')
        out.append(self._event("ping", timestamp=1795520000))
        return out + self.tick(now)

    def _render(self, pcmu: bytes) -> bytes:
        if "digital-silence" in self._faults:
            pcmu = b"\xff" * len(pcmu)
        if self.format_out["type"] == "audio/pcmu":
            return pcmu
        import numpy as np

        from offhook.media import g711

        return np.repeat(g711.decode(pcmu), 3).astype("<i2").tobytes()

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self.response, "object": "realtime.response", "status": status, "status_details": "unimplemented",
            "output": [], "metadata": None,
        }  # fmt: skip

    def _cancel(self, why: str) -> list[Out]:
        late = [message for message in self._queue if b".delta" in message][:3] if "late-deltas" in self._faults else []
        done = self._event("response.done", response=self._response("cancelled"))
        self._queue.clear()
        self.response = None
        self._due = self._opened_at + self._expires_s
        return [done, *late]

    def deadline(self) -> float | None:
        """When something is due."""
        return self._due

    def tick(self, now: float) -> list[Out]:
        """What is due."""
        out: list[Out] = []
        if now >= self._opened_at + self._expires_s:
            self._due = None
            text = "Session exceeded the maximum duration"
            error = {"type": "max_duration", "code": "max_duration", "message": text}
            return [self._event("error", error=error), PeerClose(1000, text)]
        while self._queue and self._due is not None and self._due <= now:
            message = self._queue.pop(0)
            out.append(message)
            if b"output_audio.delta" in message[:60]:
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
        return f"{kind}_{self._ids:08d}"

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _json.encode({"type": kind, "event_id": self._id("event"), **fields})

    def _error(self, kind: str, text: str) -> bytes:
        return self._event("error", error={"type": kind, "code": kind, "message": text})

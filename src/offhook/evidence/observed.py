"""
What can be counted on the two wires of a call from outside: playback ahead of the caller, underruns, marks, barge-ins,
turns, responses, and how much audio came and went. Fixed size. Knows no wire's messages beyond the names it counts.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping
from typing import Any

from offhook.media.levels import SPEECH_CLASS, Meter, loudness
from offhook.wires._wire import Violation

__all__ = ["CarrierOut", "ProviderAudio"]

KEPT = 100
ECHO_FRAMES = 3000  # of the first minute
SPOKE_FRAMES = 10  # a click is shorter
BARGE_MIN_AHEAD_S = 0.3  # with less than that at the carrier a clear changes nothing that could be heard


class ProviderAudio:
    """What the provider's wire carried."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.format = "audio/pcmu"
        self.input_format = ""
        self.dials = 0
        self.responses: dict[str, dict[str, Any]] = {}
        self.active: str | None = None
        self.cancelled: set[str] = set()
        self.audio_ms = 0.0
        self.audio_began: float | None = None  # of the latest response that speaks
        self.latest: str | None = None  # response that was created
        self._delivered: deque[tuple[float, float]] = deque(maxlen=2048)  # when, and how much by then
        self.types: dict[str, int] = {}
        self.speech: list[dict[str, Any]] = []
        self.opened_at: float | None = None
        self.ready_at: float | None = None
        self.update_sent_at: float | None = None
        self.appends = 0
        self.appends_before_ready = 0
        self.first_append_at: float | None = None
        self.last_rx = now
        self.first: str | None = None
        self.first_sent: str | None = None
        self.creates = self.commits = self.cancels = 0
        self.caller_text_chars = self.agent_text_chars = 0

    def dialled(self) -> int:
        self.dials += 1
        return self.dials

    def opened(self, now: float) -> None:
        self.opened_at, self.ready_at, self.update_sent_at = now, None, None

    def session(self, session: Any) -> None:
        """The formats that the provider says it uses."""
        if not isinstance(session, dict):
            return
        audio = session.get("audio") if isinstance(session.get("audio"), dict) else {}
        for side in ("input", "output"):
            given = ((audio or {}).get(side) or {}).get("format") or session.get(f"{side}_audio_format")
            kind = given.get("type") if isinstance(given, dict) else given
            name = {"g711_ulaw": "audio/pcmu", "pcm16": "audio/pcm"}.get(str(kind), str(kind))
            if given is not None and side == "output":
                self.format = name
            elif given is not None:
                self.input_format = name

    @property
    def bytes_per_ms(self) -> int:
        return 48 if self.format == "audio/pcm" else 8

    def message(self, kind: str, message: Mapping[str, Any], now: float) -> None:
        self.last_rx = now
        self.first = self.first or kind
        if kind in self.types or len(self.types) < KEPT:
            self.types[kind] = self.types.get(kind, 0) + 1
        if kind == "session.updated":
            self.ready_at = self.ready_at or now
        elif kind == "response.created":
            self.active = self.latest = str((message.get("response") or {}).get("id"))
            self._response(self.active, now)
        elif kind == "response.done":
            self._done(message.get("response") or {}, now)
        elif kind == "input_audio_buffer.speech_started":
            if len(self.speech) < KEPT:
                self.speech.append({"at_ms": self._ms(now), "stopped_ms": None})
        elif kind == "input_audio_buffer.speech_stopped" and self.speech:
            self.speech[-1]["stopped_ms"] = self._ms(now)
        elif kind.endswith("audio_transcript.delta"):
            self._text(message, len(str(message.get("delta", ""))))
        elif kind.endswith("output_text.delta") or kind == "response.text.delta":
            response = self._response(str(message.get("response_id")), now)
            response["text_only_chars"] += len(str(message.get("delta", "")))
        elif kind.endswith("input_audio_transcription.completed"):
            self.caller_text_chars += len(str(message.get("transcript", "")))

    def _text(self, message: Mapping[str, Any], chars: int) -> None:
        self.agent_text_chars += chars
        response = self.responses.get(str(message.get("response_id")))
        if response is not None:
            response["chars"] += chars

    def _response(self, name: str, now: float) -> dict[str, Any]:
        if name not in self.responses and len(self.responses) < KEPT:
            self.responses[name] = {"id": name, "at_ms": self._ms(now), "first_audio_ms": None, "bytes": 0, "chars": 0,
                                    "text_only_chars": 0, "status": None, "reason": None, "meter": Meter(),
                                    "done_ms": None}  # fmt: skip
        return self.responses.get(name) or {"bytes": 0, "chars": 0, "text_only_chars": 0, "first_audio_ms": 0,
                                             "meter": Meter(), "status": None, "reason": None}  # fmt: skip

    def _done(self, response: Mapping[str, Any], now: float) -> None:
        name = str(response.get("id"))
        entry = self._response(name, now)
        details = response.get("status_details")
        entry["status"] = response.get("status")
        entry["done_ms"] = self._ms(now)
        if isinstance(details, dict):
            error = details.get("error") if isinstance(details.get("error"), dict) else {}
            entry["reason"] = details.get("reason") or (error or {}).get("code") or (error or {}).get("type")
        if entry["status"] == "cancelled":
            self.cancelled.add(name)
        if self.active == name:
            self.active = None

    def audio(self, message: Mapping[str, Any], audio: bytes, now: float) -> None:
        entry = self._response(str(message.get("response_id")), now)
        entry["bytes"] += len(audio)
        if entry["first_audio_ms"] is None:
            entry["first_audio_ms"] = self._ms(now)
            self.audio_began = now
        meter: Meter = entry["meter"]
        meter.frames += 1
        meter.n_bytes += len(audio)
        meter.look(base64.b64encode(audio[:160]))
        self.audio_ms += len(audio) / self.bytes_per_ms
        self._delivered.append((now, self.audio_ms))

    def audio_ms_at(self, when: float) -> float:
        """How much had come by then; 0 where that is longer ago than is remembered."""
        return next((ms for at, ms in reversed(self._delivered) if at <= when), 0.0)

    def appended(self, now: float) -> None:
        self.appends += 1
        self.first_append_at = self.first_append_at or now
        if self.ready_at is None:
            self.appends_before_ready += 1

    def sent(self, kind: str, message: Mapping[str, Any], now: float) -> None:
        self.first_sent = self.first_sent or kind
        if kind == "session.update":
            self.update_sent_at = now
        self.creates += kind == "response.create"
        self.commits += kind == "input_audio_buffer.commit"
        self.cancels += kind == "response.cancel"

    def _ms(self, at: float) -> int:
        return round((at - self.began) * 1000)

    def figures(self) -> dict[str, Any]:
        rows = [{**entry, "meter": entry["meter"].snapshot()} for entry in self.responses.values()]
        for row in rows:
            row["meter"].pop("levels")
        stamps = {"open_ms": self.opened_at, "ready_ms": self.ready_at, "first_append_ms": self.first_append_at}
        return {
            "dials": self.dials, "first": self.first, "first_sent": self.first_sent, "types": self.types,
            "output_format": self.format, "input_format": self.input_format, "appends": self.appends,
            "appends_before_ready": self.appends_before_ready, "speech": self.speech, "responses": rows,
            "creates": self.creates, "commits": self.commits, "cancels": self.cancels,
            "last_rx_ms": self._ms(self.last_rx), "caller_text_chars": self.caller_text_chars,
            "agent_text_chars": self.agent_text_chars, "audio_ms": round(self.audio_ms),
            **{name: None if value is None else self._ms(value) for name, value in stamps.items()},
        }  # fmt: skip


class CarrierOut:
    """What the server sent to the carrier, and how it stands to what the caller can have heard."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.frames = self.n_bytes = self.not_whole = self.small = 0
        self.first_at: float | None = None
        self.last_at = now
        self.ahead_max_s = 0.0
        self.underruns = 0
        self.behind_s = 0.0
        self.marks_sent = self.marks_back = self.clears = 0
        self.bad: dict[str, int] = {}
        self.barge_ins: list[dict[str, Any]] = []
        self.sent_ms = 0.0
        self.after_clear = 0  # audio of a response that was cut off, sent behind the clear
        self.tracks: dict[str, int] = {}
        self.lost = self.reordered = 0
        self.float_like = 0  # frames whose bytes repeat in fours, as float32 has them
        self.loud = self.looked = 0
        self._inbound: list[int] = []  # loudness classes of the caller's frames
        self._played: dict[int, int] = {}  # loudness classes of what plays, by 20 ms since the first caller frame
        self._plays_until = now
        self._cut: str | None = None
        self._next: dict[str, int] = {}  # chunk number, by stream
        self._late_max_s = 0.0
        self._in_began: float | None = None
        self._in = 0

    def new_stream(self) -> None:
        """Chunks are counted from one again, also under the same name."""
        self._next.clear()

    def frame_in(self, message: Mapping[str, Any], media: Mapping[str, Any], now: float) -> None:
        """A frame of the caller: which track, in which order, how late."""
        track = str(media.get("track"))
        self.tracks[track] = self.tracks.get(track, 0) + 1
        try:
            n = int(media.get("chunk", 0))
        except (TypeError, ValueError):
            n = 0
        stream = str(message.get("streamSid"))  # a second one beside the first has an order of its own
        wanted = self._next.get(stream, n)
        self.lost += max(0, n - wanted)
        if n < wanted:
            self.reordered += 1
        elif n:
            self._next[stream] = n + 1
        if self._in_began is None:
            self._in_began = now
        self._late_max_s = max(self._late_max_s, now - self._in_began - self._in * 0.02)
        self._in += 1
        if len(self._inbound) < ECHO_FRAMES:
            self._inbound.append(_class(str(media.get("payload", ""))))

    def media(self, audio: bytes, now: float, provider: ProviderAudio) -> None:
        n = len(audio)
        self.frames += 1
        self.n_bytes += n
        self.not_whole += bool(n % 160)
        self.small += n < 160
        self.first_at = self.first_at or now
        gap = now - self._plays_until
        if gap > 0.001 and self.frames > 1 and self._had_more(provider):
            self.underruns += 1
            self.behind_s += gap
        self._remember(audio, max(self._plays_until, now))
        self._plays_until = max(self._plays_until, now) + n / 8000
        self.ahead_max_s = max(self.ahead_max_s, self._plays_until - now)
        self.sent_ms += n / 8
        self.last_at = now
        if not self.frames % 5 and n >= 80:
            self.looked += 1
            self.float_like += _float_like(audio)
            self.loud += sum(1 for code in audio[::8] if code & 0x70 == 0) * 8 > n * 0.05
        if self._cut is not None:
            if provider.latest == self._cut:
                self.after_clear += 1
                self.barge_ins[-1]["late_frames"] += 1
            else:
                self._cut = None

    def _had_more(self, provider: ProviderAudio) -> bool:
        """Whether audio of the response that plays was at hand when the carrier ran dry."""
        began = provider.audio_began
        waiting_ms = provider.audio_ms_at(self._plays_until) - self.sent_ms
        return began is not None and began < self._plays_until and waiting_ms > 60

    def _remember(self, audio: bytes, plays_at: float) -> None:
        """How loud what is sent will be heard, and when."""
        if self._in_began is None:
            return
        at = round((plays_at - self._in_began) * 50)
        for n in range(0, len(audio), 160):
            if at + n // 160 < ECHO_FRAMES:
                self._played[at + n // 160] = loudness(audio[n : n + 160])

    def echo(self) -> dict[str, Any]:
        """How much of what the agent said comes back from the caller's side, and how late: Pearson's correlation."""
        best: tuple[float, int] = (0.0, 0)
        for lag in range(4, 34, 2):
            end = len(self._inbound) - lag
            pairs = [(level, self._inbound[at + lag]) for at, level in self._played.items() if at < end]
            best = max(best, (_correlation(pairs), lag))
        return {"correlation": round(best[0], 2), "lag_ms": best[1] * 20}

    def _spoke_ms(self) -> int | None:
        """When the caller first spoke: 200 ms of speech without a gap, in the first minute."""
        run = 0
        for n, level in enumerate(self._inbound):
            run = run + 1 if level >= SPEECH_CLASS else 0
            if run == SPOKE_FRAMES and self._in_began is not None:
                return round((self._in_began - self.began) * 1000) + (n + 1 - SPOKE_FRAMES) * 20
        return None

    def ahead_s(self, now: float) -> float:
        return max(0.0, self._plays_until - now)

    def refused(self, judged: list[Violation]) -> None:
        for violation in judged:
            name = f"{violation.message}:{violation.field or violation.got}"[:60]
            if name in self.bad or len(self.bad) < 16:
                self.bad[name] = self.bad.get(name, 0) + 1

    def mark_sent(self, now: float) -> None:
        self.marks_sent += 1

    def mark_back(self, name: str, now: float) -> None:
        self.marks_back += 1

    def speech_started(self, now: float, provider: ProviderAudio) -> None:
        """The provider heard the caller: if the agent can still be heard, this is a barge-in."""
        ahead = self.ahead_s(now)
        if ahead < BARGE_MIN_AHEAD_S or len(self.barge_ins) >= KEPT:
            return
        self.barge_ins.append({
            "at_ms": round((now - self.began) * 1000), "ahead_ms": round(ahead * 1000), "clear_after_ms": None,
            "late_frames": 0, "response": provider.active or next(reversed(provider.responses), None),
        })  # fmt: skip

    def clear(self, now: float, provider: ProviderAudio) -> None:
        self.clears += 1
        if self._in_began is not None:
            at = round((now - self._in_began) * 50)
            self._played = {when: level for when, level in self._played.items() if when < at}
        self._plays_until = now
        barge = self.barge_ins[-1] if self.barge_ins else None
        if barge is not None and barge["clear_after_ms"] is None:
            barge["clear_after_ms"] = round((now - self.began) * 1000) - barge["at_ms"]
            self._cut = barge["response"]
        self.sent_ms = provider.audio_ms

    def truncated(self, message: Mapping[str, Any], now: float, provider: ProviderAudio) -> None:
        if self.barge_ins and len(self.barge_ins) < KEPT:
            self.barge_ins[-1]["truncated_ms"] = message.get("audio_end_ms")
            entry = provider.responses.get(str(self.barge_ins[-1]["response"]))
            if entry is not None:
                self.barge_ins[-1]["item_ms"] = entry["bytes"] // provider.bytes_per_ms

    def figures_in(self) -> dict[str, Any]:
        wall = self._in * 20
        return {"frames": self._in, "lost": self.lost, "reordered": self.reordered, "tracks": self.tracks,
                "late_max_ms": round(self._late_max_s * 1000), "audio_ms": wall, "echo": self.echo(),
                "spoke_ms": self._spoke_ms()}  # fmt: skip

    def figures(self) -> dict[str, Any]:
        return {
            "frames": self.frames, "bytes": self.n_bytes, "not_whole": self.not_whole, "small": self.small,
            "first_ms": None if self.first_at is None else round((self.first_at - self.began) * 1000),
            "last_ms": round((self.last_at - self.began) * 1000), "ahead_max_ms": round(self.ahead_max_s * 1000),
            "plays_until_ms": round((self._plays_until - self.began) * 1000), "underruns": self.underruns,
            "behind_ms": round(self.behind_s * 1000),
            "bad": self.bad, "marks": {"sent": self.marks_sent, "returned": self.marks_back}, "clears": self.clears,
            "after_clear": self.after_clear, "barge_ins": self.barge_ins,
            "looked": self.looked, "float_like": self.float_like, "loud": self.loud,
        }  # fmt: skip


def _class(payload: str) -> int:
    try:
        return loudness(base64.b64decode(payload[:216]))
    except ValueError:
        return 0


def _correlation(pairs: list[tuple[int, int]]) -> float:
    """Of two rows of loudness; 0 where there is not enough of both."""
    n = len(pairs)
    if n < 100:
        return 0.0
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    xx = sum((x - mean_x) ** 2 for x, _ in pairs)
    yy = sum((y - mean_y) ** 2 for _, y in pairs)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return float(xy / (xx * yy) ** 0.5) if xx and yy else 0.0


def _float_like(audio: bytes) -> bool:
    """Little-endian float32: the last byte of each four is an exponent, one of few, and the first ones are noise."""
    high = audio[3:160:4]
    return len(high) >= 20 and sum(1 for byte in high if byte & 0x7F in (0x3B, 0x3C, 0x3D, 0x3E, 0x3F)) > 0.7 * len(
        high
    )

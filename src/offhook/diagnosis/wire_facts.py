"""
What crossed the two wires of a call, as far as a recording shows it: messages that were kept whole, counters of
those that were not, and the figures of whoever observed the call. Knows the names of messages, no rule.

A recording keeps what is not audio whole (a flood of one type is sampled and counted) and of audio the first
messages, new lengths and counters. So what is read here says "at least".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct, field, structs

from offhook.diagnosis.facts import Fact, ProviderError, Session
from offhook.evidence.record import Channel, Line, Recording

__all__ = ["Audio", "CarrierIn", "CarrierOut", "ProviderWire", "Response", "Start", "read_wires"]

# Names of the same message in the dialects that exist or have existed; see wires/providers.
DELTAS = ("response.output_audio.delta", "response.audio.delta")
APPEND = "input_audio_buffer.append"
SPEECH_STARTED, SPEECH_STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
UPDATES = ("session.update",)
ECHOES = ("session.updated",)
KEPT = 1000


class Audio(Struct, frozen=True):
    """One direction of one leg: how much, how loud, of which kind. As the meters figured it."""

    line: int = 0
    frames: int = 0
    bytes: int = 0
    measured: int = 0
    silent: int = 0
    speech_ms: int = 0
    levels: tuple[int, ...] = ()
    par: float = 0.0
    zero: float = 0.0
    a_law: float = 0.0
    base64: float = 0.0
    judged: str = "not proven"

    @property
    def silent_share(self) -> float:
        """Share of measured frames that were digital silence; 0 where nothing was measured."""
        return self.silent / self.measured if self.measured else 0.0

    @property
    def audible(self) -> bool:
        """Whether anything was heard: a frame above the class of digital silence and near-silence."""
        return sum(self.levels[4:]) > 0


class Start(Fact, frozen=True, kw_only=True):
    """The carrier's ``start``."""

    stream_sid: str = ""
    call_sid: str = ""
    encoding: str = ""
    rate: int = 0
    tracks: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    dialect: str = "twilio"  # by its shape


class CarrierIn(Struct, frozen=True):
    """From the carrier."""

    seen: bool = False
    first: Fact | None = None
    first_event: str = ""
    connected: Fact | None = None
    start: Start | None = None
    stop: Fact | None = None
    audio: Audio = Audio()
    lost: int = 0
    reordered: int = 0
    gap_max_ms: float = 0
    late_max_ms: float = 0
    tracks: dict[str, int] = field(default_factory=dict)
    digits: int = 0
    marks: int = 0
    unknown: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)


class CarrierOut(Struct, frozen=True):
    """To the carrier. What stands in ``figures`` was counted by an observer between the parts."""

    first: Fact | None = None
    audio: Audio = Audio()
    bad: dict[str, int] = field(default_factory=dict)  # refused messages, by "message:field"
    events: dict[str, int] = field(default_factory=dict)
    marks_sent: int = 0
    marks_played: int = 0
    marks_flushed: int = 0
    marks_lost: int = 0  # skipped by one that stood behind them
    marks_latest_ms: float | None = None  # the latest behind its due time; None where nobody measured it
    clears: tuple[Fact, ...] = ()
    ahead_max_ms: float = 0
    underruns: int | None = None
    first_media_ms: float | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def marks_returned(self) -> int:
        return self.marks_played + self.marks_flushed


class Response(Fact, frozen=True, kw_only=True):
    """One response of the provider."""

    id: str = ""
    status: str = ""  # "" while it runs
    reason: str = ""
    done_ms: float | None = None
    done_line: int = 0
    transcript: str = ""


class ProviderWire(Struct, frozen=True):
    """Both directions of the provider's wire. ``figures`` as in CarrierOut."""

    seen: bool = False
    first: Fact | None = None
    first_type: str = ""
    first_sent: Fact | None = None
    first_sent_type: str = ""
    types: dict[str, int] = field(default_factory=dict)  # from the provider, kept messages and audio
    sent: dict[str, int] = field(default_factory=dict)
    echo: Fact | None = None
    asked: Fact | None = None
    audio: Audio = Audio()  # from the provider
    appended: Audio = Audio()
    speech: tuple[Fact, ...] = ()
    speech_stopped: tuple[Fact, ...] = ()
    responses: tuple[Response, ...] = ()
    errors: tuple[ProviderError, ...] = ()  # as the messages say them; what is harmless only a wire's profile knows
    sessions: tuple[Session, ...] = ()
    creates: tuple[Fact, ...] = ()
    caller_words: int = 0  # transcripts of what the caller said
    agent_words: int = 0
    last_ms: float | None = None  # when the provider last sent a message that was kept
    figures: dict[str, Any] = field(default_factory=dict)


def read_wires(call: Recording) -> tuple[CarrierIn, CarrierOut, ProviderWire]:
    """All three views of the wires, in one pass over the messages."""
    reading = _Reading()
    for line in call.messages():
        reading.take(line)
    counters = call.counters()
    audio = _audio(counters)
    wire = {**call.summary("carrier_wire"), **call.summary("carrier_in")}
    return (
        _carrier_in(reading, audio[Channel.FROM_CARRIER], wire, counters),
        _carrier_out(call, reading, audio[Channel.TO_CARRIER], call.summary("carrier_out")),
        reading.provider(audio[Channel.FROM_PROVIDER], audio[Channel.TO_PROVIDER], call.summary("provider")),
    )


def _audio(counters: dict[str, Any]) -> list[Audio]:
    """
    The figures of the four channels.

    Our own bridge measures audio where it comes in: what it passes on is the same bytes, so it has the same pattern.
    """
    line = counters.get("line", 0)
    channels = counters.get("channels") or [{}] * len(Channel)
    made = [msgspec.convert({**given, "line": line}, Audio) for given in channels]
    for out, came in ((Channel.TO_CARRIER, Channel.FROM_PROVIDER), (Channel.TO_PROVIDER, Channel.FROM_CARRIER)):
        one, other = made[out], made[came]
        if one.frames and not one.measured and other.measured:
            share = one.bytes / (other.bytes or 1)
            made[out] = structs.replace(
                other, frames=one.frames, bytes=one.bytes, speech_ms=round(other.speech_ms * share)
            )
    return made


def _number(given: dict[str, Any], name: str) -> float:
    value = given.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _counts(given: Any) -> dict[str, int]:
    if not isinstance(given, dict):
        return {}
    return {str(name): n for name, n in given.items() if isinstance(n, int)}


def _carrier_in(reading: _Reading, audio: Audio, wire: dict[str, Any], counters: dict[str, Any]) -> CarrierIn:
    return CarrierIn(
        seen=reading.seen[Channel.FROM_CARRIER] or audio.frames > 0,
        first=reading.first.get(Channel.FROM_CARRIER),
        first_event=reading.first_kind.get(Channel.FROM_CARRIER, ""),
        connected=reading.connected,
        start=reading.start,
        stop=reading.stop,
        audio=audio,
        lost=int(_number(wire, "lost")),
        reordered=int(_number(wire, "reordered")),
        gap_max_ms=_number(counters, "gap_max_ms"),
        late_max_ms=_number(wire, "late_max_ms"),
        tracks=_counts(wire.get("tracks")),
        digits=reading.kinds[Channel.FROM_CARRIER].get("dtmf", 0),
        marks=reading.kinds[Channel.FROM_CARRIER].get("mark", 0),
        unknown=tuple(
            kind for kind in reading.kinds[Channel.FROM_CARRIER]
            if kind not in ("connected", "start", "media", "stop", "dtmf", "mark", "?")
        ),
        figures=wire,
    )  # fmt: skip


def _carrier_out(call: Recording, reading: _Reading, audio: Audio, figures: dict[str, Any]) -> CarrierOut:
    marks = call.summary("marks") or figures.get("marks") or {}
    marks = marks if isinstance(marks, dict) else {}
    events = reading.kinds[Channel.TO_CARRIER]
    played = _number(marks, "played") if "played" in marks else _number(marks, "returned")
    if not marks:
        played = reading.kinds[Channel.FROM_CARRIER].get("mark", 0)
    first = reading.first_of.get((Channel.TO_CARRIER, "media"))
    return CarrierOut(
        first=reading.first.get(Channel.TO_CARRIER),
        audio=audio,
        bad=_counts(figures.get("bad")),
        events=dict(events),
        marks_sent=int(_number(marks, "sent")) or events.get("mark", 0),
        marks_played=int(played),
        marks_flushed=int(_number(marks, "flushed")),
        marks_lost=int(_number(marks, "lost")),
        marks_latest_ms=_number(marks, "latest_ms") if "latest_ms" in marks else None,
        clears=tuple(reading.clears),
        ahead_max_ms=_number(figures, "ahead_max_ms") or _number(call.summary("counts"), "ahead_max_ms"),
        underruns=int(_number(figures, "underruns")) if "underruns" in figures else None,
        first_media_ms=first.at_ms if first else None,
        figures=figures,
    )


class _Reading:
    """One pass over a recording's messages."""

    def __init__(self) -> None:
        self.seen = [False] * len(Channel)
        self.first: dict[Channel, Fact] = {}
        self.first_kind: dict[Channel, str] = {}
        self.first_of: dict[tuple[Channel, str], Fact] = {}
        self.kinds: list[dict[str, int]] = [{} for _ in Channel]
        self.connected: Fact | None = None
        self.start: Start | None = None
        self.stop: Fact | None = None
        self.clears: list[Fact] = []
        self.speech: list[Fact] = []
        self.speech_stopped: list[Fact] = []
        self.creates: list[Fact] = []
        self.responses: dict[str, Response] = {}
        self.errors: list[ProviderError] = []
        self.sessions: list[Session] = []
        self.words = [0, 0]
        self.last_ms: float | None = None

    def take(self, line: Line) -> None:
        channel = Channel(line.data["ch"])
        message = line.data.get("m")
        message = message if isinstance(message, dict) else {}
        kind = str(message.get("type") if channel >= Channel.FROM_PROVIDER else message.get("event"))[:60]
        kind = "?" if kind == "None" else kind
        fact = Fact(line=line.number, at_ms=line.at_ms)
        self.seen[channel] = True
        self.first.setdefault(channel, fact)
        self.first_kind.setdefault(channel, kind)
        self.first_of.setdefault((channel, kind), fact)
        counts = self.kinds[channel]
        if kind in counts or len(counts) < KEPT:
            counts[kind] = counts.get(kind, 0) + 1
        if channel is Channel.FROM_CARRIER:
            self._from_carrier(kind, message, fact)
        elif channel is Channel.FROM_PROVIDER:
            self._from_provider(kind, message, fact)
        elif kind == "clear" and len(self.clears) < KEPT:
            self.clears.append(fact)
        elif kind == "response.create" and len(self.creates) < KEPT:
            self.creates.append(fact)
        elif kind == "session.update":
            self._session("update", message, fact)

    def _from_carrier(self, kind: str, message: dict[str, Any], fact: Fact) -> None:
        if kind == "connected":
            self.connected = self.connected or fact
        elif kind == "start":
            self.start = self.start or _start(message, fact)
        elif kind == "stop":
            self.stop = fact  # of the last stream: a call comes back from a transfer with another

    def _from_provider(self, kind: str, message: dict[str, Any], fact: Fact) -> None:
        self.last_ms = fact.at_ms
        if kind == SPEECH_STARTED and len(self.speech) < KEPT:
            self.speech.append(fact)
        elif kind == SPEECH_STOPPED and len(self.speech_stopped) < KEPT:
            self.speech_stopped.append(fact)
        elif kind == "response.created":
            self._response(_id(message), fact)
        elif kind == "response.done":
            self._done(message.get("response"), fact)
        elif kind == "error" and len(self.errors) < KEPT:
            self.errors.append(_error(message.get("error"), fact))
        elif kind in ("session.created", "session.updated"):
            self._session("created" if kind == "session.created" else "updated", message, fact)
        elif kind.endswith("input_audio_transcription.completed"):
            self.words[0] += len(str(message.get("transcript") or "").split())
        elif kind.endswith("audio_transcript.done"):
            self.words[1] += len(str(message.get("transcript") or "").split())

    def _session(self, kind: Literal["created", "update", "updated"], message: dict[str, Any], fact: Fact) -> None:
        data = message.get("session")
        if isinstance(data, dict) and len(self.sessions) < KEPT:
            self.sessions.append(Session(line=fact.line, at_ms=fact.at_ms, kind=kind, data=data))

    def _response(self, name: str, fact: Fact) -> None:
        if name not in self.responses and len(self.responses) < KEPT:
            self.responses[name] = Response(line=fact.line, at_ms=fact.at_ms, id=name)

    def _done(self, given: Any, fact: Fact) -> None:
        response = given if isinstance(given, dict) else {}
        name = str(response.get("id"))
        self._response(name, fact)
        if name not in self.responses:
            return
        self.responses[name] = msgspec.structs.replace(
            self.responses[name], status=str(response.get("status") or "completed"),
            reason=_reason(response.get("status_details")), done_ms=fact.at_ms, done_line=fact.line,
        )  # fmt: skip

    def provider(self, audio: Audio, appended: Audio, figures: dict[str, Any]) -> ProviderWire:
        came, went = Channel.FROM_PROVIDER, Channel.TO_PROVIDER
        return ProviderWire(
            seen=self.seen[came] or audio.frames > 0,
            first=self.first.get(came),
            first_type=self.first_kind.get(came, ""),
            first_sent=self.first.get(went),
            first_sent_type=self.first_kind.get(went, ""),
            types=self.kinds[came],
            sent=self.kinds[went],
            echo=next((f for name in ECHOES if (f := self.first_of.get((came, name)))), None),
            asked=next((f for name in UPDATES if (f := self.first_of.get((went, name)))), None),
            audio=audio,
            appended=appended,
            speech=tuple(self.speech),
            speech_stopped=tuple(self.speech_stopped),
            responses=tuple(self.responses.values()),
            errors=tuple(self.errors),
            sessions=tuple(self.sessions),
            creates=tuple(self.creates),
            caller_words=self.words[0],
            agent_words=self.words[1],
            last_ms=self.last_ms,
            figures=figures,
        )


def _error(given: Any, fact: Fact) -> ProviderError:
    error = given if isinstance(given, dict) else {"message": given}
    code, kind, param, message = (str(error.get(n) or "")[:200] for n in ("code", "type", "param", "message"))
    return ProviderError(line=fact.line, at_ms=fact.at_ms, code=code, type=kind, param=param, message=message)


def _id(message: dict[str, Any]) -> str:
    response = message.get("response")
    return str(response.get("id")) if isinstance(response, dict) else "?"


def _reason(details: Any) -> str:
    """Why a response ended so; some services give a text where others give an object."""
    if not isinstance(details, dict):
        return str(details or "")[:80]
    error = details.get("error")
    error = error if isinstance(error, dict) else {}
    return str(error.get("code") or error.get("type") or details.get("reason") or "")[:80]


def _start(message: dict[str, Any], fact: Fact) -> Start:
    """A carrier's start, whichever carrier it is: the shape says which."""
    inner = message.get("start")
    both = {**message, **(inner if isinstance(inner, dict) else {})}
    form = _part(both, "mediaFormat", "media_format")
    tracks = both.get("tracks")
    rate = str(form.get("sampleRate", form.get("sample_rate")))
    return Start(
        line=fact.line,
        at_ms=fact.at_ms,
        dialect=next((carrier for name, carrier in _DIALECTS if name in both), "unknown"),
        stream_sid=_text(both, *(name for name, _ in _DIALECTS)),
        call_sid=_text(both, "callSid", "call_sid", "callId", "call_control_id"),
        encoding=str(form.get("encoding") or ""),
        rate=int(rate) if rate.isdigit() else 0,
        tracks=tuple(map(str, tracks)) if isinstance(tracks, list) else (),
        parameters=tuple(map(str, _part(both, "customParameters", "custom_parameters"))),
    )


# How carriers spell the stream's id (their pages, checked 2026-11-22): it says whose start this is.
_DIALECTS = (("streamSid", "twilio"), ("stream_sid", "exotel"), ("streamId", "plivo"), ("stream_id", "telnyx"))


def _part(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((part for name in names if isinstance(part := given.get(name), dict)), {})


def _text(given: dict[str, Any], *names: str) -> str:
    return next((str(given[name]) for name in names if given.get(name)), "")

"""
A recording as something that can be played: what the carrier did and when, and the provider's cues.

What a record does not keep (audio, masked keys, messages beyond its limits) is put in its place, and ``said`` names
it. Pure; knows the shapes of the wires' messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from offhook.evidence.record import Channel, Line, Recording
from offhook.replay.cues import Session, message_of, sessions

__all__ = ["Tape", "TapeError", "read"]


class TapeError(Exception):
    """A recording that cannot be played."""


class Tape(Struct):
    """One call."""

    source: str
    provider: str  # the wire's name
    call: str
    began: str
    sessions: list[Session]
    stream_ms: float | None  # when the carrier's stream started
    start_delay_s: float  # from the webhook's answer to the stream
    ends: tuple[str, float] | None  # hang-up or drop by the carrier's side, after so long in the stream
    keys_at: list[float]
    speech: list[tuple[float, float]]  # of the caller, in seconds of the stream
    length_s: float  # of the stream
    digital_silence: bool  # of the caller
    agent_silence: bool
    speech_s: float  # that the meters heard
    returns_marks: bool
    rest: tuple[int, int | None] | None
    said: list[str]

    @property
    def instructions(self) -> str | None:
        """What the agent was told, where the record has all of it."""
        for session in self.sessions:
            given = (session.asked or {}).get("instructions")
            if isinstance(given, str) and not given.endswith(" characters>"):
                return given
        return None


def read(recording: Recording) -> Tape:
    """Raises TapeError."""
    said: list[str] = []
    if recording.begin.get("source") == "fake":
        raise TapeError("this is a client's session at `offhook fake`, and no call: run the client again")
    provider = _provider(recording)
    stream = next((line.at_ms for line in _events(recording, "start")), None)
    if stream is None and (mark := recording.milestone("M6")) is not None:
        stream = mark.at_ms
    figures = recording.counters().get("channels") or [{}, {}, {}, {}]
    keys = [line.at_ms for line in _events(recording, "dtmf")]
    if keys:
        said.append(f"{len(keys)} pressed key(s) are not in the record: # is pressed")
    zero = stream or 0.0
    made = list(sessions(recording, zero, figures[2], said))
    caller = figures[0]
    return Tape(
        source=str(recording.begin.get("source") or "bridge"), provider=provider, call=str(recording.begin.get("call")),
        began=str(recording.begin.get("began")),
        sessions=made, stream_ms=stream, start_delay_s=_start_delay(recording, stream),
        ends=_end(recording, zero), keys_at=[(at - zero) / 1000 for at in keys], speech=_speech(recording, zero),
        length_s=max(0.5, (_stream_over(recording) - zero) / 1000),
        digital_silence=bool(caller.get("measured")) and caller.get("silent") == caller.get("measured"),
        agent_silence=bool(figures[2].get("measured")) and figures[2].get("silent") == figures[2].get("measured"),
        speech_s=float(caller.get("speech_ms") or 0) / 1000, returns_marks=_marks(recording), rest=_rest(recording),
        said=said,
    )  # fmt: skip


def _events(recording: Recording, name: str) -> Iterator[Line]:
    """The carrier's messages of that name."""
    return (line for line in recording.messages(Channel.FROM_CARRIER) if message_of(line).get("event") == name)


def _provider(recording: Recording) -> str:
    joined = " ".join(line.text("provider") for line in recording.notes("tap.join"))
    label = f"{recording.begin.get('provider')} {recording.boot.get('provider')} {joined}".lower()
    for word, name in (("openai", "openai"), ("xai", "xai"), ("grok", "xai"), ("loopback", "loopback")):
        if word in label:
            return name
    if "provider" not in (recording.begin.get("sees") or ["provider"]):
        source = recording.begin.get("source")
        raise TapeError(f"the {source} that recorded this did not see the provider: replay the server's own record")
    raise TapeError(f"the provider of this record is {recording.begin.get('provider')!r}: no wire here can play it")


def _start_delay(recording: Recording, stream: float | None) -> float:
    answered = next((line.at_ms + line.figure("ms") for line in recording.notes("webhook")), 0.0)
    return 0.0 if stream is None else max(0.0, (stream - answered) / 1000 - 0.1)


# ------------------------------------------------------------------------------------------- the carrier


def _closed(recording: Recording, leg: str) -> Line | None:
    return next(recording.notes(f"{leg}.closed"), None)


def _stop(recording: Recording) -> Line | None:
    return next(_events(recording, "stop"), None)


def _stream_over(recording: Recording) -> float:
    stop, closed = _stop(recording), _closed(recording, "carrier")
    found = [line.at_ms for line in (stop, closed) if line is not None]
    return min(found, default=recording.last_ms)


def _end(recording: Recording, zero: float) -> tuple[str, float] | None:
    """How the carrier's side ended it; None where it was ours to end."""
    stop, closed = _stop(recording), _closed(recording, "carrier")
    ours = ("rest.hang-up", "stream.close-sent")
    asked = min((line.number for kind in ours for line in recording.notes(kind)), default=10**9)
    if stop is not None and stop.number < asked:
        return "hang-up", (stop.at_ms - zero) / 1000
    if stop is None and closed is not None and closed.number < asked and closed.data.get("by") != "us":
        return "drop", (closed.at_ms - zero) / 1000
    return None


def _marks(recording: Recording) -> bool:
    """Whether the carrier gave marks back: a few that were sent and none that came is a carrier without."""
    marks = recording.counters().get("marks")
    if not isinstance(marks, list) or len(marks) != 4:
        return True
    return not (marks[Channel.TO_CARRIER] > 2 and not marks[Channel.FROM_CARRIER])


def _rest(recording: Recording) -> tuple[int, int | None] | None:
    for line in recording.notes("rest.result"):
        done, status, code = line.data.get("done"), line.data.get("status"), line.data.get("code")
        if not done and isinstance(status, int):
            return status, code if isinstance(code, int) else None
    return None


def _speech(recording: Recording, zero: float) -> list[tuple[float, float]]:
    """When the caller spoke, as the provider noticed it."""
    found: list[tuple[float, float]] = []
    began: float | None = None
    for line in recording.messages(Channel.FROM_PROVIDER):
        kind = message_of(line).get("type")
        if kind == "input_audio_buffer.speech_started":
            began = line.at_ms
        elif kind == "input_audio_buffer.speech_stopped" and began is not None:
            found.append((max(0.0, (began - zero) / 1000 - 0.1), (line.at_ms - zero) / 1000 - 0.3))
            began = None
    if began is not None:
        found.append((max(0.0, (began - zero) / 1000 - 0.1), (recording.last_ms - zero) / 1000))
    return [(start, end) for start, end in found if end > start]

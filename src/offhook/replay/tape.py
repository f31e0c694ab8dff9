"""
A recording as something that can be played: what the carrier and the provider did, when, and because of what.

A provider's message that answers one of ours is played when ours comes, as long after it as it was then; what the
provider did by itself is played by the clock of the stream. What a record does not keep (audio, masked keys, messages
beyond its limits) is put in its place, and ``said`` names it. Pure; knows the shapes of the wires' messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from offhook.evidence.record import Channel, Line, Recording

__all__ = ["Cue", "Session", "Tape", "TapeError"]

_DELTAS = ("response.output_audio.delta", "response.audio.delta")
_DONE = ("response.output_audio.done", "response.audio.done")
# The provider's answer -> what it answers.
_CAUSES = {
    "session.updated": "session.update",
    "conversation.item.truncated": "conversation.item.truncate",
    "conversation.item.deleted": "conversation.item.delete",
    "conversation.item.retrieved": "conversation.item.retrieve",
    "input_audio_buffer.committed": "input_audio_buffer.commit",
    "input_audio_buffer.cleared": "input_audio_buffer.clear",
    "response.created": "response.create",
}
_ERROR_S = 5.0  # an error that comes later than this after our last message is no answer to it
# Messages that move a call; of the others one of each kind is enough.
_NEEDED = frozenset(
    ("response.created", "response.done", "response.function_call_arguments.done", "session.updated", "error",
     "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
)  # fmt: skip
DELTA_MS = 100
BYTES_PER_MS = {"audio/pcmu": 8, "audio/pcma": 8, "audio/pcm": 48}
UNKNOWN_MS = 1500.0  # an answer of which nothing says how long it was


class TapeError(Exception):
    """A recording that cannot be played."""


class Cue(Struct):
    """
    One message of the provider and when it is due: ``delay_s`` after ``base``.

    ``base`` is "open" (the connection), "stream" (the carrier's start), "sent TYPE N" (our Nth message of that type)
    or "cue N" (another one of this session). ``audio_ms`` is audio that has to be put in.
    """

    base: str
    delay_s: float
    message: dict[str, Any]
    audio_ms: float = 0.0


class Session(Struct):
    """One connection to the provider, or the attempt at one."""

    opened_ms: float
    cues: list[Cue]
    phases_ms: dict[str, float]
    status: int | None = None  # the upgrade was refused so
    failed: tuple[str, str] | None = None  # a phase that failed, and its cause
    body: str = ""
    asked: dict[str, Any] | None = None  # the session as it was asked for
    close: tuple[int | None, str, str, float] | None = None  # code, reason, base, delay: the provider ended it


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


def _m(line: Line) -> dict[str, Any]:
    message = line.data.get("m")
    return message if isinstance(message, dict) else {}


def read(recording: Recording) -> Tape:
    """Raises TapeError."""
    said: list[str] = []
    provider = _provider(recording)
    stream = next((line.at_ms for line in recording.messages(Channel.FROM_CARRIER) if _m(line).get("event") == "start"),
                  None)  # fmt: skip
    if stream is None and (mark := recording.milestone("M6")) is not None:
        stream = mark.at_ms
    figures = recording.counters().get("channels") or [{}, {}, {}, {}]
    keys = [line.at_ms for line in recording.messages(Channel.FROM_CARRIER) if _m(line).get("event") == "dtmf"]
    if keys:
        said.append(f"{len(keys)} pressed key(s) are not in the record: # is pressed")
    zero = stream or 0.0
    sessions = list(_sessions(recording, zero, figures[2], said))
    caller = figures[0]
    return Tape(
        source=str(recording.begin.get("source") or "bridge"), provider=provider, call=str(recording.begin.get("call")),
        began=str(recording.begin.get("began")),
        sessions=sessions, stream_ms=stream, start_delay_s=_start_delay(recording, stream),
        ends=_end(recording, zero), keys_at=[(at - zero) / 1000 for at in keys], speech=_speech(recording, zero),
        length_s=max(0.5, (_stream_over(recording) - zero) / 1000),
        digital_silence=bool(caller.get("measured")) and caller.get("silent") == caller.get("measured"),
        agent_silence=bool(figures[2].get("measured")) and figures[2].get("silent") == figures[2].get("measured"),
        speech_s=float(caller.get("speech_ms") or 0) / 1000, returns_marks=_marks(recording), rest=_rest(recording),
        said=said,
    )  # fmt: skip


def _provider(recording: Recording) -> str:
    joined = " ".join(line.text("provider") for line in recording.notes("tap.join"))
    label = f"{recording.begin.get('provider')} {recording.boot.get('provider')} {joined}".lower()
    for word, name in (("openai", "openai"), ("xai", "xai"), ("grok", "xai"), ("loopback", "loopback")):
        if word in label:
            return name
    raise TapeError(f"the provider of this record is {recording.begin.get('provider')!r}: no wire here can play it")


def _start_delay(recording: Recording, stream: float | None) -> float:
    answered = next((line.at_ms + line.figure("ms") for line in recording.notes("webhook")), 0.0)
    return 0.0 if stream is None else max(0.0, (stream - answered) / 1000 - 0.1)


# ------------------------------------------------------------------------------------------- the carrier


def _closed(recording: Recording, leg: str) -> Line | None:
    return next(recording.notes(f"{leg}.closed"), None)


def _stop(recording: Recording) -> Line | None:
    return next((line for line in recording.messages(Channel.FROM_CARRIER) if _m(line).get("event") == "stop"), None)


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
        kind = _m(line).get("type")
        if kind == "input_audio_buffer.speech_started":
            began = line.at_ms
        elif kind == "input_audio_buffer.speech_stopped" and began is not None:
            found.append((max(0.0, (began - zero) / 1000 - 0.1), (line.at_ms - zero) / 1000 - 0.3))
            began = None
    if began is not None:
        found.append((max(0.0, (began - zero) / 1000 - 0.1), (recording.last_ms - zero) / 1000))
    return [(start, end) for start, end in found if end > start]


# ------------------------------------------------------------------------------------------ the provider


def _sessions(recording: Recording, zero: float, heard: Mapping[str, Any], said: list[str]) -> Iterator[Session]:
    """One after the other, as they were dialled."""
    begins = [line.number for line in recording.notes("dial.begun")] or [recording.lines[0].number]
    spans = [(first, second) for first, second in zip(begins, [*begins[1:], 10**9], strict=True)]
    made: list[tuple[Session, _Reader]] = []
    for first, last in spans:
        reader = _Reader(zero)
        for line in recording.lines:
            if first <= line.number < last:
                reader.take(line)
        made.append((reader.finish(), reader))
    answers = [answer for _, reader in made for answer in reader.answers.values()]
    _lengths(answers, recording, heard, said)
    counted = [line.data.get("skipped") for line in recording.lines if line.kind == "counters"]
    skipped = {name for names in counted if isinstance(names, dict) for name in names}
    if lost := sorted(skipped & _NEEDED):
        said.append(f"the record was full: not every {', '.join(lost)} is in it, and so not every one is played")
    for session, reader in made:
        session.cues = reader.with_audio()
        yield session


class _Answer(Struct):
    """One spoken item: between which times its audio came, and how much."""

    first_ms: float
    last_ms: float
    after: int  # the cue that it hangs on
    after_ms: float
    fields: dict[str, Any]
    ms: float | None = None
    chars: int = 0
    over_ms: float = 0.0
    done: bool = False  # the end of its audio is in the record


class _Reader:
    """Makes cues of one session's lines."""

    def __init__(self, zero: float) -> None:
        self.answers: dict[str, _Answer] = {}
        self._zero = zero
        self._session = Session(opened_ms=0.0, cues=[], phases_ms={})
        self._sent: dict[str, int] = {}
        self._matched: dict[str, int] = {}
        self._last_sent: tuple[str, int, float] | None = None
        self._created: dict[str, tuple[int, float]] = {}
        self._previous: tuple[int, float] | None = None
        self._reply_at = -1.0  # when the agent was last heard to begin
        self._over_ms: float | None = None  # when nothing more can have come
        self._commits = False
        self._stopped: tuple[str, float] | None = None  # a turn that is not committed yet

    def take(self, line: Line) -> None:
        if line.kind == "note":
            self._note(line)
        elif line.kind == "msg" and line.data["ch"] == Channel.TO_PROVIDER:
            kind = str(_m(line).get("type"))
            if kind == "session.update" and isinstance(_m(line).get("session"), dict):
                self._session.asked = _m(line)["session"]
            if kind != "input_audio_buffer.append":
                n = self._sent[kind] = self._sent.get(kind, 0) + 1
                self._last_sent = (kind, n, line.at_ms)
        elif line.kind == "msg" and line.data["ch"] == Channel.FROM_PROVIDER:
            self._message(line, _m(line))

    def _note(self, line: Line) -> None:
        session, kind = self._session, line.data.get("note")
        if kind == "dial.phase":
            session.phases_ms[line.text("phase")] = line.figure("ms")
            if line.text("phase") == "upgrade":
                session.opened_ms = line.at_ms
        elif kind == "dial.failed":
            status = line.data.get("status")
            session.status = status if isinstance(status, int) else None
            session.failed = (line.text("phase") or "upgrade", line.text("cause"))
            session.body = line.text("body")
        elif kind == "provider.close-sent":
            self._over_ms = line.at_ms
        if kind == "provider.closed" and self._over_ms is None:
            self._over_ms = line.at_ms
        if kind == "provider.closed" and line.data.get("by") in ("them", "nobody"):
            code = line.data.get("code")
            base, delay = self._clock(line.at_ms)
            session.close = (code if isinstance(code, int) else None, line.text("reason"), base, delay)
        if kind == "reply":
            self._reply_at = line.at_ms

    def _message(self, line: Line, message: dict[str, Any]) -> None:
        kind = str(message.get("type"))
        if not self._session.opened_ms:
            self._session.opened_ms = line.at_ms
        if kind in _DELTAS:
            self._delta(line, message)
            return
        if "clipped_from_bytes" in message or "unknown_dialect" in message:
            return
        if kind == "input_audio_buffer.committed":
            self._commits, self._stopped = True, None
        elif self._stopped is not None and self._commits and kind == "response.created":
            self._commit(line.at_ms)
        if kind == "input_audio_buffer.speech_stopped":
            self._stopped = (str(message.get("item_id")), line.at_ms)
        base, delay = self._base(kind, message, line.at_ms)
        number = len(self._session.cues)
        self._session.cues.append(Cue(base, delay, message))
        self._previous = (number, line.at_ms)
        response = message.get("response")
        if kind == "response.created" and isinstance(response, dict):
            self._created[str(response.get("id"))] = (number, line.at_ms)
        self._spoken(kind, message, line.at_ms, number)

    def _commit(self, at_ms: float) -> None:
        """A record keeps what each turn has only once: the turn's end is said as the first one's was."""
        assert self._stopped is not None
        item, stopped_at = self._stopped
        self._stopped = None
        message = {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None}
        self._session.cues.append(Cue(*self._clock(min(at_ms, stopped_at + 1)), message))

    def _base(self, kind: str, message: Mapping[str, Any], at_ms: float) -> tuple[str, float]:
        cause = _CAUSES.get(kind)
        if kind.startswith("conversation.item.") and _is_ours(message.get("item")):
            cause = "conversation.item.create"
        if kind == "error" and self._last_sent is not None and at_ms - self._last_sent[2] < _ERROR_S * 1000:
            return f"sent {self._last_sent[0]} {self._last_sent[1]}", (at_ms - self._last_sent[2]) / 1000
        if cause is not None:
            done = kind in ("conversation.item.done",)
            n = self._matched.get(cause, 0) + (0 if done else 1)
            if 0 < n <= self._sent.get(cause, 0) and self._last_sent is not None:
                self._matched[cause] = n
                sent_at = self._last_sent[2] if self._last_sent[0] == cause else at_ms
                return f"sent {cause} {n}", max(0.0, (at_ms - sent_at) / 1000)
        response = message.get("response")
        name = str(response.get("id") if isinstance(response, dict) else message.get("response_id"))
        if name in self._created:
            number, created_at = self._created[name]
            return f"cue {number}", (at_ms - created_at) / 1000
        return self._clock(at_ms) if self._previous is not None else ("open", self._since_open(at_ms))

    def _clock(self, at_ms: float) -> tuple[str, float]:
        """By the stream's clock; before the stream, by what came before."""
        if at_ms >= self._zero:
            return "stream", (at_ms - self._zero) / 1000
        if self._previous is not None:
            return f"cue {self._previous[0]}", (at_ms - self._previous[1]) / 1000
        return "open", self._since_open(at_ms)

    def _since_open(self, at_ms: float) -> float:
        return max(0.0, (at_ms - self._session.opened_ms) / 1000)

    # what of the audio is known

    def _delta(self, line: Line, message: Mapping[str, Any]) -> None:
        item = str(message.get("item_id"))
        answer = self.answers.get(item) or self._answer(item, message, line.at_ms)
        answer.first_ms = min(answer.first_ms, line.at_ms)
        answer.last_ms = max(answer.last_ms, line.at_ms)

    def _answer(self, item: str, message: Mapping[str, Any], at_ms: float) -> _Answer:
        response = str(message.get("response_id"))
        number, created_at = self._created.get(response, self._previous or (0, at_ms))
        fields = {name: message[name] for name in ("response_id", "item_id", "output_index", "content_index")
                  if name in message}  # fmt: skip
        first = self._reply_at if self._reply_at >= created_at else at_ms
        made = _Answer(min(first, at_ms), at_ms, number, created_at, fields)
        self.answers[item] = made
        return made

    def _spoken(self, kind: str, message: Mapping[str, Any], at_ms: float, number: int) -> None:
        item = str(message.get("item_id"))
        if kind == "response.content_part.added" and (message.get("part") or {}).get("type") == "audio":
            if item not in self.answers:
                self._answer(item, message, at_ms)
            return
        if kind.endswith("audio_transcript.done") and item not in self.answers:
            self._answer(item, message, self._created.get(str(message.get("response_id")), (0, at_ms))[1])
        if item in self.answers:
            answer = self.answers[item]
            if kind.endswith("audio_transcript.done"):
                answer.chars = len(str(message.get("transcript", "")))
                answer.over_ms = answer.over_ms or at_ms
                answer.last_ms = max(answer.last_ms, at_ms - 1)
            if kind in _DONE:
                answer.done = True
                answer.last_ms = max(answer.first_ms, at_ms - 1)
            elif kind.endswith("audio_transcript.delta"):
                answer.last_ms = max(answer.last_ms, at_ms)

    def finish(self) -> Session:
        return self._session

    def with_audio(self) -> list[Cue]:
        """The cues, with audio where it was, in pieces of 100 ms spread over the time it took to come."""
        cues = self._session.cues
        for answer in self.answers.values():
            whole_ms = answer.ms or 0.0
            n = math.ceil(whole_ms / DELTA_MS)
            begin = (answer.first_ms - answer.after_ms) / 1000
            last_ms = answer.last_ms
            if not answer.done and not answer.over_ms and self._over_ms is not None:
                last_ms = max(last_ms, self._over_ms)  # cut off in the middle
            span = max(0.0, last_ms - answer.first_ms) / 1000
            for piece in range(n):
                delay = begin + span * piece / n
                message = {"type": _DELTAS[0], **answer.fields, "delta": ""}
                cues.append(
                    Cue(f"cue {answer.after}", delay, message, audio_ms=min(DELTA_MS, whole_ms - DELTA_MS * piece))
                )
            if not answer.done and answer.over_ms:
                delay = (answer.over_ms - answer.after_ms) / 1000 - 0.0001
                cues.append(Cue(f"cue {answer.after}", delay, {"type": _DONE[0], **answer.fields}))
        return cues


def _is_ours(item: Any) -> bool:
    """Whether an item of the conversation was made by the client."""
    if not isinstance(item, dict):
        return False
    if item.get("type") == "function_call_output":
        return True
    content = item.get("content")
    first = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else {}
    return (
        item.get("type") == "message"
        and first.get("type") in ("input_text", "output_text")
        and (item.get("role") != "assistant")
    )


def _lengths(answers: list[_Answer], recording: Recording, heard: Mapping[str, Any], said: list[str]) -> None:
    """How long each answer was: as the record says, else its share of all audio by the length of its words."""
    known: dict[str, float] = {}
    for row in recording.rows("items"):
        if isinstance(row.get("ms"), (int, float)):
            known[str(row.get("item"))] = float(row["ms"])
    rows = recording.summary("provider").get("responses")
    by_response = {str(row.get("id")): row for row in rows if isinstance(row, dict)} if isinstance(rows, list) else {}
    per_ms = BYTES_PER_MS.get(str(recording.summary("provider").get("output_format") or "audio/pcmu"), 8)
    total_ms = float(heard.get("bytes") or 0) / per_ms
    rest: list[_Answer] = []
    for answer in answers:
        counted = by_response.get(str(answer.fields.get("response_id")), {}).get("bytes")
        if isinstance(counted, (int, float)):
            answer.ms = counted / per_ms
        elif str(answer.fields.get("item_id")) in known:
            answer.ms = known[str(answer.fields.get("item_id"))]
        else:
            rest.append(answer)
    left = max(0.0, total_ms - sum(answer.ms or 0 for answer in answers))
    if left and answers and not rest:  # what came and was never played: an item counts as long as it was sent on
        answers[-1].ms = (answers[-1].ms or 0) + left
    chars = sum(answer.chars for answer in rest)
    for answer in rest:
        answer.ms = left * answer.chars / chars if chars else left / len(rest)
    if len(rest) > 1:
        said.append(f"the lengths of {len(rest)} answers are estimated from their words; together they are right")


def dumped(message: Mapping[str, Any]) -> bytes:
    """A message as the provider sends it."""
    return msgspec.json.encode(message)

"""
The provider's side of a recording as cues: each of its messages, and what it waits for.

A message that answers one of ours is due when ours comes, as long after it as it was then; what the provider did by
itself is due by the clock of the stream. Audio, and what a record keeps only once, is put in. Pure; knows the shapes
of the wires' messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from offhook.evidence.record import Channel, Line, Recording

__all__ = ["BYTES_PER_MS", "Cue", "Session", "message_of", "sessions"]

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


def message_of(line: Line) -> dict[str, Any]:
    message = line.data.get("m")
    return message if isinstance(message, dict) else {}


def sessions(recording: Recording, zero: float, heard: Mapping[str, Any], said: list[str]) -> Iterator[Session]:
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
            kind = str(message_of(line).get("type"))
            if kind == "session.update" and isinstance(message_of(line).get("session"), dict):
                self._session.asked = message_of(line)["session"]
            if kind != "input_audio_buffer.append":
                n = self._sent[kind] = self._sent.get(kind, 0) + 1
                self._last_sent = (kind, n, line.at_ms)
        elif line.kind == "msg" and line.data["ch"] == Channel.FROM_PROVIDER:
            self._message(line, message_of(line))

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

"""What a call page draws of a record: messages, who spoke when, what was heard, deadlines, replies. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from offhook.api.deadlines import deadlines
from offhook.diagnosis.report import Report
from offhook.evidence.record import Channel, Line, Recording
from offhook.evidence.transcript import Turn, transcript

__all__ = ["ladder", "message_type", "summary"]

_AUDIO = frozenset(("media", "input_audio_buffer.append", "response.output_audio.delta", "response.audio.delta"))
_SUMMARY = 160
AT_ONCE_MS = 20.0  # a frame: what a barge-in came of stands so near it


def ladder(call: Recording, report: Report, tool_runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All of it as data; the record's line numbers tie it together."""
    said = transcript(call)
    end = call.end or {}
    marks = end.get("marks")
    return {
        "began": str(call.begin.get("began") or ""),
        "length_ms": call.last_ms,
        "messages": [_message(line) for line in call.messages() if message_type(line) not in _AUDIO],
        "notes": [_note(line) for line in call.notes() if line.data.get("note") != "milestone"],
        "milestones": [_note(line) for line in call.notes("milestone")],
        "spans": [*_talk(said), *_tools(tool_runs)],
        "barge_ins": list(_barge_ins(call, said)),
        "deadlines": deadlines(call),
        "marks": dict(marks) if isinstance(marks, dict) else {},
        "tool_runs": tool_runs,
        "replies": list(_replies(call, said)),
        "guilty": list(_guilty(call, report)),
    }  # fmt: skip


def message_type(line: Line) -> str:
    """A message's own name, as its wire spells it."""
    message = line.data.get("m", {})
    return str(message.get("type") or message.get("event") or "?")


def _message(line: Line) -> dict[str, Any]:
    size = line.data.get("bytes")
    return {
        "n": line.number, "at_ms": line.at_ms, "channel": Channel(line.data["ch"]).name.lower(),
        "type": message_type(line), "bytes": size if isinstance(size, int) else 0,
        "summary": summary(line.data.get("m", {})),
    }  # fmt: skip


def summary(message: Mapping[str, Any]) -> str:
    """The one thing of a message that says most, in a few words."""
    for name in (
        "transcript",
        "delta",
        "text",
        "name",
        "error",
        "mark",
        "session",
        "response",
        "item",
        "start",
        "stop",
    ):
        part = message.get(name)
        if isinstance(part, str) and part:
            return _short(part)
        if isinstance(part, dict):
            told = [f"{key} {value}" for key, value in part.items() if isinstance(value, (str, int, float)) and value]
            return _short(", ".join(told))
    rest = [
        f"{key} {value}"
        for key, value in message.items()
        if key not in ("type", "event", "streamSid", "sequenceNumber", "event_id") and isinstance(value, (str, int))
    ]
    return _short(", ".join(rest))  # fmt: skip


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SUMMARY else flat[: _SUMMARY - 1] + "…"


def _note(line: Line) -> dict[str, Any]:
    data = {name: value for name, value in line.data.items() if name != "note"}
    return {"n": line.number, "at_ms": line.at_ms, "kind": str(line.data.get("note")), "data": data}


def _talk(said: tuple[Turn, ...]) -> Iterator[dict[str, Any]]:
    """Stretches of speech; of the agent's which part was heard and which was made and never was."""
    for turn in said:
        if turn.who == "caller":
            end = turn.end_ms if turn.end_ms is not None else turn.at_ms
            yield _span("caller", turn.at_ms, end, turn, turn.text)
        elif turn.who == "agent" and turn.ms:
            heard = turn.heard_ms if turn.heard_ms is not None else turn.ms
            yield _span("generated", turn.at_ms, turn.at_ms + turn.ms, turn, turn.text)
            if heard:
                yield _span("heard", turn.at_ms, turn.at_ms + min(heard, turn.ms), turn, turn.heard)
            if heard < turn.ms:
                yield _span("unheard", turn.at_ms + heard, turn.at_ms + turn.ms, turn, turn.struck)


def _span(kind: str, begin: float, end: float, turn: Turn, text: str) -> dict[str, Any]:
    return {"kind": kind, "from_ms": begin, "to_ms": max(begin, end), "item": turn.item, "text": text}


def _tools(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        end = run["at_ms"] + (run["ms"] or 0)
        text = f"{run['name']}: {run['outcome'] or 'no end on record'}"
        yield {"kind": "tool", "from_ms": run["at_ms"], "to_ms": end, "item": run["id"], "text": text}


def _barge_ins(call: Recording, said: tuple[Turn, ...]) -> Iterator[dict[str, Any]]:
    spoke = sorted(turn.at_ms for turn in said if turn.who == "caller")
    silently = [line.at_ms for kind in ("key", "typed") for line in call.notes(kind)]
    for line in call.notes("barge-in"):
        heard, sent = line.data.get("heard_ms"), line.data.get("sent_ms")
        yield {
            "n": line.number, "at_ms": line.at_ms, "item": line.text("item"), "proven_by": line.text("proven_by"),
            "spoke_ms": None if any(abs(at - line.at_ms) < AT_ONCE_MS for at in silently)
            else _before(spoke, line.at_ms),
            "heard_ms": _number(heard), "of_ms": _number(sent),
        }  # fmt: skip


def _guilty(call: Recording, report: Report) -> Iterator[dict[str, Any]]:
    """Where the findings' proof stands, also where that is a line of figures, which no lane shows."""
    lines = {line.number: line for line in call.lines}
    for one in report.roots:
        if one.line in lines:
            line = lines[one.line]
            at_ms = line.at_ms if one.at_ms is None else one.at_ms
            yield {"rule": one.rule, "n": one.line, "at_ms": at_ms, "kind": line.kind, "sentence": one.sentence}


def _replies(call: Recording, said: tuple[Turn, ...]) -> Iterator[dict[str, Any]]:
    """
    Each answer's time, split: until the provider noticed the end of speech, until it began to answer, and the rest.

    What no message tells is null, never a guess.
    """
    provider = list(call.messages(Channel.FROM_PROVIDER))
    ends = sorted(line.at_ms for line in provider if message_type(line).endswith("speech_stopped"))
    made = sorted(line.at_ms for line in provider if message_type(line) == "response.created")
    spoken = sorted(turn.at_ms for turn in said if turn.who == "agent")
    for line in call.notes("reply"):
        ms = line.figure("ms")
        ended_at = line.at_ms - ms  # the caller's last sound, as the bridge has it
        noticed = _before(ends, line.at_ms + 1)
        if noticed is not None and noticed < ended_at:
            noticed = None
        created = _before(made, line.at_ms + 1)
        if created is not None and created < (noticed if noticed is not None else ended_at):
            created = None
        after = bisect_left(spoken, line.at_ms - 1)
        heard = spoken[after] if after < len(spoken) else None
        yield {
            "at_ms": line.at_ms,
            "ms": ms,
            "parts": {
                "end_of_speech_ms": _gap(ended_at, noticed),
                "provider_begins_ms": _gap(noticed, created),
                "provider_first_audio_ms": _gap(created, line.at_ms),
                "bridge_to_carrier_ms": _gap(line.at_ms, heard),
            },
        }


def _before(times: Sequence[float], at_ms: float) -> float | None:
    """The last of them, in order, that is not behind ``at_ms``. An hour has thousands: they are not all looked at."""
    n = bisect_right(times, at_ms)
    return times[n - 1] if n else None


def _gap(begin: float | None, end: float | None) -> float | None:
    return round(end - begin, 1) if begin is not None and end is not None and end >= begin else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

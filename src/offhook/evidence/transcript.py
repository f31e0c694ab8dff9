"""
What was said in a call, in the order in which it could be heard: a record made into turns.

Both sides by the time of their audio, each item once whatever its provider repeats, unfinished texts where no whole
one came, and of the agent only what the caller heard: the rest is struck. Tools, keys and acts of control stand
between. Pure; knows the names of messages that the realtime dialects share, and no wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, structs

from offhook.evidence.record import Channel, Line, Recording

__all__ = ["Turn", "plain", "transcript"]

Who = Literal["caller", "agent", "tool", "act"]

# Both sides' clocks start with the stream; a report later than this after its audio is no report of it.
_LATE_MS = 5000.0
_CALLER_SAID = re.compile(r"input_audio_transcription\.(?:completed|updated|failed)$")
_AGENT_SAID = re.compile(r"^response\.(?:output_)?audio_transcript\.done$")
# Notes that a reader wants between the words, and the field that says most of each.
_ACTS: Mapping[str, str] = {
    "barge-in": "", "key": "digit", "line": "name", "recording.paused": "why", "recording.resumed": "",
    "control.asked": "what", "keys.gathered": "n", "keys.pressed": "n", "hold": "on", "mute": "who", "job": "state",
    "transfer": "state", "handover": "agent",
}  # fmt: skip
_ORDER: Mapping[Who, int] = {"caller": 0, "tool": 1, "act": 2, "agent": 3}


class Turn(Struct, frozen=True, kw_only=True):
    """
    One entry. ``at_ms`` is when its audio began, in milliseconds of the call.

    ``text`` is what was said; ``heard`` of it what the caller heard and ``struck`` what not (an agent's turns only).
    ``estimated``: the border between the two is by share of time, for no provider said which word falls where.
    """

    at_ms: float
    who: Who
    text: str
    heard: str = ""
    struck: str = ""
    end_ms: float | None = None
    ms: int | None = None  # of agent audio that was sent
    heard_ms: int | None = None
    estimated: bool = False
    language: str = ""
    final: bool = True  # False: the text stopped coming before it was whole
    item: str = ""
    kind: str = ""  # of a tool's entry or an act: the note's name
    detail: dict[str, Any] = {}


def transcript(call: Recording) -> tuple[Turn, ...]:
    """The turns of a call in the order of their audio."""
    said = _Said(call)
    turns = [*said.caller_turns(), *said.agent_turns(), *_acts(call)]
    return tuple(sorted(turns, key=lambda turn: (turn.at_ms, _ORDER[turn.who])))


def plain(turn: Turn) -> str:
    """One turn's words as plain text; what the caller never heard stands between ``~~``."""
    if not turn.struck:
        return turn.text
    return f"{turn.heard} ~~{turn.struck}~~" if turn.heard else f"~~{turn.struck}~~"


class _Said:
    """A record's words by item, gathered in one pass."""

    def __init__(self, call: Recording) -> None:
        self._call = call
        self._last_ms = call.last_ms  # asked of every item: a look through the whole record each time
        self._began: dict[str, float] = {}  # item -> ms, as the provider heard it
        self._ended: dict[str, float] = {}
        self._texts: dict[str, tuple[str, float, bool]] = {}  # caller's item -> text, when told, whole
        self._tags: dict[str, str] = {}
        self._agent: dict[str, dict[int, str]] = {}  # item -> part -> text
        self._agent_at: dict[str, float] = {}
        self._created: dict[str, float] = {}  # response -> when
        self._asked = ""  # the language that the session was asked to listen for
        first = call.milestone("M7") or call.milestone("M6")
        self._zero = first.at_ms if first is not None else None
        for line in call.messages():
            message = line.data.get("m")
            if isinstance(message, dict):
                self._take(line, message, str(message.get("type") or ""))
        self._unfinished(call)

    def _take(self, line: Line, message: dict[str, Any], kind: str) -> None:
        if line.data["ch"] == Channel.TO_PROVIDER:
            if kind == "session.update":
                self._asked = _language(message.get("session")) or self._asked
            return
        if line.data["ch"] != Channel.FROM_PROVIDER:
            return
        item = str(message.get("item_id") or "")
        if kind == "input_audio_buffer.speech_started":
            self._began.setdefault(item, self._heard_at(message.get("audio_start_ms"), line.at_ms))
        elif kind == "input_audio_buffer.speech_stopped":
            self._ended[item] = self._heard_at(message.get("audio_end_ms"), line.at_ms)
        elif kind == "response.created":
            self._created.setdefault(_id(message.get("response")), line.at_ms)
        elif _CALLER_SAID.search(kind):
            self._caller(item, message, line.at_ms, kind)
        elif _AGENT_SAID.match(kind) and isinstance(message.get("transcript"), str):
            part = message.get("content_index")
            self._agent.setdefault(item, {})[part if isinstance(part, int) else 0] = message["transcript"]
            at = self._created.get(str(message.get("response_id")), line.at_ms)
            self._agent_at.setdefault(item, at)

    def _heard_at(self, position: Any, told_at: float) -> float:
        """When audio that the provider gives a position of was spoken; when it told of it, where that cannot be."""
        if self._zero is None or not isinstance(position, (int, float)) or isinstance(position, bool):
            return told_at
        at = self._zero + position
        return at if 0 <= told_at - at <= _LATE_MS else told_at

    def _caller(self, item: str, message: dict[str, Any], at: float, kind: str) -> None:
        """A text of the caller's; of several of one item the fullest is kept: some providers say it piece by piece."""
        text, whole = message.get("transcript"), kind.endswith(("completed", "failed"))
        text = text.strip() if isinstance(text, str) else ""
        known, told, was_whole = self._texts.get(item, ("", at, False))
        if not (was_whole and (not whole or known.startswith(text))):
            self._texts[item] = (text or known, told, whole)
        if isinstance(message.get("language"), str):
            self._tags[item] = message["language"]

    def _unfinished(self, call: Recording) -> None:
        """What was being said when the call ended, from the summary: its whole text never came."""
        for row in call.rows("partials"):
            item, text = str(row.get("item") or ""), row.get("text")
            if not isinstance(text, str) or not text.strip():
                continue
            if row.get("who") == "caller" and not self._texts.get(item, ("", 0.0, False))[2]:
                at = self._texts.get(item, ("", self._began.get(item, self._last_ms), False))[1]
                self._texts[item] = (text.strip(), at, False)
            elif row.get("who") == "agent" and item not in self._agent:
                self._agent[item] = {-1: text.strip()}

    def caller_turns(self) -> Iterator[Turn]:
        for item in {**self._began, **self._texts}:
            text, told, whole = self._texts.get(item, ("", 0.0, False))
            end = self._ended.get(item)
            at = self._began.get(item, end if end is not None else told)
            tag = self._tags.get(item) or (self._asked if text else "")
            yield Turn(
                at_ms=at, end_ms=end, who="caller", text=text, heard=text, language=tag, final=whole, item=item
            )  # fmt: skip

    def agent_turns(self) -> Iterator[Turn]:
        played, cuts = _played(self._call), _cuts(self._call)
        for item, parts in self._agent.items():
            text = " ".join(part.strip() for _, part in sorted(parts.items())).strip()
            at, ms, heard_ms = played.get(item) or (None, None, None)
            if heard_ms is None and item in cuts:
                heard_ms, ms = cuts[item]
            if at is None:
                at = self._agent_at.get(item, self._last_ms)
            turn = Turn(
                at_ms=at, who="agent", text=text, heard=text, item=item, ms=ms, heard_ms=heard_ms, final=-1 not in parts
            )
            yield _struck(turn)


def _struck(turn: Turn) -> Turn:
    """The turn with the words that were never heard apart; cut at a word, by share of time."""
    if turn.heard_ms is None or not turn.ms:
        return turn
    end = structs.replace(turn, end_ms=turn.at_ms + turn.heard_ms)
    if turn.heard_ms >= turn.ms:
        return end
    heard = _share(turn.text, max(0, turn.heard_ms) / turn.ms)
    return structs.replace(end, heard=heard, struck=turn.text[len(heard) :].strip(), estimated=0 < turn.heard_ms)


def _share(text: str, share: float) -> str:
    """The beginning of a text, whole words only: half a word was not understood."""
    end = int(len(text) * share)
    if end >= len(text):
        return text
    return text[:end].rstrip() if text[end].isspace() else text[:end].rpartition(" ")[0].rstrip()


def _played(call: Recording) -> dict[str, tuple[float, int, int]]:
    """Of each agent item when it began to play, how long it was, and how much of it was heard."""
    found: dict[str, tuple[float, int, int]] = {}
    began = call.milestone("M1") or call.milestone("M5")  # the summary counts from there, a few ms into the record
    zero = float(int(began.at_ms)) if began is not None else 0.0
    for item, row in call.summary("spoken").items():
        if isinstance(row, list) and len(row) == 3 and all(type(figure) is int for figure in row):
            found[item] = (zero + row[0], row[1], row[2])
    return found


def _cuts(call: Recording) -> dict[str, tuple[int, int]]:
    """Of the items that were cut short, what was heard and what was sent; by notes, or by the summary."""
    found: dict[str, tuple[int, int]] = {}
    rows: Iterable[Mapping[str, Any]] = [line.data for line in (*call.notes("barge-in"), *call.notes("unheard"))]
    for row in (*rows, *({**item, "sent_ms": item.get("ms")} for item in call.rows("items"))):
        heard, sent = row.get("heard_ms"), row.get("sent_ms")
        if isinstance(heard, int) and isinstance(sent, int):
            found[str(row.get("item"))] = (heard, sent)
    return found


def _acts(call: Recording) -> Iterator[Turn]:
    """Tools, keys and what was done to the call, each where it happened."""
    for line in call.notes():
        kind = str(line.data.get("note"))
        at = float(int(line.at_ms))  # as the agent's are: what is answered in the same millisecond stands before
        detail = {name: value for name, value in line.data.items() if name != "note"}
        if kind in ("tool", "tool.done"):
            yield Turn(at_ms=at, who="tool", text=_tool(kind, detail), kind=kind, detail=detail)
        elif kind == "typed":
            text = str(detail.get("text") or "")
            yield Turn(at_ms=at, who="caller", text=text, heard=text, kind=kind)
        elif kind in _ACTS:
            yield Turn(at_ms=at, who="act", text=_act(kind, detail), kind=kind, detail=detail)


def _tool(kind: str, detail: Mapping[str, Any]) -> str:
    name = detail.get("name") or detail.get("id") or "?"
    if kind == "tool":
        return f"{name} called" + ("" if detail.get("args_ok", True) else ", with arguments that are no JSON")
    took = f" after {detail['ms']} ms" if isinstance(detail.get("ms"), (int, float)) else ""
    return f"{name}: {detail.get('outcome') or 'done'}{took}"


def _act(kind: str, detail: Mapping[str, Any]) -> str:
    if kind == "job":
        return _job(detail)
    if kind == "control.asked":
        return f"asked{' from outside' if detail.get('id') else ''}: {detail.get('what')}"
    if kind == "transfer" and detail.get("seconds"):
        return f"transfer: {detail.get('state')}, {detail['seconds']} s"
    if kind == "barge-in":
        return f"barge-in: {detail.get('heard_ms')} of {detail.get('sent_ms')} ms heard"
    if kind in ("keys.pressed", "keys.gathered"):  # how many; never which
        return f"{detail.get('n')} key{'' if detail.get('n') == 1 else 's'} {kind.removeprefix('keys.')}"
    said = detail.get(_ACTS[kind])
    if "on" in detail:  # hold, and who is muted
        said = f"{said if kind == 'mute' else ''} {'on' if detail['on'] else 'off'}".strip()
    return f"{kind}: {said}" if said not in (None, "") else kind


def _job(detail: Mapping[str, Any]) -> str:
    """Which work, and what became of it; its result where the call was over before it could be told."""
    outcome, result = detail.get("outcome"), detail.get("result")
    head = f"job {detail.get('id') or '?'} {detail.get('name') or ''}".strip() + f": {detail.get('state')}"
    return head + (f", {outcome}" if outcome else "") + (f": {result}" if result else "")


def _language(session: Any) -> str:
    """The language that a session was asked to listen for; empty where none was."""
    audio = session.get("audio") if isinstance(session, Mapping) else None
    half = audio.get("input") if isinstance(audio, Mapping) else None
    asked = half.get("transcription") if isinstance(half, Mapping) else None
    if not isinstance(asked, Mapping):
        return ""
    tag = asked.get("language") or asked.get("language_hint")
    return tag if isinstance(tag, str) else ""


def _id(response: Any) -> str:
    return str(response.get("id")) if isinstance(response, Mapping) else ""

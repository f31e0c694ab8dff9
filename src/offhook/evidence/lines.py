"""
What of a call is written down: each thing as one line of JSON, redacted by its wire, of bounded length and number.

A flood of one type must never push out the one message that says why, and what only repeats is counted. When
something goes wrong, what was not kept shortly before is written after all. Knows no wire and no disk; belongs to
the writer thread.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from offhook.evidence.record import Channel
from offhook.vocab import Leg
from offhook.wires._wire import ROUTINE, clean

__all__ = ["Redactor", "Scribe"]

# A type of message is kept whole so often, then once in SAMPLE_S: transcripts come in hundreds of pieces.
MAX_OF_A_TYPE = 64
SAMPLE_S = 5.0
# Each turn has one or two of these, and a transcript without one of them has a hole: an hour of talk is kept.
TURNS = re.compile(r"transcript(ion)?\.(done|completed|failed)$|\.speech_st(arted|opped)$")
MAX_TURNS = 2000
MAX_TYPES = 128  # a peer may invent types; those beyond share one count
WHOLE_ROUTINE = 1  # of each shape of a message that repeats what others say
MAX_SHAPES = 512
BEFORE = 16  # of the messages that were not kept: so many are at hand when something goes wrong
MAX_TROUBLES = 8
TROUBLE = frozenset(("bridge.exception", "deadline.missed", "dial.failed", "provider.lost", "session.rejected"))
MAX_LINE = 16 * 1024
MAX_TEXT = 1000  # characters kept of a text in a line that is longer
MAX_MESSAGES_BYTES = 4 * 1024 * 1024  # of one call
_SAID = frozenset(("delta", "transcript", "text"))
_WORD = re.compile(r"[A-Za-z][A-Za-z._-]{0,40}")
_encode = msgspec.json.Encoder().encode

Redactor = Callable[..., Mapping[str, Any]]


class Scribe:
    """
    Makes one call's lines. ``redactors`` may grow while the call runs.

    ``numbers`` are the phone numbers of the call, which are masked wherever and however they are written;
    ``digits`` keeps the keys that were pressed.
    """

    def __init__(
        self, t0: float, redactors: dict[Leg, Redactor], numbers: Iterable[str] = (), digits: bool = False
    ) -> None:
        self.redactors = redactors
        self._given = {"digits": True} if digits else {}
        self._numbers = _written(numbers)
        self.skipped: dict[str, int] = {}
        self._t0 = t0
        self._kept: dict[tuple[int, str], tuple[int, float]] = {}  # (channel, type) -> how many, and when last
        self._messages_bytes = 0
        self._shapes: dict[tuple[int, int], int] = {}
        self._before: deque[bytes] = deque(maxlen=BEFORE)
        self._troubles = 0

    def lines(self, taken: list[tuple[Any, ...]]) -> list[bytes]:
        """Records as lines of JSON, redacted."""
        out = []
        for entry in taken:
            at = round((entry[1] - self._t0) * 1000, 2)
            if entry[0] == "counters":
                out.append(_encode({"k": "counters", "t": at, **entry[2], "skipped": self.skipped}))
                continue
            if entry[0] != "msg":
                if entry[0] == "violation" or _is_trouble(entry[2]):
                    out += self._what_was_before()
                out.append(self._mask(_fitting({"k": entry[0], "t": at, **clean(entry[2])})))
                continue
            data, kept = self._message(entry[1], *entry[2:])
            line = self._mask(_fitting({"k": "msg", "t": at, **data}))
            if kept:
                self._messages_bytes += len(line)
                out.append(line)
            else:
                self._before.append(line)
        return out

    def _what_was_before(self) -> list[bytes]:
        """The last messages that were not kept, once: they stand later in the record than they came."""
        self._troubles += 1
        if self._troubles > MAX_TROUBLES:
            return []
        before = list(self._before)
        self._before.clear()
        return before

    def _message(self, at: float, channel: Channel, data: bytes, binary: bool) -> tuple[dict[str, Any], bool]:
        """A message as it is written, and whether it is kept."""
        redactor = self.redactors.get(Leg.CARRIER if channel < 2 else Leg.PROVIDER)
        if redactor is None:
            return {"ch": int(channel), "bytes": len(data)}, True
        seen: Mapping[str, Any]
        try:
            seen = redactor(data, binary=binary, **self._given)
        except Exception as error:  # a redactor that fails must not let the message through, nor end the writer
            return {"ch": int(channel), "bytes": len(data), "redactor_failed": type(error).__name__}, True
        kind = str(seen.get("type") or seen.get("event") or "?")[:60]
        kept = self._wanted(int(channel), kind, at) and (kind not in ROUTINE or self._is_new(int(channel), seen))
        if not kept:
            known = kind in self.skipped or len(self.skipped) < MAX_TYPES
            name = kind if known else "?"
            self.skipped[name] = self.skipped.get(name, 0) + 1
        return {"ch": int(channel), "bytes": len(data), "m": seen}, kept

    def _is_new(self, channel: int, seen: Mapping[str, Any]) -> bool:
        """Whether a message has a shape of which there are not yet enough."""
        key = (channel, hash(_shape(seen)))
        n = self._shapes.get(key, 0) + 1
        if n == 1 and len(self._shapes) >= MAX_SHAPES:
            return False
        self._shapes[key] = n
        return n <= WHOLE_ROUTINE

    def _mask(self, line: bytes) -> bytes:
        return line if self._numbers is None else self._numbers.sub(rb"***\1", line)

    def _wanted(self, channel: int, kind: str, at: float) -> bool:
        """Whether one more message of a type is written: the first ones, then one every few seconds."""
        key = (channel, kind)
        if key not in self._kept and len(self._kept) >= MAX_TYPES:
            key = (channel, "?")
        n, last = self._kept.get(key, (0, 0.0))
        most = MAX_TURNS if TURNS.search(kind) else MAX_OF_A_TYPE
        if self._messages_bytes > MAX_MESSAGES_BYTES or (n >= most and at - last < SAMPLE_S):
            return False
        self._kept[key] = (n + 1, at)
        return True


def _written(numbers: Iterable[str]) -> re.Pattern[bytes] | None:
    """
    What finds these numbers with or without country code, blanks or brackets: their last seven digits.

    Shorter ones are services, and would be found in every identifier.
    """
    ends = sorted({digits[-7:] for digits in (re.sub(r"\D", "", number) for number in numbers) if len(digits) >= 7})
    if not ends:
        return None
    gap = r"[\s().*-]{0,3}"
    ways = "|".join(gap.join(end[:5]) + gap + f"(?={end[5]}{gap}{end[6]})" for end in ends)
    return re.compile(rf"(?:{ways})(\d{gap}\d)(?!\d)".encode())


def _is_trouble(data: Mapping[str, Any]) -> bool:
    note = data.get("note")
    return note in TROUBLE or (note == "ending" and not data.get("wanted"))


def _shape(node: Any) -> Any:
    """What of a message is not its own: names, words and kinds; no figures, identifiers or sentences."""
    if isinstance(node, (dict, Mapping)):
        return tuple((name, "text" if name in _SAID else _shape(part)) for name, part in node.items())
    if isinstance(node, (list, tuple)):
        return tuple({_shape(part): None for part in node})
    if isinstance(node, str):
        return node if _WORD.fullmatch(node) else "text"
    return node if isinstance(node, bool) or node is None else "figure"


def _fitting(line: dict[str, Any]) -> bytes:
    """A line of bounded length: a peer may send a megabyte, a prompt may be a book."""
    try:
        data = _encode(line)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:  # must not end the writer
        return _encode({"k": line["k"], "t": line["t"], "unwritable": type(error).__name__})
    if len(data) <= MAX_LINE:
        return data
    data = _encode(_clipped(line, MAX_TEXT))
    if len(data) <= MAX_LINE or line["k"] in ("begin", "end"):  # ours, and as long as they must be
        return data
    message = line.get("m", {})
    kept = {name: _clipped(message[name], 60) for name in ("type", "event") if isinstance(message.get(name), str)}
    head = {name: line[name] for name in ("k", "t", "ch", "bytes", "note") if name in line}
    return _encode({**head, "m": {**kept, "clipped_from_bytes": len(data)}})


def _clipped(node: Any, most: int) -> Any:
    if isinstance(node, str) and len(node) > most:
        return f"{node[:most]}… <{len(node)} characters>"
    if isinstance(node, Mapping):
        return {name: _clipped(part, most) for name, part in node.items()}
    if isinstance(node, (list, tuple)):
        return [_clipped(part, most) for part in node]
    return node

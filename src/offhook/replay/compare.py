"""
Two recordings of one call held against each other: what our side said, in order, and what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from offhook.evidence.record import Channel, Recording

__all__ = ["Difference", "Latencies", "differences", "latencies"]

# New with every message or every call, and so no difference.
_FREE = frozenset(("event_id", "streamSid", "sequenceNumber", "previous_item_id"))
_ABOUT = frozenset(("audio_end_ms",))  # times that may be off by a few frames
ABOUT_MS = 60
LATENCY_MS = 60
_AUDIO = frozenset(("media", "input_audio_buffer.append"))
MARKS = 3  # a record keeps the first ones


class Difference(Struct, frozen=True):
    """The first message of one direction that is another than it was; None: there was, or is, no such message."""

    to: str  # carrier, provider
    number: int
    was: str | None
    now: str | None
    field: str = ""
    was_line: int = 0
    now_line: int = 0

    def __str__(self) -> str:
        if self.was is None:
            return f"message {self.number} to the {self.to} is new: {self.now}"
        if self.now is None:
            return f"message {self.number} to the {self.to} does not come any more: {self.was} (line {self.was_line})"
        where = f", field {self.field}" if self.field else ""
        return f"message {self.number} to the {self.to}{where}: was {self.was} (line {self.was_line}), is {self.now}"


class Latencies(Struct, frozen=True):
    """The agent's first sound after each turn, in ms."""

    was: list[int]
    now: list[int]

    @property
    def worse(self) -> bool:
        return any(b - a > LATENCY_MS for a, b in zip(self.was, self.now, strict=False))


def differences(was: Recording, now: Recording) -> list[Difference]:
    """The first one of each direction; nothing behind it could be compared."""
    found = (_first(to, channel, was, now) for to, channel in
             (("provider", Channel.TO_PROVIDER), ("carrier", Channel.TO_CARRIER)))  # fmt: skip
    return [difference for difference in found if difference is not None]


def latencies(was: Recording, now: Recording) -> Latencies:
    return Latencies(*([int(note.figure("ms")) for note in one.notes("reply")] for one in (was, now)))


def _said(recording: Recording, channel: Channel) -> Iterator[tuple[int, dict[str, Any]]]:
    marks = 0
    for line in recording.lines:
        if line.kind == "end":  # what is still said behind it nobody waits for
            return
        message = line.data.get("m")
        if line.kind != "msg" or line.data["ch"] != channel or not isinstance(message, dict):
            continue
        kind = message.get("type") or message.get("event")
        if kind in _AUDIO:
            continue
        if kind == "mark":
            marks += 1
            if marks > MARKS:
                continue
        yield line.number, message


def _first(to: str, channel: Channel, was: Recording, now: Recording) -> Difference | None:
    before, after = list(_said(was, channel)), list(_said(now, channel))
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else None
        new = after[number] if number < len(after) else None
        if old is None or new is None:
            return Difference(to, number + 1, _name(old), _name(new), "", old[0] if old else 0, new[0] if new else 0)
        path = _unlike(old[1], new[1])
        if path is not None:
            shown = [
                _short(_at(message, path)) if path else _name(one) for one, message in ((old, old[1]), (new, new[1]))
            ]
            kind = _name(new)
            same = _name(old) == kind
            return Difference(to, number + 1, f"{kind} {shown[0]}" if same and path else _name(old),
                              f"{shown[1]}" if same and path else kind, ".".join(path) if same else "",
                              old[0], new[0])  # fmt: skip
    return None


def _name(one: tuple[int, dict[str, Any]] | None) -> str | None:
    return None if one is None else str(one[1].get("type") or one[1].get("event"))


def _unlike(a: Any, b: Any, path: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """Where two messages differ; None where they do not."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in ("type", "event", *sorted({*a, *b})):
            if name in _FREE or (name not in a and name not in b):
                continue
            if name not in a or name not in b:
                return (*path, name)
            found = _unlike(a[name], b[name], (*path, name))
            if found is not None:
                return found
        return None
    if path and path[-1] in _ABOUT and all(isinstance(value, (int, float)) for value in (a, b)):
        return None if abs(a - b) <= ABOUT_MS else path
    return None if a == b else path


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"

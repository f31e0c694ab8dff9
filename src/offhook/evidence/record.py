"""
The record of one call: JSON lines, the first of which says which version they are of.

Line kinds: ``begin`` (settings, facts), ``msg`` (a message as its wire redacts it), ``note`` (something
decided or missed), ``violation``, ``counters`` (cumulative), ``gap`` (lines lost to a failing disk), ``end``
(the summary), ``verdict`` (what was made of it when it was whole), ``closed`` (a later process found that the one
that wrote it had died). Times are milliseconds since the call
began. Pure: lines come as bytes. Knows no wire.

A record may come from anywhere: whatever is in it, reading gives a Recording or a RecordingError.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from offhook.media.levels import Meter

__all__ = ["SCREENS", "VERSION", "Channel", "Line", "Recording", "RecordingError"]

VERSION = 1
SCREENS = ("browser",)  # carriers that are no phone company: their calls begin with their stream and cost no line
_FIGURES = 28  # of one meter


class Channel(enum.IntEnum):
    """Whose message, in which direction."""

    FROM_CARRIER = 0
    TO_CARRIER = 1
    FROM_PROVIDER = 2
    TO_PROVIDER = 3


class RecordingError(Exception):
    """A file that is no record, or one of a version this program does not read."""


class Line(Struct, frozen=True):
    """One line of a record."""

    number: int
    kind: str
    at_ms: float
    data: dict[str, Any]

    def text(self, name: str) -> str:
        """A field as text; empty where it is not there."""
        value = self.data.get(name)
        return "" if value is None else str(value)

    def figure(self, name: str) -> float:
        """A field as a number; 0 where it is none."""
        value = self.data.get(name)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


class Recording(Struct, frozen=True):
    """A call as it was recorded."""

    lines: tuple[Line, ...]
    damaged: int = 0  # lines that could not be read, the last one apart
    live: bool = False  # it has no end yet, and whoever writes it is there

    @classmethod
    def parse(cls, raw: Iterable[bytes]) -> Recording:
        """
        Read a record. A last line that was cut off (the process died) is left out; unknown kinds are kept.

        Raises RecordingError.
        """
        lines: list[Line] = []
        damaged = 0
        last_damaged = False
        for number, text in enumerate(raw, 1):
            if not text.strip():
                continue
            line = _line(number, text)
            last_damaged = line is None
            if line is not None:
                lines.append(line)
            elif not lines:
                raise RecordingError(f"line {number} is no JSON object: this is not a call record")
            else:
                damaged += 1
        if not lines or lines[0].kind != "begin":
            raise RecordingError("no begin line: this is not a call record")
        version = lines[0].data.get("version")
        if version != VERSION:
            raise RecordingError(f"version {version!r}; this program reads version {VERSION}")
        return cls(lines=tuple(lines), damaged=damaged - last_damaged)

    @property
    def begin(self) -> dict[str, Any]:
        return self.lines[0].data

    @property
    def boot(self) -> dict[str, Any]:
        """What the process was started with."""
        boot = self.begin.get("boot")
        return boot if isinstance(boot, dict) else {}

    @property
    def end(self) -> dict[str, Any] | None:
        """The summary; None when the process died before the call ended."""
        last = next((line for line in reversed(self.lines) if line.kind == "end"), None)
        return last.data if last is not None else None

    @property
    def closed(self) -> Line | None:
        """What was written for a process that died; None where none did, or nobody has found it yet."""
        return next((line for line in reversed(self.lines) if line.kind == "closed"), None)

    @property
    def last_ms(self) -> float:
        return max(line.at_ms for line in self.lines)

    def summary(self, name: str) -> dict[str, Any]:
        """One part of the summary; empty where there is none."""
        part = (self.end or {}).get(name)
        return part if isinstance(part, dict) else {}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One list of the summary; empty where there is none."""
        part = (self.end or {}).get(name)
        return [row for row in part if isinstance(row, dict)] if isinstance(part, list) else []

    def figure(self, name: str) -> int:
        """One number of the summary; 0 where there is none."""
        value = (self.end or {}).get(name)
        return int(value) if isinstance(value, (int, float)) else 0

    def notes(self, kind: str | None = None) -> Iterator[Line]:
        for line in self.lines:
            if line.kind == "note" and (kind is None or line.data.get("note") == kind):
                yield line

    def milestone(self, mid: str) -> Line | None:
        """When a milestone was reached, or None."""
        return next((line for line in self.notes("milestone") if line.data.get("id") == mid), None)

    def missed(self, *names: str) -> Iterator[Line]:
        """Deadlines of these names that passed without their confirmation."""
        return (line for line in self.notes("deadline.missed") if line.data.get("name") in names)

    def messages(self, channel: Channel | None = None) -> Iterator[Line]:
        for line in self.lines:
            if line.kind == "msg" and (channel is None or line.data.get("ch") == int(channel)):
                yield line

    def violations(self) -> Iterator[Line]:
        return (line for line in self.lines if line.kind == "violation")

    def gaps(self) -> Iterator[Line]:
        """Where lines were lost to a failing disk."""
        return (line for line in self.lines if line.kind == "gap")

    def counters(self) -> dict[str, Any]:
        """The last counters that were written: cumulative, one set of figures a channel."""
        last = next((line for line in reversed(self.lines) if line.kind == "counters"), None)
        if last is None:
            return {}
        channels = last.data.get("channels")
        if not isinstance(channels, list) or len(channels) != len(Channel) or not all(map(_is_figures, channels)):
            return {**last.data, "channels": []}
        return {**last.data, "line": last.number, "channels": [Meter.read(figures).snapshot() for figures in channels]}


def _line(number: int, text: bytes) -> Line | None:
    """One line; None where it is no JSON object with a time."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    kind, at = data.pop("k", "?"), data.pop("t", 0.0)
    if not isinstance(at, (int, float)) or not math.isfinite(at):
        return None
    if kind == "msg" and (data.get("ch") not in tuple(Channel) or not isinstance(data.get("m", {}), dict)):
        return None
    return Line(number, str(kind), float(at), data)


def _is_figures(given: Any) -> bool:
    return isinstance(given, list) and len(given) == _FIGURES and all(type(value) is int for value in given)

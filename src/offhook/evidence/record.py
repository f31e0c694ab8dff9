"""
The record of one call: JSON lines, the first of which says which version they are of.

Line kinds: ``begin`` (settings, facts), ``msg`` (a message as its wire redacts it), ``note`` (something
decided or missed), ``violation``, ``counters`` (cumulative), ``gap`` (lines lost to a failing disk), ``end``
(the summary). Times are milliseconds since the call began. Pure: lines come as bytes. Knows no wire.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from offhook.media.levels import Meter

__all__ = ["VERSION", "Channel", "Line", "Recording", "RecordingError"]

VERSION = 1


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


class Recording(Struct, frozen=True):
    """A call as it was recorded."""

    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, raw: Iterable[bytes]) -> Recording:
        """
        Read a record. A last line that was cut off (the process died) is left out; unknown kinds are kept.

        Raises RecordingError.
        """
        lines: list[Line] = []
        for number, text in enumerate(raw, 1):
            if not text.strip():
                continue
            try:
                data = msgspec.json.decode(text)
            except msgspec.DecodeError:
                if not lines:
                    raise RecordingError("line 1 is no JSON: this is not a call record") from None
                continue
            if not isinstance(data, dict):
                raise RecordingError(f"line {number} is no object: this is not a call record")
            lines.append(Line(number, str(data.pop("k", "?")), float(data.pop("t", 0.0)), data))
        if not lines or lines[0].kind != "begin":
            raise RecordingError("no begin line: this is not a call record")
        version = lines[0].data.get("version")
        if version != VERSION:
            raise RecordingError(f"version {version!r}; this program reads version {VERSION}")
        return cls(lines=tuple(lines))

    @property
    def begin(self) -> dict[str, Any]:
        return self.lines[0].data

    @property
    def end(self) -> dict[str, Any] | None:
        """The summary; None when the process died before the call ended."""
        last = next((line for line in reversed(self.lines) if line.kind == "end"), None)
        return last.data if last is not None else None

    @property
    def last_ms(self) -> float:
        return max(line.at_ms for line in self.lines)

    def notes(self, kind: str | None = None) -> Iterator[Line]:
        for line in self.lines:
            if line.kind == "note" and (kind is None or line.data.get("note") == kind):
                yield line

    def messages(self, channel: Channel | None = None) -> Iterator[Line]:
        for line in self.lines:
            if line.kind == "msg" and (channel is None or line.data.get("ch") == int(channel)):
                yield line

    def violations(self) -> Iterator[Line]:
        return (line for line in self.lines if line.kind == "violation")

    def counters(self) -> dict[str, Any]:
        """The last counters that were written: cumulative."""
        last = next((line for line in reversed(self.lines) if line.kind == "counters"), None)
        if last is None:
            return {}
        channels = [Meter.read(figures).snapshot() for figures in last.data.get("channels", [])]
        return {**last.data, "channels": channels}

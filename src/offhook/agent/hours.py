"""
Opening hours: spans of a day, on days of the week, in a time zone. Told the time, never asks for it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

__all__ = ["Hours", "HoursError", "read_hours"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")


class HoursError(Exception):
    """A text that says no hours; ``field`` is the one of hours, days, zone."""

    def __init__(self, field: str, got: str, wanted: str, fix: str) -> None:
        super().__init__(field, got, wanted, fix)
        self.field, self.got, self.wanted, self.fix = field, got, wanted, fix

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, wanted {self.wanted}; {self.fix}"


class Hours(Struct, frozen=True):
    """Minutes of the day, each span from a first to before a last; a last that is not later is of the next day."""

    spans: tuple[tuple[int, int], ...]
    days: frozenset[int]  # 0 is Monday; of a span over midnight, the day on which it begins
    zone: tzinfo

    def open_at(self, at: datetime) -> bool:
        """Whether ``at``, which knows its own zone, is within."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
        for first, last in self.spans:
            if last > first:
                if today in self.days and first <= minute < last:
                    return True
            elif (today in self.days and minute >= first) or (yesterday in self.days and minute < last):
                return True
        return False


def read_hours(hours: str, days: str, zone: str) -> Hours | None:
    """The hours that three texts say; None where they say nothing. Raises HoursError."""
    if not hours and not days:
        return None
    if not zone:
        raise HoursError("zone", "nothing", "the hours' time zone", 'write zone = "Europe/Oslo", or "UTC"')
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fix = "see the list of IANA time zones; where this machine has none, pip install tzdata"
        raise HoursError("zone", repr(zone), "a name as Europe/Oslo", fix) from None
    return Hours(_spans(hours), _days(days), where)


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    spans = []
    for part in (part.strip() for part in (text or "00:00-24:00").split(",")):
        found = _SPAN.fullmatch(part)
        first, last = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 9999)
        if first >= 24 * 60 or last > 24 * 60 or first == last:
            raise HoursError("hours", repr(part), "as 09:00-17:00", "several spans are separated by commas")
        spans.append((first, last))
    return tuple(spans)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in (part.strip().lower() for part in (text or "mon-sun").split(",")):
        first, _, last = part.partition("-")
        if first[:3] not in DAYS or (last or first)[:3] not in DAYS:
            raise HoursError("days", repr(part), "as mon-fri or sat,sun", f"days are {' '.join(DAYS)}")
        begin, end = DAYS.index(first[:3]), DAYS.index((last or first)[:3])
        found |= {(begin + n) % 7 for n in range((end - begin) % 7 + 1)}
    return frozenset(found)

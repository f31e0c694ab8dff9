"""
Phone numbers and patterns of them: ``+15550001111``, ``+1555*``, ``client:*``. Knows no call and no settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["matches", "normal", "pattern_problem"]

_TYPED = re.compile(r"[\s().\-/]")
_PATTERN = re.compile(r"\+[1-9]\d{0,14}\*?|\*|(?:client|sip):[^\s*]*\*?")


def normal(number: str) -> str:
    """A number as a carrier writes it: what people put between the digits is left out."""
    return number if ":" in number else _TYPED.sub("", number)


def pattern_problem(pattern: str) -> str | None:
    """Why nothing could ever match ``pattern``, or None."""
    if _PATTERN.fullmatch(normal(pattern)):
        return None
    if re.fullmatch(r"\d+\*?", normal(pattern)):
        return "a number with + and its country code, as +15550001111 or +1555*"
    return "a number as +15550001111, its beginning as +1555*, client:NAME, sip:ADDRESS, or *"


def matches(patterns: Iterable[str], number: str) -> bool:
    """Whether one of ``patterns`` is the number, or the beginning of it."""
    given = normal(number)
    for pattern in map(normal, patterns):
        if pattern == given or (pattern.endswith("*") and given.startswith(pattern[:-1])):
            return True
    return False

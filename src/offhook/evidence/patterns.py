"""
Personal data out of texts that leave: card numbers, phone numbers, mail addresses, and what a user adds.

For logs and exports, beyond the masking that every record has. A pattern that hides dates and prices is switched off by
its users, so each has its counter-examples in the tests. Knows no wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["BUILT_IN", "PatternError", "Patterns"]

_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_PHONE = re.compile(r"(?<![\w.+:/-])(?:\+|00)?\(?\d(?:[ ().-]{0,2}\d){6,14}(?![\w:/%-]|\.\d)")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
# Figures that look like a telephone number and are none.
_NO_PHONE = re.compile(
    r"\d{4}([-. ])\d{1,2}\1\d{1,2}"  # dates, either way round
    r"|\d{1,2}([-. ])\d{1,2}\2(?:19|20)\d{2}"
    r"|(?:19|20)\d{2} ?- ?(?:19|20)\d{2}"  # years
    r"|(?:\d{1,3}\.){3}\d{1,3}"  # network addresses
    r"|\d+\.\d+"  # fractions
    r"|\d{1,3}(?:[., ]\d{3})+(?:\.\d+)?"  # thousands
)


class PatternError(ValueError):
    """A pattern of the user's that cannot be used."""


def _card(found: re.Match[str]) -> str:
    """Masked where the check digit is right: other long figures are left alone."""
    digits = [int(char) for char in found[0] if char.isdigit()]
    doubled = [(2 * n - 9 if n > 4 else 2 * n) if at % 2 else n for at, n in enumerate(reversed(digits))]
    return "[card]" if sum(doubled) % 10 == 0 and any(digits) else found[0]


def _phone(found: re.Match[str]) -> str:
    text = found[0]
    return text if _NO_PHONE.fullmatch(text) else "[number]"


BUILT_IN: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = {
    "card": (_CARD, _card),
    "email": (_EMAIL, lambda found: "[email]"),
    "phone": (_PHONE, _phone),
}


class Patterns:
    """``wanted`` are names of the built-in ones, or regular expressions. Raises PatternError."""

    def __init__(self, wanted: Iterable[str] = tuple(BUILT_IN)) -> None:
        self._rules: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = []
        for name in sorted(wanted, key=lambda one: list(BUILT_IN).index(one) if one in BUILT_IN else -1):
            if name in BUILT_IN:
                self._rules.append(BUILT_IN[name])
                continue
            try:
                pattern = re.compile(name)
            except re.error as error:
                raise PatternError(f"{name!r} is no regular expression: {error}") from None
            if pattern.match(""):
                raise PatternError(f"{name!r} finds nothing at all: it would redact every text")
            self._rules.append((pattern, lambda found: "[redacted]"))

    def text(self, text: str) -> str:
        for pattern, masked in self._rules:
            text = pattern.sub(masked, text)
        return text

    def data(self, node: Any) -> Any:
        """The same for every text in JSON data; names stay."""
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, dict):
            return {name: self.data(part) for name, part in node.items()}
        if isinstance(node, (list, tuple)):
            return [self.data(part) for part in node]
        return node

"""
One setting: what it is called, what it may be, how a value is read and shown. Knows no file and no list of settings.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Secret", "SettingsError", "Spec", "Value", "convert", "shown"]


class SettingsError(Exception):
    """One or more settings that cannot be read."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class Secret:
    """A value that is used but never shown."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"<{self.fingerprint()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def fingerprint(self) -> str:
        """Length, four characters of a hash, and what is odd about it."""
        if not self._value:
            return "not set"
        digest = hashlib.sha256(self._value.encode()).hexdigest()[:4]
        odd = ", white space at the edge" if self._value != self._value.strip() else ""
        return f"{len(self._value)} characters, sha256 {digest}…{odd}"


@dataclass(frozen=True)
class Value:
    """A setting's value and where it came from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Spec:
    """One setting."""

    name: str  # section.key
    kind: type  # str, int, float, bool, tuple (a list of texts), list (a command line), dict, Secret
    default: Any
    help: str
    env: str = ""  # the environment's name; OFFHOOK_SECTION_KEY when empty
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def variable(self) -> str:
        return self.env or "OFFHOOK_" + self.name.replace(".", "_").upper()


def shown(value: Any) -> str:
    """A value as it may be shown."""
    if isinstance(value, Secret):
        return value.fingerprint()
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {shown(one)}" for name, one in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def convert(spec: Spec, raw: Any, origin: str, problems: list[str]) -> Any:
    """``raw`` as the setting's kind; what it cannot be goes into ``problems``."""

    def bad(wanted: str, fix: str) -> Any:
        got = "a secret" if spec.kind is Secret else repr(raw)[:60]
        problems.append(f"{spec.name}: got {got} ({origin}), wanted {wanted}; {fix}")
        return spec.default

    if spec.kind is Secret:
        return raw if isinstance(raw, Secret) else Secret(str(raw))
    if spec.kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.lower() in words:
            return words[raw.lower()]
        return bad("true or false", "correct it")
    if spec.kind in (int, float):
        try:
            number = spec.kind(raw) if not isinstance(raw, bool) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (isinstance(raw, float) and spec.kind is int and raw != number):
            return bad("a whole number" if spec.kind is int else "a number", "correct it")
        if not math.isfinite(number):
            return bad("a number", "write a large one where there shall be no limit")
        if spec.least is not None and number < spec.least:
            return bad(f"at least {spec.least:g}", "correct it")
        if spec.most is not None and number > spec.most:
            return bad(f"at most {spec.most:.0f}", "correct it")
        return number
    if spec.kind is tuple:
        parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
            return bad("a list of texts", 'write it as ["one", "two"]')
        return tuple(part for part in parts if part)
    if spec.kind is list:
        return _command(raw, bad)
    if spec.kind is dict:
        return dict(raw) if isinstance(raw, Mapping) else bad("a table", "write it as {name = value}")
    if not isinstance(raw, str):
        return bad("text", "put it in quotes")
    if spec.choices and raw not in spec.choices:
        return bad(" or ".join(spec.choices), "choose one of these")
    return raw


def _command(raw: Any, bad: Callable[[str, str], Any]) -> Any:
    """A program and its arguments, as a list or as a shell would read them; no shell ever does."""
    try:
        parts = shlex.split(raw) if isinstance(raw, str) else raw
    except ValueError as error:
        return bad(f"a command line ({error})", "close the quotes, or write a list")
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        return bad("a command line", 'write it as ["program", "argument"]')
    return tuple(parts)

"""
What can be changed of a foreign server from outside, declared by its user: variables, and what each is for.

A file ``dial.toml`` beside the server, or ``--override NAME=VALUE``. ``{provider}`` and ``{model}`` in a value are
filled in with what is right; a plain value is used where a finding asks for just that. Pure but for reading the file.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.diagnosis.boundaries import Finding
from offhook.dial.plan import UsageError
from offhook.wires.providers import openai, xai

__all__ = ["FILE", "Declared", "Mend", "declared", "mend_of", "setting_for"]

FILE = "dial.toml"
WIRES: dict[str, Any] = {"openai": openai, "xai": xai}
_KEYS = {"url": str, "provider": str, "model": str, "override": dict}


class Declared(Struct, frozen=True):
    """What the user says of a server."""

    url: str = ""
    provider: str = ""  # whom it is meant to speak with
    model: str = ""  # that it is set to ask that provider for
    override: dict[str, str] = {}
    file: str = ""


class Mend(Struct, frozen=True):
    """What a finding wants otherwise: a provider, a model, or the spelling of a field."""

    kind: str  # provider | model | field
    value: str


def declared(command: str, overrides: Iterable[str] = (), provider: str = "") -> Declared:
    """The file beside the server, with what the command line says on top of it. Raises UsageError."""
    found = next((path for path in map(_beside, _words(command)) if path is not None), None)
    given = _read(found) if found is not None else {}
    table = dict(given.pop("override", {}))
    for text in overrides:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(f"--override {text}: wanted NAME=VALUE, as in VOICE_PROVIDER={{provider}}")
        table[name] = value
    meant = provider or given.pop("provider", "")
    given.pop("provider", None)
    if meant and meant not in WIRES:
        meant = next((name for name, wire in WIRES.items() if meant in wire.ALIASES), meant)
    if meant and meant not in WIRES:
        raise UsageError(f"provider {meant!r}: wanted {' or '.join(WIRES)}")
    return Declared(provider=meant, override=table, file=str(found or ""), **given)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--server: {error}") from None


def _beside(word: str) -> Path | None:
    path = Path(word)
    file = path.parent / FILE
    return file if path.suffix and path.is_file() and file.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    for name, value in table.items():
        if name not in _KEYS:
            raise UsageError(f"{path}: {name!r} is unknown; wanted {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[name]):
            raise UsageError(f"{path}: {name} is a {type(value).__name__}, wanted a {_KEYS[name].__name__}")
    for name, value in table.get("override", {}).items():
        if not isinstance(value, str):
            raise UsageError(f"{path}: override.{name} is a {type(value).__name__}, wanted text")
    return table


def mend_of(finding: Finding, provider: str) -> Mend | None:
    """What a finding wants otherwise, where that can be said in a word. ``provider`` is the one that is meant."""
    if finding.rule == "settings/wrong-provider" and provider:
        return Mend("provider", provider)
    if finding.catalogue in ("F-092", "F-093") and provider in WIRES:
        return Mend("model", str(WIRES[provider].DEFAULT_MODEL.value))
    if finding.rule == "carrier-stream/misspelt-field":
        return Mend("field", "streamSid")
    return None


def setting_for(mend: Mend, given: Declared) -> tuple[str, str] | None:
    """The variable and the value that mend it, if one was declared."""
    for name, text in given.override.items():
        if "{" + mend.kind + "}" in text:
            return name, text.replace("{" + mend.kind + "}", mend.value)
        if text == mend.value or (mend.kind == "provider" and text in WIRES[mend.value].ALIASES):
            return name, text
    return None

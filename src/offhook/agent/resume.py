"""
Calls that were cut off, kept for whoever calls back within a moment: the last words, once, for the same number only.

Kept as one file a number, named by the number's keyed hash as everything of a caller is, so that a restart loses
nothing and two processes cannot both go on with one call.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

__all__ = ["CutOff", "FileResumes", "Resumes", "tail"]

MOST_CHARS = 2500  # of the last words: two minutes of talk
MOST_FILES = 2000


class CutOff(Struct, frozen=True):
    """A call that was cut off: its agent, when (seconds of the clock on the wall), until when it may go on."""

    agent: str
    at: float
    until: float
    said: tuple[tuple[str, str], ...]  # who (caller, agent) and what, oldest first; of the agent what was heard
    call: str  # the carrier's name for it


class Resumes(Protocol):
    """Where they are kept. Called beside the media loop: what it does may take its time."""

    def keep(self, number: str, call: CutOff) -> None: ...
    def keep_of(self, id_: str, call: CutOff) -> None: ...

    def take(self, number: str, agent: str) -> CutOff | None:
        """The call that this number may go on with, given out once; None when there is none or it is too old."""
        ...


def tail(said: Sequence[tuple[str, str]], most_chars: int = MOST_CHARS) -> tuple[tuple[str, str], ...]:
    """The last of what was said, whole turns; of a last one that is too long its end."""
    kept: list[tuple[str, str]] = []
    room = most_chars
    for who, text in reversed(said):
        if len(text) > room:
            if not kept:
                kept.append((who, "… " + text[-room:]))
            break
        room -= len(text)
        kept.append((who, text))
    return tuple(reversed(kept))


class FileResumes:
    """
    Resumes in a directory that only this user may read; ``number_id`` is the installation's keyed hash of numbers, by
    which all that is kept of a caller is found. Raises OSError.
    """

    def __init__(self, directory: Path, number_id: Callable[[str], str], now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._number_id = number_id
        self._now = now

    def keep(self, number: str, call: CutOff) -> None:
        self._keep(self._path(number), call)

    def keep_of(self, id_: str, call: CutOff) -> None:
        """The same where the number is known by its hash alone, as in a record."""
        self._keep(self._directory / f"{id_}.json", call)

    def _keep(self, path: Path, call: CutOff) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        data = {"agent": call.agent, "at": call.at, "until": call.until, "said": list(call.said), "call": call.call}
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump(data, stream)
        os.replace(fresh, path)
        self._tidy()

    def take(self, number: str, agent: str) -> CutOff | None:
        path = self._path(number)
        own = path.with_name(f"{path.name}.{secrets.token_hex(4)}.taken")
        try:
            os.rename(path, own)  # whoever renames it has it, and nobody else
        except FileNotFoundError:
            return None
        try:
            data = json.loads(own.read_text(encoding="utf-8"))
            said = tuple((str(who), str(text)) for who, text in data["said"])
            call = CutOff(data["agent"], data["at"], data["until"], said, data["call"])
        except (ValueError, KeyError, TypeError):  # written by something else
            return None
        finally:
            own.unlink(missing_ok=True)
        return call if call.agent == agent and self._now() <= call.until else None

    def forget(self, number: str) -> bool:
        """Remove what is kept for a number, also what a process left half done; whether there was anything."""
        return self._remove(f"{self._path(number).name}*", lambda path: True)

    def forget_call(self, call: str) -> bool:
        """Remove what is kept of a call; whether there was anything."""
        return self._remove("*.json*", lambda path: _call_of(path) == call)

    def _remove(self, pattern: str, wanted: Callable[[Path], bool]) -> bool:
        found = [path for path in self._directory.glob(pattern) if wanted(path)]
        for path in found:
            path.unlink(missing_ok=True)
        return bool(found)

    def _path(self, number: str) -> Path:
        id_ = self._number_id(number)
        if not id_:
            raise OSError("callers cannot be told apart without the key of their numbers")
        return self._directory / f"{id_}.json"

    def _tidy(self) -> None:
        """Remove what nobody may go on with any more, and the oldest of too many."""
        now, found = self._now(), []
        for path in self._directory.glob("*.json"):
            try:
                until = json.loads(path.read_text(encoding="utf-8"))["until"]
                found.append((float(until), path))
            except (OSError, ValueError, KeyError, TypeError):
                found.append((0.0, path))
        found.sort(key=lambda one: one[0])
        for i, (until, path) in enumerate(found):
            if until < now or i < len(found) - MOST_FILES:
                path.unlink(missing_ok=True)


def _call_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["call"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""

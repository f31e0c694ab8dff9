"""
Calls that were cut off, kept for whoever calls back within a moment: the last words, once, for the same number only.

Kept as one file a number under a name that the number cannot be read from, so that a restart loses nothing and two
processes cannot both go on with one call.
"""

from __future__ import annotations

import hashlib
import hmac
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
KEY_FILE = "key"


class CutOff(Struct, frozen=True):
    """A call that was cut off: its agent, when (seconds of the clock on the wall), until when it may go on."""

    agent: str
    at: float
    until: float
    said: tuple[tuple[str, str], ...]  # who (caller, agent) and what, oldest first; of the agent what was heard


class Resumes(Protocol):
    """Where they are kept. Called beside the media loop: what it does may take its time."""

    def keep(self, number: str, call: CutOff) -> None: ...

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
    """Resumes in a directory that only this user may read."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now
        self._key: bytes | None = None

    def keep(self, number: str, call: CutOff) -> None:
        path = self._path(number)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        data = {"agent": call.agent, "at": call.at, "until": call.until, "said": list(call.said)}
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump(data, stream)
        os.replace(fresh, path)
        self._forget()

    def take(self, number: str, agent: str) -> CutOff | None:
        path = self._path(number)
        own = path.with_name(f"{path.name}.{secrets.token_hex(4)}.taken")
        try:
            os.rename(path, own)  # whoever renames it has it, and nobody else
        except FileNotFoundError:
            return None
        try:
            data = json.loads(own.read_text(encoding="utf-8"))
            call = CutOff(data["agent"], data["at"], data["until"], tuple((str(w), str(t)) for w, t in data["said"]))
        except (ValueError, KeyError, TypeError):  # written by something else
            return None
        finally:
            own.unlink(missing_ok=True)
        return call if call.agent == agent and self._now() <= call.until else None

    def forget(self, number: str) -> bool:
        """Remove what is kept for a number; whether there was anything."""
        path = self._path(number)
        was = path.exists()
        path.unlink(missing_ok=True)
        return was

    def _path(self, number: str) -> Path:
        name = hmac.digest(self._secret(), number.encode(), hashlib.sha256).hex()[:32]
        return self._directory / f"{name}.json"

    def _secret(self) -> bytes:
        """A key of this directory: numbers are few, and a plain hash of one is soon found."""
        if self._key is None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._directory / KEY_FILE
            fresh = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}.new")
            if not path.exists():
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(secrets.token_bytes(32))
                try:
                    os.link(fresh, path)  # the first process to come here makes it
                except FileExistsError:
                    pass
                finally:
                    fresh.unlink()
            self._key = path.read_bytes()
        return self._key

    def _forget(self) -> None:
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

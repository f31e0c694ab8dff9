"""
Telling callers apart without keeping their numbers: a keyed hash, the same for the same number on this installation.

Whoever has the key can try all numbers, so it lies in a file of its own, beside the records and not in them. Knows no
store and no setting.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

__all__ = ["NumberHash", "normal"]

KEY_FILE = ".number-key"


def normal(number: str) -> str:
    """A number as it is hashed: digits with a plus, or what it is where it is no number."""
    bare = re.sub(r"[\s().-]", "", number)
    return "+" + bare[2:] if re.fullmatch(r"00\d{6,15}", bare) else bare.lower()


class NumberHash:
    """``NumberHash(key)(number)`` is 24 hexadecimal digits; empty for no number."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, number: str) -> str:
        if not number.strip():
            return ""
        return hmac.new(self._key, normal(number).encode(), hashlib.sha256).hexdigest()[:24]

    @classmethod
    def of(cls, directory: Path, given: str = "") -> NumberHash:
        """With the key that was ``given``, else the directory's own, made when there is none. Raises OSError."""
        if given:
            return cls(given.encode())
        path = directory / KEY_FILE
        directory.mkdir(parents=True, exist_ok=True)
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes().strip())
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
        return cls(path.read_bytes().strip())

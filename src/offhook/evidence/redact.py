"""
What may be written down: fingerprints instead of secrets, and a last sieve for text.

Knows no wire and no setting.
"""

import hashlib
from typing import Any

__all__ = ["Sieve", "fingerprint"]


def fingerprint(name: str, secret: str | None) -> dict[str, Any]:
    """A secret as it may be shown: whether it is there, its length, first characters of a hash, and what is odd."""
    if not secret:
        return {"name": name, "present": False}
    return {
        "name": name,
        "present": True,
        "length": len(secret),
        "sha256": hashlib.sha256(secret.encode()).hexdigest()[:4],
        "edge_whitespace": secret != secret.strip(),
        "says_none": secret.strip().lower() in ("none", "null", "undefined"),
    }


class Sieve:
    """
    Replaces known secrets in any text that leaves the process.

    The last line of defence: nothing should depend on it, and a test plants secrets to see that nothing does.
    """

    def __init__(self) -> None:
        self._secrets: list[str] = []
        self._bytes: list[bytes] = []

    def keep_out(self, *secrets: str) -> None:
        """
        Secrets shorter than six characters would tear holes into ordinary words, and are left out.

        The longest go first: one secret may be the beginning of another.
        """
        known = {*self._secrets, *(secret.strip() for secret in secrets if len(secret.strip()) >= 6)}
        self._secrets = sorted(known, key=lambda secret: (-len(secret), secret))
        self._bytes = [secret.encode() for secret in self._secrets]

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return text

    def clean_bytes(self, line: bytes) -> bytes:
        """The same for a line of UTF-8, as the journal writes it."""
        for secret in self._bytes:
            if secret in line:
                line = line.replace(secret, b"***")
        return line

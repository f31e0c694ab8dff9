"""
What may be written down: fingerprints instead of secrets, and a last sieve for text.

Knows no wire and no setting.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from offhook.wires._wire import clean, clean_text

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
    Replaces known secrets in any text that leaves the process, however they are escaped, and masks what looks like
    a key or a phone number.

    The last line of defence: nothing should depend on it, and a test plants secrets to see that nothing does.
    """

    def __init__(self, *secrets: str, personal: Callable[[str], str] = lambda text: text) -> None:
        self._personal = personal
        self._secrets: list[str] = []
        self._bytes: list[bytes] = []
        self.keep_out(*secrets)

    def keep_out(self, *secrets: str) -> None:
        """
        Secrets shorter than six characters would tear holes into ordinary words, and are left out.

        The longest go first: one secret may be the beginning of another.
        """
        known = {*self._secrets}
        for secret in secrets:
            bare = secret.strip()
            if len(bare) >= 6:
                known |= {bare, json.dumps(bare)[1:-1], json.dumps(bare, ensure_ascii=False)[1:-1], quote(bare, "")}
        self._secrets = sorted(known, key=lambda secret: (-len(secret), secret))
        self._bytes = [secret.encode() for secret in self._secrets]

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return clean_text(text)

    def clean_data(self, node: Any) -> Any:
        """
        The same for data, before it is made JSON, and without ``personal`` data; of what was said, numbers without a
        plus are masked too.
        """
        if isinstance(node, str):
            return self._personal(self.clean(node))
        cleaned = clean(node)
        if isinstance(cleaned, dict):
            return {name: self.clean_data(part) for name, part in cleaned.items()}
        if isinstance(cleaned, list):
            return [self.clean_data(part) for part in cleaned]
        return cleaned

    def clean_bytes(self, line: bytes) -> bytes:
        """Known secrets out of a line of UTF-8, as the journal writes it."""
        for secret in self._bytes:
            if secret in line:
                line = line.replace(secret, b"***")
        return line

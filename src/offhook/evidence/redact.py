"""
What may be written down: fingerprints instead of secrets, and a last sieve for text.

Knows no wire and no setting.
"""

import hashlib
from typing import Any

__all__ = ["Sieve", "fingerprint"]


def fingerprint(secret: str) -> dict[str, Any]:
    """A secret as it may be shown: length, first characters of a hash, and what is odd about it."""
    return {
        "length": len(secret),
        "sha256": hashlib.sha256(secret.encode()).hexdigest()[:4],
        "edge_whitespace": secret != secret.strip(),
    }


class Sieve:
    """
    Replaces known secrets in any text that leaves the process.

    The last line of defence: nothing should depend on it, and a test plants secrets to see that nothing does.
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def keep_out(self, *secrets: str) -> None:
        """Secrets shorter than six characters would tear holes into ordinary words, and are left out."""
        self._secrets.update(secret for secret in secrets if len(secret) >= 6)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return text

"""
Signing what is sent, as Standard Webhooks 1.0 does (standardwebhooks.com, its specification; seen 2026-11-25).

Three headers: the message's id, when this try was made, and ``v1,`` with the HMAC-SHA256 of ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["headers", "key_of"]

PREFIX = "whsec_"
_LEAST = 16  # bytes of a key: a shorter one can be tried out


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: base64 after ``whsec_``, else the text itself. Raises ValueError."""
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"no base64 after {PREFIX}") from None
    else:
        key = secret.encode()
    if len(key) < _LEAST:
        raise ValueError(f"a key of {len(key)} bytes, wanted {_LEAST} or more")
    return key


def headers(key: bytes, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    signed = b"%s.%d.%s" % (message_id.encode(), at_s, body)
    mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{mac}"}

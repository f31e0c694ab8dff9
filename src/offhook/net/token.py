"""
The token that binds a media stream to its webhook: signed, expiring, spent by the first stream that shows it.

It travels in the carrier's custom parameters, so that any process that knows the secret can take the stream.
Knows no carrier and no clock: callers pass ``now_s``.
"""

import base64
import hashlib
import hmac
import secrets

__all__ = ["TokenBook", "mint"]

# The same stream may show its token again within this time: a carrier may dial twice for one stream.
SAME_STREAM_S = 30.0
_MAC_BYTES = 16


def mint(secret: bytes, call_id: str, now_s: float, ttl_s: float) -> str:
    """A token for ``call_id`` that ends ``ttl_s`` seconds after ``now_s``."""
    expires = int(now_s + ttl_s)
    nonce = secrets.token_urlsafe(9)
    return f"{expires:x}.{nonce}.{_mac(secret, f'{expires:x}.{nonce}', call_id)}"


class TokenBook:
    """The tokens that were spent, until they would have expired anyway."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._spent: dict[str, tuple[str, float, float]] = {}

    def spend(self, token: str, call_id: str, stream_id: str, now_s: float) -> str | None:
        """Take ``token`` for ``stream_id``; the reason why not, or None when it is good."""
        if not token:
            return "no token: the stream was not announced by our webhook"
        if len(token) > 200 or token.count(".") != 2:
            return "token malformed"
        head, _, mac = token.rpartition(".")
        if not hmac.compare_digest(mac.encode(), _mac(self._secret, head, call_id).encode()):
            return "token not ours, or of another call"
        expires = float(int(head.partition(".")[0], 16))
        if now_s > expires:
            return f"token expired {now_s - expires:.0f} s ago"
        self._forget(now_s)
        spent = self._spent.get(token)
        if spent is not None and (spent[0] != stream_id or now_s > spent[1] + SAME_STREAM_S):
            return "token already spent by another stream"
        if spent is None:
            self._spent[token] = (stream_id, now_s, expires)
        return None

    def _forget(self, now_s: float) -> None:
        if len(self._spent) > 1000 or (self._spent and next(iter(self._spent.values()))[2] < now_s):
            self._spent = {token: spent for token, spent in self._spent.items() if spent[2] >= now_s}


def _mac(secret: bytes, head: str, call_id: str) -> str:
    digest = hmac.digest(secret, f"{head}|{call_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode().rstrip("=")

"""
The token that binds a media stream to its webhook: signed, expiring, spent by the first stream that shows it.

It travels in the carrier's custom parameters, so that any process that knows the secret can take the stream.
Knows no carrier and no clock: callers pass ``now_s``, which is one clock for all who share the secret.
"""

import base64
import hashlib
import hmac
import secrets

__all__ = ["TokenBook", "mint"]

# The same stream may show its token again within this time: a carrier may dial twice for one stream.
SAME_STREAM_S = 30.0
_MAC_BYTES = 16
_MAX_CHARS = 200


def mint(secret: bytes, call_id: str, now_s: float, ttl_s: float) -> str:
    """A token for ``call_id`` that ends ``ttl_s`` seconds after ``now_s``."""
    expires = int(now_s + ttl_s)
    nonce = secrets.token_urlsafe(9)
    return f"{expires:x}.{nonce}.{_mac(secret, f'{expires:x}.{nonce}', call_id)}"


class TokenBook:
    """
    The tokens that were spent, until nobody could show them again.

    Only tokens of our own get in, so it holds no more than were minted in one lifetime of a token.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._spent: dict[str, tuple[str, float, float]] = {}  # token: stream, first shown, forgotten at

    def __len__(self) -> int:
        return len(self._spent)

    def spend(self, token: str, call_id: str, stream_id: str, now_s: float) -> str | None:
        """Take ``token`` for ``stream_id``; the reason why not, or None when it is good."""
        if not token:
            return "no token: the stream was not announced by our webhook"
        if len(token) > _MAX_CHARS or token.count(".") != 2:
            return f"token malformed: got {len(token)} characters, wanted three parts with a dot between them"
        head, _, mac = token.rpartition(".")
        if not hmac.compare_digest(mac.encode(), _mac(self._secret, head, call_id).encode()):
            return "token not ours, or of another call"
        self._forget(now_s)
        spent = self._spent.get(token)
        if spent is not None:
            stream, at, _ = spent
            if stream == stream_id and now_s <= at + SAME_STREAM_S:
                return None
            whose = "this stream" if stream == stream_id else "another stream"
            return f"token already spent by {whose} {now_s - at:.0f} s ago"
        expires = float(int(head.partition(".")[0], 16))
        if now_s > expires:
            return f"token expired {now_s - expires:.0f} s ago"
        self._spent[token] = (stream_id, now_s, max(expires, now_s + SAME_STREAM_S))
        return None

    def _forget(self, now_s: float) -> None:
        """Drop from the front what is over; the order is that of spending, which is nearly that of ending."""
        while self._spent:
            token = next(iter(self._spent))
            if self._spent[token][2] >= now_s:
                return
            del self._spent[token]


def _mac(secret: bytes, head: str, call_id: str) -> str:
    digest = hmac.digest(secret, f"{head}|{call_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode().rstrip("=")

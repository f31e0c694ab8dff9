"""
A carrier's webhook request and what it makes of the answer: the pure part. Knows no sockets and no clock.

Facts of how the carrier asks (twilio.com/docs/usage/webhooks/webhooks-connection-overrides, err/11200 and 11215, read
2026-11-22): TCP within 5 s, tried twice; the whole answer within 15 s; at most 64 kB; redirects followed, bounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urljoin, urlsplit

from msgspec import Struct

from offhook.sims.carrier_faults import Fault, named
from offhook.wires._wire import Fact
from offhook.wires.carriers.twilio import SETTINGS_HEADER, SIGNATURE_HEADER, sign

__all__ = [
    "CONNECT_S", "MAX_BYTES", "MAX_REDIRECTS", "TOTAL_S", "Answer", "Request", "Signer", "follow", "webhook_request",
]  # fmt: skip

_OVERRIDES = "twilio.com/docs/usage/webhooks/webhooks-connection-overrides"
CONNECT_S = Fact(5.0, _OVERRIDES, "2026-11-22")
TOTAL_S = Fact(15.0, _OVERRIDES, "2026-11-22")
MAX_BYTES = Fact(64 * 1024, "twilio.com/docs/api/errors/11750", "2026-11-22")
# That there is a limit is documented, how many it is nobody says.
MAX_REDIRECTS = Fact(10, "twilio.com/docs/api/errors/11215", "2026-11-22", assumed=True)


class Request(Struct, frozen=True):
    """One HTTP request, made without touching the network; ``url`` is the public one."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


class Answer(Struct, frozen=True):
    """What came back, or why nothing did; ``code`` is the carrier's when it makes nothing of it."""

    request: Request
    status: int = 0
    ms: float = 0.0
    content_type: str = ""
    location: str = ""
    body: bytes = b""
    code: str | None = None
    why: str = ""


class Signer:
    """Makes signatures, and wrong ones that differ from the right one in one dimension."""

    def __init__(self, token: str, dimension: str = "", shared_key: tuple[str, str] | None = None) -> None:
        self._token = token
        self._dimension = dimension
        self._shared = shared_key

    @property
    def signs(self) -> bool:
        return bool(self._token or self._shared) and self._dimension != "missing"

    def headers(self, url: str, form: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        """The headers that sign a request; none without a secret."""
        if not self.signs:
            return []
        bent = bent_url(url, self._dimension)
        pairs = [*form, ("Offhook", "other")] if self._dimension == "body" else list(form)
        if self._shared is not None:
            key, secret = self._shared
            announced = (SETTINGS_HEADER.value, f"key={key},algorithm=HMAC_SHA256")
            return [announced, (SIGNATURE_HEADER.value, sign(secret, bent, pairs, "sha256"))]
        secret = self._token + "x" if self._dimension == "secret" else self._token
        algorithm = "sha256" if self._dimension == "algorithm" else "sha1"
        return [(SIGNATURE_HEADER.value, sign(secret, bent, pairs, algorithm))]


def bent_url(url: str, dimension: str) -> str:
    """The URL that a wrong signature is made over."""
    parts = urlsplit(url)
    if dimension == "scheme":
        other = {"https": "http", "http": "https", "wss": "ws", "ws": "wss"}[parts.scheme]
        return parts._replace(scheme=other).geturl()
    if dimension == "host":
        return parts._replace(netloc="inner.host.invalid").geturl()
    if dimension == "port":
        return parts._replace(netloc=f"{parts.hostname}:{4443 if parts.port != 4443 else 4444}").geturl()
    if dimension == "slash":
        path = parts.path[:-1] if parts.path.endswith("/") else parts.path + "/"
        return parts._replace(path=path).geturl()
    if dimension == "query":
        return parts._replace(query="" if parts.query else "lost=1").geturl()
    return url


def webhook_request(
    url: str, form: Mapping[str, str], signer: Signer, *, faults: Sequence[Fault] = (), retry_token: str = "",
    method: str = "POST",
) -> Request:  # fmt: skip
    """The request as the carrier sends it: a signed form, unless a fault bends it."""
    plain = url.partition("#")[0]  # overrides stand in the fragment; it is neither sent nor signed
    names = {fault.name for fault in faults}
    elsewhere = named(faults, "webhook-elsewhere")
    if elsewhere is not None:
        plain = urljoin(plain, elsewhere.value)
    headers = [("User-Agent", "TwilioProxy/1.1"), ("Accept", "*/*")]
    if retry_token:
        headers.append(("I-Twilio-Idempotency-Token", retry_token))
    pairs = list(form.items())
    if "webhook-extra" in names:
        pairs += [("OffhookUnheardOf", "1"), ("OffhookBlank", "")]
    body = urlencode(pairs).encode()
    if "webhook-json" in names:
        body = json.dumps(dict(pairs)).encode()
        plain += ("&" if "?" in plain else "?") + "bodySHA256=" + hashlib.sha256(body).hexdigest()
        headers.append(("Content-Type", "application/json"))
        return Request("POST", plain, (*headers, *signer.headers(plain)), body)
    if "webhook-redirected" in names:
        return Request("GET", plain, (*headers, *signer.headers(plain)))
    if method == "GET" or "webhook-get" in names:
        plain += ("&" if "?" in plain else "?") + urlencode(pairs)
        return Request("GET", plain, (*headers, *signer.headers(plain)))
    headers.append(("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
    return Request("POST", plain, (*headers, *signer.headers(plain, pairs)), body)


def follow(answer: Answer, signer: Signer) -> Request | None:
    """The request that a redirect leads to: 307 and 308 keep it, all others make it a GET without its form."""
    if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
        return None
    request = answer.request
    url = urljoin(request.url, answer.location)
    dropped = ("x-twilio-signature", "content-type", "x-twilio-webhooks-signature-settings")
    kept = [(name, value) for name, value in request.headers if name.lower() not in dropped]
    if answer.status in (307, 308) and request.method == "POST":
        from urllib.parse import parse_qsl

        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        form = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        return Request("POST", url, (*kept, form, *signer.headers(url, pairs)), request.body)
    return Request("GET", url, (*kept, *signer.headers(url)))

"""Twilio's requests: what a webhook says, and whether it is signed. Knows no message of the stream."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from offhook.wires.carriers._twilio_caller import own_parameters
from offhook.wires.carriers._twilio_settings import SETTINGS_HEADER, SIGNATURE_HEADER, CarrierSettings

__all__ = [
    "SignatureResult", "Webhook", "WebhookError", "check_signature", "parse_webhook", "public_path", "sign",
    "signed_data",
]  # fmt: skip


class Webhook(Struct, frozen=True):
    """One request of the carrier about a call."""

    call_sid: str
    account_sid: str
    from_: str
    to: str
    status: str
    direction: str
    parameters: Mapping[str, str]  # everything that came; Twilio adds names without notice
    own: Mapping[str, str] = {}  # what stands in the webhook's own address

    def __repr__(self) -> str:
        return f"Webhook({self.call_sid}, {self.status}, {sorted(self.parameters)})"


class WebhookError(Exception):
    """A webhook that no call can be made of."""

    def __init__(self, field: str, got: str, wanted: str) -> None:
        super().__init__(field)
        self.field, self.got, self.wanted = field, got, wanted

    def __str__(self) -> str:
        return (
            f"webhook: field {self.field}: got {self.got}, wanted {self.wanted} "
            "(twilio.com/docs/voice/twiml#request-parameters); is this URL the number's voice webhook?"
        )


_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}\Z")


def parse_webhook(method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Webhook:
    """Read a webhook, GET or POST alike. Raises WebhookError."""
    pairs = _form(method, path_qs, body)
    got = dict(pairs)
    call_sid = got.get("CallSid", "")
    if not _SID.match(call_sid) or call_sid[:2] != "CA":
        raise WebhookError("CallSid", repr(call_sid[:40]) if call_sid else "nothing", "CA and 32 hex digits")
    return Webhook(
        call_sid=call_sid,
        account_sid=got.get("AccountSid", ""),
        from_=got.get("From", ""),
        to=got.get("To", ""),
        status=got.get("CallStatus", ""),
        direction=got.get("Direction", "inbound"),
        parameters=got,
        own=own_parameters(path_qs),
    )


def _form(method: str, path_qs: str, body: bytes) -> list[tuple[str, str]]:
    query = path_qs.partition("?")[2]
    raw = query if method in ("GET", "HEAD") else body.decode("utf-8", "replace")
    return parse_qsl(raw, keep_blank_values=True)  # blank values count in the signature


class SignatureResult(Struct, frozen=True):
    """Whether a request was the carrier's, and what it was checked against."""

    ok: bool
    why: str
    tried_urls: tuple[str, ...]
    algorithm: str = "sha1"


def signed_data(url: str, form: Sequence[tuple[str, str]]) -> bytes:
    """What is signed: the URL, then every name with each of its distinct values, sorted."""
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    parts = [url] + [name + value for name in sorted(values) for value in sorted(values[name])]
    return "".join(parts).encode()


def sign(secret: str, url: str, form: Sequence[tuple[str, str]] = (), algorithm: str = "sha1") -> str:
    """The signature that the carrier makes."""
    digest = hmac.digest(secret.encode(), signed_data(url, form), algorithm)
    return base64.b64encode(digest).decode()


def check_signature(
    settings: CarrierSettings,
    method: str,
    path_qs: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    upgrade: bool = False,
) -> SignatureResult:
    """
    Whether a request is signed for the configured public URL; what a client sends as Host is not asked.

    The carrier is not consistent about the port, so the URL counts as configured, without port and with the
    scheme's own port.
    """
    urls = _candidates(settings, path_qs, upgrade)
    if settings.auth == "none":
        return SignatureResult(True, "signatures are off", urls)
    found = {name.lower(): value for name, value in headers}
    given = found.get(SIGNATURE_HEADER.value.lower(), "")
    if not given:
        return SignatureResult(False, f"no {SIGNATURE_HEADER.value} header", urls)
    announced = found.get(SETTINGS_HEADER.value.lower())
    secret, algorithm, why = _secret(settings, announced)
    if secret is None:
        return SignatureResult(False, why, urls)
    digest = _query_value(path_qs, "bodySHA256")
    if digest is not None:
        actual = hashlib.sha256(body).hexdigest()
        if not hmac.compare_digest(digest.lower().encode(), actual.encode()):
            return SignatureResult(False, "bodySHA256 is not the hash of this body", urls, algorithm)
        form: list[tuple[str, str]] = []
    else:
        form = _form("POST", path_qs, body) if method == "POST" else []
    matched = False
    for url in urls:  # all of them, whichever matches: no early way out to be timed
        matched |= hmac.compare_digest(sign(secret, url, form, algorithm).encode(), given.encode())
    if not matched:
        return SignatureResult(
            False, "signature does not match: wrong secret, or the public URL is another", urls, algorithm
        )
    return SignatureResult(True, "signed", urls, algorithm)


def _secret(settings: CarrierSettings, announced: str | None) -> tuple[str | None, str, str]:
    """Secret and algorithm that a request announces; without an announcement the Auth Token and SHA-1."""
    if announced is None:
        return settings.auth_token, "sha1", ""
    values = dict(part.strip().split("=", 1) for part in announced.split(",") if "=" in part)
    algorithm = values.get("algorithm")
    if algorithm is None:
        return settings.auth_token, "sha1", ""
    if algorithm != "HMAC_SHA256":
        return None, "", f"unknown signature algorithm {algorithm[:40]!r}, wanted HMAC_SHA256"
    key = values.get("key", "")
    if key not in settings.shared_keys:
        return None, "", f"signed with shared key {key[:40]!r}, which is not among carrier.shared_keys"
    return settings.shared_keys[key], "sha256", ""


def _candidates(settings: CarrierSettings, path_qs: str, upgrade: bool) -> tuple[str, ...]:
    parts = urlsplit(settings.public_url)
    scheme = parts.scheme
    if upgrade:
        scheme = {"https": "wss", "http": "ws"}[scheme]
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    own = {"https": 443, "wss": 443, "http": 80, "ws": 80}[scheme]
    named = [f":{parts.port}"] if parts.port else []
    # another port than the scheme's own is part of the name; only the own one may be left out or added
    ports = named if parts.port and parts.port != own else ["", f":{own}"]
    path = public_path(settings, path_qs)
    return tuple(dict.fromkeys(f"{scheme}://{host}{port}{path}" for port in [*named, *ports, ""]))


def public_path(settings: CarrierSettings, path_qs: str) -> str:
    """What the carrier asked for: a proxy may have taken the public URL's prefix away, or left it."""
    prefix = urlsplit(settings.public_url).path.rstrip("/")
    return path_qs if path_qs.startswith(f"{prefix}/") else prefix + path_qs


def _query_value(path_qs: str, name: str) -> str | None:
    return dict(parse_qsl(path_qs.partition("?")[2], keep_blank_values=True)).get(name)

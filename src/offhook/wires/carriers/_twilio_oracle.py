"""
Why a signature is refused: the one variant of URL, body, algorithm or secret for which it would be right.

About 200 HMACs, so for requests that were refused, and few of them a minute. It decides nothing: a request that only a
variant makes right stays refused. Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from itertools import product
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from offhook.wires.carriers._twilio_webhook import public_path
from offhook.wires.carriers.twilio import SETTINGS_HEADER, SIGNATURE_HEADER, CarrierSettings, sign

__all__ = ["Oracle", "oracle"]

DIMENSIONS = ("scheme", "host", "port", "slash", "query", "body", "algorithm")


class Oracle(Struct, frozen=True):
    """What differs: some of DIMENSIONS (the nearest variant), ``secret`` where nothing matches, ``missing``."""

    variant: str
    signed_url: str = ""
    tried: int = 0


def oracle(
    settings: CarrierSettings,
    method: str,
    path_qs: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    upgrade: bool = False,
) -> Oracle:
    """Ask every variant, those that differ in least first."""
    found = {name.lower(): value for name, value in headers}
    given = found.get(SIGNATURE_HEADER.value.lower(), "")
    if not given:
        return Oracle("missing")
    announced = found.get(SETTINGS_HEADER.value.lower(), "")
    if "HMAC_SHA256" in announced and not any(key in announced for key in settings.shared_keys):
        return Oracle("algorithm")  # signed with a key that this program was not given
    form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) if method == "POST" else []
    secrets = [("sha1", settings.auth_token), *(("sha256", secret) for secret in settings.shared_keys.values())]
    announced_sha256 = "HMAC_SHA256" in announced
    tried = 0
    variants = sorted(_urls(settings, path_qs, found, upgrade), key=lambda variant: len(variant[1]))
    for (url, differs), (algorithm, secret), (values, whole) in product(
        variants, secrets, ((form, True), ([], not form))
    ):
        if not secret:
            continue
        tried += 1
        if hmac.compare_digest(sign(secret, url, values, algorithm).encode(), given.encode()):
            body_differs = () if whole else ("body",)
            other = ("algorithm",) if (algorithm == "sha256") is not announced_sha256 else ()
            return Oracle(" ".join((*differs, *body_differs, *other)) or "body", url, tried)
    return Oracle("secret", "", tried)


def _urls(
    settings: CarrierSettings, path_qs: str, headers: dict[str, str], upgrade: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """URLs that the carrier may have signed, each with what differs from the configured one."""
    public = urlsplit(settings.public_url)
    scheme = {"https": "wss", "http": "ws"}[public.scheme] if upgrade else public.scheme
    own_port = f":{public.port}" if public.port else ""
    path, mark, query = public_path(settings, path_qs).partition("?")
    slashed = path[:-1] if path.endswith("/") else path + "/"
    hosts = [public.hostname or ""]
    ports = [own_port, "", ":443", ":80"]
    for name in ("host", "x-forwarded-host"):
        host, _, port = headers.get(name, "").split(",")[0].strip().partition(":")
        if host:
            hosts.append(host)
            ports.append(f":{port}" if port else "")
    schemes = ("https", "http", "wss", "ws")
    spellings = (schemes, dict.fromkeys(hosts), dict.fromkeys(ports), (path, slashed), (mark + query, ""))
    for one, host, port, where, asked in product(*spellings):
        differs = [
            name
            for name, other in (
                ("scheme", one != scheme),
                ("host", host != (public.hostname or "")),
                ("port", port != own_port and not (port in ("", ":443", ":80") and own_port == "")),
                ("slash", where != path),
                ("query", bool(query) and not asked),
            )
            if other
        ]
        yield f"{one}://{host}{port}{where}{asked}", tuple(differs)

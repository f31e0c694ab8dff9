"""
Requests to addresses that stand in the settings: by name and by address, never into a network that was not meant.

A name is looked up once, every address it has must be a public one unless private ones are allowed, and the connection
goes to the address that was judged: a name that is answered otherwise a moment later leads nowhere. No redirects, no
proxy of the environment, a bounded body.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

__all__ = ["OutwardError", "fetch", "is_public", "url_problem", "warm"]

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")  # RFC 3056: bits 16 to 48 are one


class OutwardError(Exception):
    """A request that was not sent, or not answered; says why, with no secret in it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


def is_public(address: str) -> bool:
    """Whether an address lies in the public internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped.is_global
        if ip in _TRANSLATED:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF).is_global
        if ip in _SIX_TO_FOUR:
            return ipaddress.IPv4Address((int(ip) >> 80) & 0xFFFFFFFF).is_global
    return ip.is_global and not ip.is_multicast


def url_problem(url: str, *, private: bool) -> str | None:
    """Why a request to ``url`` would never be sent, as far as is known without a network; or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("https", "http") or not host:
        return "no https:// address"
    if parts.username is not None:
        return "credentials in the address"
    try:
        literal = is_public(host)
    except ValueError:
        literal = host.lower() != "localhost" and not host.lower().endswith(".localhost")
    if private:
        return None
    if not literal:
        return "an address of this machine or a private network"
    return "http:// across the internet" if parts.scheme == "http" else None


async def fetch(
    url: str, *, headers: Mapping[str, str], private: bool, timeout_s: float, most_bytes: int = 64 * 1024
) -> tuple[int, bytes]:
    """GET ``url``: status and body. Raises OutwardError."""
    import httpx2

    why = url_problem(url, private=private)
    if why is not None:
        raise OutwardError(why)
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _address(host, parts.port or (443 if parts.scheme == "https" else 80), private)
    target = httpx2.URL(url).copy_with(host=address)
    named = {"Host": parts.netloc, "Accept": "application/json", **headers}
    tls = _tls() if parts.scheme == "https" else False
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx2.AsyncClient(timeout=timeout_s, verify=tls, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", target, headers=named, extensions={"sni_hostname": host}) as answer,
        ):
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > most_bytes:
                    raise OutwardError(f"answered with more than {most_bytes} bytes")
            return int(answer.status_code), bytes(body)
    except (TimeoutError, httpx2.TimeoutException):
        raise OutwardError(f"no answer within {timeout_s:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise OutwardError(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}") from None


async def _address(host: str, port: int, private: bool) -> str:
    """The address to connect to. Every one that the name has must be allowed, for a name may mix them."""
    try:
        found: list[Any] = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutwardError(f"{host}: no address") from None
    addresses = [str(info[4][0]) for info in found]
    inside = [address for address in addresses if not is_public(address)]
    if inside and not private:
        raise OutwardError(f"{host} leads into a private network or this machine ({inside[0]}); it was not asked")
    return addresses[0]


def warm() -> None:
    """Load what a request needs: half a second that no caller should wait for."""
    import httpx2  # noqa: F401

    _tls()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()

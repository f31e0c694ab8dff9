"""
Requests to addresses that stand in the settings: never into a network that was not meant.

A name is looked up once, every address it has is judged, and the connection goes to the address that was judged: a name
that is answered otherwise a moment later (DNS rebinding) reaches nothing. No redirects, no proxy but the one that is
given, a bounded body. Behind a proxy it is the proxy that looks the name up and connects: what can be judged is what
the name is here, and whether only a private network has such names. Tools, lookups and hooks all ask through this one
guard; it knows none of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

__all__ = [
    "Answered", "Forbidden", "OutwardError", "ask", "forbidden", "is_public", "judged", "pinned", "split",
    "url_problem", "warm",
]  # fmt: skip

# Embedded IPv4: what a translator or a tunnel would really connect to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits

# RFC 6762, RFC 8375, RFC 6761, ICANN's .internal (2024), and what networks use beside them.
_INNER = (".local", ".home.arpa", ".localhost", ".internal", ".intranet", ".lan", ".corp", ".home", ".private")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutwardError(Exception):
    """A request that was not sent, or not answered; says why, with no secret in it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class Forbidden(OutwardError):
    """An address that may not be connected to."""


class Answered(Struct, frozen=True):
    """An answer; ``whole`` is False where its body is longer than was read of it."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    whole: bool


def split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. Raises ValueError for what nobody may ask for."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"scheme {parts.scheme or 'none'}, wanted https or http")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials in the address: put them into headers")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def url_problem(url: str, *, private: bool) -> str | None:
    """Why a request to ``url`` would never be sent, as far as is known without a network; or None."""
    try:
        scheme, host, _ = split(url)
    except ValueError as error:
        return str(error)
    try:
        literal = is_public(host)
    except ValueError:
        literal = host.lower() != "localhost" and not host.lower().endswith(".localhost")
    if private:
        return None
    if not literal:
        return "an address of this machine or a private network"
    return "http:// across the internet" if scheme == "http" else None


def is_public(address: str) -> bool:
    """Whether an address lies in the public internet, whatever it is wrapped in. Raises ValueError for no address."""
    return not forbidden(address, "", ())


def forbidden(address: str, host: str, allow: Sequence[str]) -> str:
    """Why ``address`` of ``host`` may not be connected to; empty when it may. ``allow`` has names and networks."""
    ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    for entry in allow:
        if entry.lower() == host.lower():
            return ""
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue
        if ip.version == network.version and ip in network:
            return ""
    for real in _meant(ip):
        if real.is_link_local:
            return f"{real} is link-local (a cloud's metadata lies there)"
        local = isinstance(real, ipaddress.IPv6Address) and real.is_site_local
        if not real.is_global or real.is_multicast or real.is_reserved or local:
            return f"{real} is no public address"
    return ""


def _meant(ip: _Address) -> list[_Address]:
    """An address, or the IPv4 addresses inside it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    inner: list[ipaddress.IPv4Address] = []
    if ip.ipv4_mapped is not None:
        inner.append(ip.ipv4_mapped)
    if ip.sixtofour is not None:
        inner.append(ip.sixtofour)
    if ip.teredo is not None:
        inner += [*ip.teredo]
    if ip in _NAT64:
        inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [*inner] if inner else [ip]


async def pinned(host: str, port: int, allow: Sequence[str] = (), *, private: bool = False) -> str:
    """The address to connect to; ``private`` allows all. Raises Forbidden, and OutwardError where there is none."""
    try:
        ipaddress.ip_address(host)
        found = [host]
    except ValueError:
        try:
            info: list[Any] = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise OutwardError(f"{host} has no address") from None
        found = [str(entry[4][0]) for entry in info]
    why = [] if private else [reason for address in found if (reason := forbidden(address, host, allow))]
    if why:  # one bad address is enough: which of them is taken is not ours to bet on
        raise Forbidden(f"{host} may not be connected to: {why[0]}")
    return found[0]


async def judged(host: str, port: int, allow: Sequence[str] = (), *, private: bool = False) -> None:
    """
    Whether a proxy may be asked for ``host``. Raises Forbidden.

    A name that has addresses here may go if all of them may. One that has none here goes unless it is a name of the
    kind that private networks give.
    """
    try:
        await pinned(host, port, allow, private=private)
    except Forbidden:
        raise
    except OutwardError:
        name = host.lower().rstrip(".")
        inner = "." not in name or name.endswith(_INNER)
        if inner and not private and name not in [entry.lower() for entry in allow]:
            why = "its name is one of private networks, and only the proxy knows where it leads"
            raise Forbidden(f"{host} may not be connected to: {why}") from None


async def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    allow: Sequence[str] = (),
    private: bool = False,
    proxy: str | None = None,
    timeout_s: float | None,
    most_bytes: int = 64 * 1024,
) -> Answered:
    """
    One request, and its answer. Raises OutwardError, of which ``Forbidden`` means that nobody was asked.

    ``timeout_s`` is for all of it; None leaves it to the caller.
    """
    import httpx2

    try:
        scheme, host, port = split(url)
    except ValueError as error:
        raise OutwardError(str(error)) from None
    try:
        async with asyncio.timeout(timeout_s):
            target = httpx2.URL(url)
            if proxy is None:
                target = target.copy_with(host=await pinned(host, port, allow, private=private))
            else:
                await judged(host, port, allow, private=private)
            named = {"Host": urlsplit(url).netloc, **headers}
            tls = _tls() if scheme == "https" else False
            async with (
                httpx2.AsyncClient(
                    timeout=None, verify=tls, trust_env=False, follow_redirects=False, proxy=proxy
                ) as client,
                client.stream(
                    method, target, headers=named, content=body, extensions={"sni_hostname": host}
                ) as answer,
            ):  # fmt: skip
                data = bytearray()
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > most_bytes:
                        break
                got = {name.lower(): value for name, value in answer.headers.items()}
                whole = len(data) <= most_bytes
                return Answered(int(answer.status_code), got, bytes(data[:most_bytes]), whole)
    except TimeoutError:
        raise OutwardError(f"no answer within {timeout_s:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        way = f"{host}, by the proxy {urlsplit(proxy).hostname}" if proxy else host
        raise OutwardError(f"{way}: {type(error).__name__}: {' '.join(str(error).split())[:120]}") from None


def warm() -> None:
    """Load what a request needs: half a second that no caller should wait for."""
    import httpx2  # noqa: F401

    _tls()


@cache
def _tls() -> ssl.SSLContext:
    """One for the process: making it takes 20 ms."""
    return ssl.create_default_context()

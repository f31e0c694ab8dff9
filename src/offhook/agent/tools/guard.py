"""
Where a tool may connect to: never into the private network that the server stands in, unless that is allowed.

A name is resolved once, every address it has is judged, and the connection goes to the address that was judged: a name
that means something else a moment later (DNS rebinding) reaches nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from offhook.agent.tools.spec import ToolError

__all__ = ["Forbidden", "forbidden", "pinned", "split"]

# Embedded IPv4: what a translator or a tunnel would really connect to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(ToolError):
    """An address that a tool may not connect to."""


def split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. Raises ValueError for what no tool may have."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"scheme {parts.scheme or 'none'}, wanted https or http")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials in the address: put them into headers")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def forbidden(address: str, host: str, allow: Sequence[str]) -> str:
    """Why ``address`` of ``host`` may not be connected to; empty when it may."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
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


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
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


async def pinned(host: str, port: int, allow: Sequence[str] = ()) -> str:
    """The address to connect to. Raises Forbidden, and ToolError for a name that has none."""
    try:
        ipaddress.ip_address(host)
        found = [host]
    except ValueError:
        try:
            info = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise ToolError(f"{host} has no address") from None
        found = [str(entry[4][0]) for entry in info]
    why = [reason for address in found if (reason := forbidden(address, host, allow))]
    if why:  # one bad address is enough: which of them is taken is not ours to bet on
        raise Forbidden(f"{host} may not be connected to: {why[0]}")
    return found[0]

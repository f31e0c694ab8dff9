"""
Who can reach an address, told from its name, and from how far a request came, told from its headers. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

__all__ = ["came_from_afar", "is_private", "same_place"]

_SUFFIXES = (".local", ".internal", ".localhost", ".lan")
# What proxies say of the peer before them, and of the name that it asked for.
_PEER = ("x-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip")
_NAME = "x-forwarded-host"


def is_private(host: str) -> bool:
    """Whether no machine on the internet reaches a host of this name."""
    address = _address(host)
    if address is not None:
        return not address.is_global
    return host == "localhost" or "." not in host or host.endswith(_SUFFIXES)


def came_from_afar(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a proxy says that the request came to it from the internet, whatever ``Host`` it made of that."""
    for name, value in headers:
        if name.lower() in _PEER:
            peer = _address(value.split(",")[0].strip().strip("[]"))
            if peer is not None and peer.is_global:
                return True
        elif name.lower() == _NAME and not is_private(value.split(",")[0].strip().rpartition(":")[0] or value.strip()):
            return True
    return False


def same_place(one: tuple[str, int | None], other: tuple[str, int | None]) -> bool:
    """
    Whether two (host, port) are one listener; every name of this machine's loopback is the same.

    The usual ports count as none said: behind what ends TLS, nobody knows which of the two was dialled.
    """
    return _listener(*one) == _listener(*other)


def _listener(host: str, port: int | None) -> tuple[str, int]:
    address = _address(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    return ("loopback" if loopback else host.lower().rstrip(".")), 0 if port in (None, 80, 443) else port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

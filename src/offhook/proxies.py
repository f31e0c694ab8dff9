"""
Which proxy a URL goes through, by the customs of HTTPS_PROXY and NO_PROXY. Reads no environment itself.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["choose_proxy"]


def choose_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """
    The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name for ``url``, or None.

    ``environment`` is given, never read here. Loopback addresses are always dialled directly. An entry of
    NO_PROXY is a host, a domain, an address, a network (10.0.0.0/8) or ``*``.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    kind = "https" if parts.scheme in ("wss", "https") else "http"
    names = (f"{kind.upper()}_PROXY", f"{kind}_proxy", "ALL_PROXY", "all_proxy")
    proxy = next((environment[name] for name in names if environment.get(name)), None)
    if proxy is None or host == "localhost":
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None  # a name
    if address is not None and address.is_loopback:
        return None
    exempt = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if any(_matches(entry.strip().lower(), host, address) for entry in exempt.split(",")):
        return None
    return proxy


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if address is not None and "/" in entry:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry = entry.lstrip(".")
    return bool(entry) and (host == entry or host.endswith("." + entry))

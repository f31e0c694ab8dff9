"""What a process was started with, as the first line of each record keeps it; a secret as a fingerprint."""

from __future__ import annotations

import hashlib
import ipaddress
import platform
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from offhook import __version__
from offhook.settings import Secret, Settings

__all__ = ["boot_facts"]

_KEYS = ("provider.openai_key", "provider.xai_key")
_BEGIN = (("sk-", "openai"), ("xai-", "xai"), ("AIza", "google"))


def boot_facts(settings: Settings, provider: ModuleType, session: Any, public: str, port: int) -> dict[str, Any]:
    """What was set and what it came to, and the facts that rules ask of keys, addresses, limits and the profile."""
    traits = provider.traits(session)
    return {
        "offhook": __version__,
        "python": platform.python_version(),
        "settings": {
            name: {
                "value": value if len(value) <= 200 else f"{value[:60]}… <{len(value)} characters>",
                "origin": origin,
            }
            for name, value, origin in settings.table()
            if origin != "default"  # what is not named has the default of this version
        },
        "public_url": public,
        "provider": provider.LABEL,
        "model": session.model,
        "voice": session.voice,
        "endpoint": session.url,
        "keys": [_key(settings, name) for name in _KEYS if settings[name] or provider.NAME in name],
        "proxy_env": sorted(name for name in settings.environment if name.lower() != "no_proxy"),
        "public": {"url": public, "origin": settings.origin("server.public_url"), "private": _private(public)},
        "listen": {"host": settings["server.host"], "port": port},
        "limits": {"max_calls": settings["limits.max_calls"]},
        "profile": {
            "provider": provider.NAME,
            "checked": provider.ENDPOINT.checked,
            "speaks_first": traits.speaks_first,
            "duplex": "half" if traits.turn_events else "full",
        },
    }


def _key(settings: Settings, name: str) -> dict[str, Any]:
    given = settings[name]
    secret = given.reveal() if isinstance(given, Secret) else ""
    looks: Sequence[str] = [vendor for head, vendor in _BEGIN if secret.strip().startswith(head)]
    return {
        "env": name.partition(".")[2].upper().replace("_KEY", "_API_KEY"),
        "present": bool(secret),
        "length": len(secret),
        "hash4": hashlib.sha256(secret.encode()).hexdigest()[:4] if secret else "",
        "edge_space": secret != secret.strip(),
        "odd": "not ASCII" if not secret.isascii() else "a quote" if secret[:1] in "\"'" and secret else "",
        "is_none": secret.strip().lower() in ("none", "null", "undefined"),
        "looks_like": looks[0] if looks else None,
    }


def _private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host

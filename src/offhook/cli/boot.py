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
from offhook.agent.profile import Profile
from offhook.net.hot import path_of_frames
from offhook.settings import FALLS_TO, Secret, Settings, shown

__all__ = ["boot_facts", "boot_of"]

_KEYS = ("provider.openai_key", "provider.xai_key")
_BEGIN = (("sk-", "openai"), ("xai-", "xai"), ("AIza", "google"))


def boot_facts(settings: Settings, public: str, port: int) -> dict[str, Any]:
    """The facts that rules ask about addresses, limits and what the process was given."""
    return {
        "offhook": __version__,
        "python": platform.python_version(),
        "frames": path_of_frames(settings["server.compiled"])[0],
        "public_url": public,
        "proxy_env": sorted(name for name in settings.environment if name.lower() != "no_proxy"),
        "public": {"url": public, "origin": settings.origin("server.public_url"), "private": _private(public)},
        "listen": {"host": settings["server.host"], "port": port},
        "limits": {"max_calls": settings["limits.max_calls"]},
    }


def boot_of(settings: Settings, profile: Profile, provider: ModuleType, session: Any) -> dict[str, Any]:
    """The facts of the agent that answers: its provider, the key for it, and every setting that was set."""
    traits = provider.traits(session)
    return {
        "provider": provider.LABEL, "model": session.model, "voice": session.voice, "endpoint": session.url,
        "keys": [_key(settings, name) for name in _KEYS if settings[name] or provider.NAME in name],
        "profile": {
            "provider": provider.NAME,
            "checked": provider.ENDPOINT.checked,
            "speaks_first": traits.speaks_first,
            "duplex": "half" if traits.turn_events else "full",
        },
        "settings": {
            name: {
                "value": value if len(value) <= 200 else f"{value[:60]}… <{len(value)} characters>",
                "origin": origin,
            }
            for name, value, origin in _table(settings, profile)
            if origin != "default"  # what is not named has the default of this version
        },
    }  # fmt: skip


def _table(settings: Settings, profile: Profile) -> list[tuple[str, str, str]]:
    """Every setting as this agent has it; of other agents and of routes nothing."""
    others = tuple(f"{section.title}." for table in settings.tables.values() for section in table)
    effective = {FALLS_TO[name]: (shown(value.value), value.origin) for name, value in profile.values.items()}
    return [
        (name, *effective.get(name, (value, origin)))
        if name in effective and not effective[name][1].startswith(f"{name}, ")
        else (name, value, origin)
        for name, value, origin in settings.table()
        if not name.startswith(others)
    ]


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

"""
What a process was started with, as the record's first line keeps it: made here for processes of the virtual world.

Secrets are never in it: a key is its length, the beginning of a hash, and what is odd about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

__all__ = ["boot_facts", "fingerprint"]

_PREFIXES = {"sk-": "openai", "xai-": "xai", "AIza": "google"}


def fingerprint(env: str, key: str | None) -> dict[str, Any]:
    """A key as a record may know it."""
    given = key or ""
    looks = next((vendor for prefix, vendor in _PREFIXES.items() if given.strip().startswith(prefix)), None)
    return {
        "env": env, "present": key is not None and bool(given), "length": len(given),
        "hash4": hashlib.sha256(given.encode()).hexdigest()[:4] if given else "",
        "edge_space": given != given.strip() or any(ord(char) > 126 for char in given),
        "is_none": given.strip() in ("None", "null", "undefined"), "looks_like": looks,
    }  # fmt: skip


def boot_facts(
    provider: ModuleType,
    session: Any,
    carrier: Any,
    *,
    origin: str = "offhook.toml:2",
    settings: Mapping[str, tuple[Any, str]] | None = None,
    keys: Sequence[Mapping[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The facts of a process that runs as it should; ``more`` and ``settings`` say what is otherwise."""
    public = urlsplit(carrier.public_url)
    table = {
        "provider.name": (provider.NAME, origin), "provider.model": (session.model, "default"),
        "provider.voice": (session.voice, "default"), "server.public_url": (carrier.public_url, "offhook.toml:6"),
        **(settings or {}),
    }  # fmt: skip
    own = [fingerprint(provider.KEY_ENV, session.api_key)] if provider.KEY_ENV else []
    return {
        "offhook": "0.1.0", "python": "3.11.7",
        "settings": {name: {"value": value, "origin": where} for name, (value, where) in table.items()},
        "public_url": carrier.public_url, "provider": provider.LABEL, "model": session.model, "voice": session.voice,
        "endpoint": session.url,
        "keys": [dict(key) for key in keys] if keys is not None else own,
        "proxy_env": [], "public": {"url": carrier.public_url, "origin": table["server.public_url"][1],
                                    "private": (public.hostname or "") in ("localhost", "127.0.0.1")},
        "listen": {"host": "0.0.0.0", "port": 8080}, "runtime": {"ws_impl": "picows", "g711": True},
        "clock_off_s": 0.0, "limits": {"max_calls": 100},
        "profile": {"provider": provider.NAME, "checked": "2026-11-22", "speaks_first": "provider", "duplex": "half"},
        **more,
    }  # fmt: skip

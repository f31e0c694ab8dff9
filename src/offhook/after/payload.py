"""
What is told of a call: one JSON document, the same at every try. Pure.

What is not known is null, never zero or empty; numbers are masked unless the hook says otherwise; what the caller never
heard stands in ``struck``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from offhook.after.hook import Hook
from offhook.evidence.patterns import Patterns
from offhook.store.projection import Rows

__all__ = ["VERSION", "document", "encoded", "stamp", "with_summary"]

VERSION = 1
MAX_BYTES = 1024 * 1024
_CALL = ("call", "agent", "direction", "carrier", "provider", "model", "state", "seconds", "verdict", "because")
_TURN = ("at_ms", "end_ms", "who", "kind", "text", "struck", "ms", "heard_ms", "estimated", "final", "language")
_USAGE = ("what", "amount", "usd", "price", "source", "checked", "why")
_NUMBERS = ("caller", "called")


def stamp(at_ms: float) -> str:
    """Milliseconds since 1970 as people and programs read them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))


def document(
    event: str,
    rows: Rows,
    hook: Hook,
    patterns: Patterns,
    numbers: Mapping[str, str | None],
    recording: Mapping[str, Any],
) -> dict[str, Any]:
    """
    The document for one hook. ``numbers`` are in full, where the store keeps them: a hook that is to have them and
    does not gets null, not the masked form.
    """
    call = rows.call
    seconds = call["seconds"]
    data = {
        "version": VERSION,
        "id": call["id"],
        **{name: call[name] for name in _CALL},
        **{name: numbers.get(name) if hook.numbers else call[name] for name in _NUMBERS},
        "began": stamp(call["began_at"]),
        "ended": None if seconds is None else stamp(call["began_at"] + seconds * 1000),
        "end": {"why": call["end_why"], "wanted": call["wanted"]},
        "findings": rows.children.get("findings", []),
        "transcript": [{name: turn[name] for name in _TURN} for turn in rows.children.get("turns", [])],
        "transcript_cut": 0,
        "tools": rows.children.get("tool_runs", []),
        "latencies": rows.children.get("latencies", []),
        "cost": {
            "usd": call["usd"],
            "unknown": [name for name in call["cost_unknown"].split(", ") if name],
            "parts": [{name: part[name] for name in _USAGE} for part in rows.children.get("usage", [])],
        },
        "recording": dict(recording) or None,
        "summary": None,
    }
    if hook.redact:
        kept = {name: data[name] for name in _NUMBERS}
        data = {**patterns.data(data), **kept}
    return {"type": event, "timestamp": data["ended"] or data["began"], "data": data}


def encoded(made: dict[str, Any]) -> str:
    """As it is sent. Of a conversation that is too long the beginning is kept, and how much was cut is said."""
    text = msgspec.json.encode(made)
    data = made["data"]
    turns = data["transcript"]
    while len(text) > MAX_BYTES and turns:
        keep = len(turns) // 2
        data = {**data, "transcript": turns[:keep], "transcript_cut": data["transcript_cut"] + len(turns) - keep}
        turns = data["transcript"]
        text = msgspec.json.encode({**made, "data": data})
    return text.decode()


def with_summary(payload: str, summary: Mapping[str, Any]) -> str:
    """The same document, now that its summary is there or has failed."""
    made = msgspec.json.decode(payload)
    made["data"]["summary"] = dict(summary)
    return msgspec.json.encode(made).decode()

"""One line of a record for a reader: its bytes as they were kept, each field with what it means. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offhook.api.ladder import message_type
from offhook.diagnosis.fields import meaning, of_message
from offhook.evidence.record import Channel, Line, Recording

__all__ = ["message"]

MOST_FIELDS = 300


def message(call: Recording, line: Line) -> dict[str, Any]:
    """A message with its fields explained; a note or another line with its data."""
    if line.kind != "msg":
        kind = str(line.data.get("note") or line.data.get("message") or line.kind)
        return {
            "n": line.number, "at_ms": line.at_ms, "kind": line.kind, "channel": "", "wire": "", "type": kind,
            "bytes": None, "message": line.data, "means": _OWN.get(line.kind, ""), "fields": [],
        }  # fmt: skip
    channel = Channel(line.data["ch"])
    leg = "carrier" if channel in (Channel.FROM_CARRIER, Channel.TO_CARRIER) else "provider"
    profile = call.boot.get("profile")
    provider = str(profile.get("provider") or "") if isinstance(profile, dict) else ""
    kind, body, size = message_type(line), line.data.get("m", {}), line.data.get("bytes")
    return {
        "n": line.number, "at_ms": line.at_ms, "kind": "msg", "channel": channel.name.lower(),
        "wire": str(call.begin.get("carrier") or "") if leg == "carrier" else provider,
        "type": kind, "bytes": size if isinstance(size, int) else None, "message": body,
        "means": of_message(leg, kind), "fields": [_field(leg, *one) for one in _leaves(body)][:MOST_FIELDS],
    }  # fmt: skip


_OWN = {
    "note": "something that the bridge decided, confirmed or missed",
    "violation": "a rule of a wire that was broken",
    "counters": "figures so far, cumulative",
    "begin": "who calls whom, and what the process was started with",
    "end": "the call in figures",
    "verdict": "what was made of the record when it was whole",
    "gap": "lines that a failing disk lost",
    "closed": "a later process found that the one that wrote this had died",
}


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Fields with a value of their own; a list counts as one."""
    if isinstance(node, dict) and node:
        for name, part in node.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    elif path:
        yield path, node


def _field(leg: str, path: str, value: Any) -> dict[str, Any]:
    means, source, checked = meaning(leg, path)
    return {"path": path, "value": value, "means": means, "source": source, "checked": checked}

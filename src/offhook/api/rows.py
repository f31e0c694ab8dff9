"""Calls as rows of the API: from memory, from the store, from a record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offhook.api.records import Opened
from offhook.api.running import RunningCall
from offhook.evidence.record import Recording
from offhook.evidence.transcript import transcript
from offhook.store.projection import Rows
from offhook.store.state import CallFilter

__all__ = ["brief", "from_live", "from_record", "from_store", "matches", "tool_runs", "turns"]

Row = dict[str, Any]
_SAME = (
    "id", "call", "state", "agent", "direction", "caller", "called", "carrier", "provider", "model", "began_at",
    "seconds", "verdict", "because", "end_why", "wanted", "usd", "recording",
)  # fmt: skip


def from_store(row: Mapping[str, Any], *, numbers: bool) -> Row:
    """A row of the store's calls."""
    made = {name: row[name] for name in _SAME}
    made["cost_unknown"] = _words(row["cost_unknown"])
    made["findings"] = list(row["findings"])
    if numbers:
        made |= {"caller_number": row["caller_number"], "called_number": row["called_number"]}
    return made


def from_record(opened: Opened) -> Row:
    """A call by its record alone."""
    rows = opened.rows
    call = dict(rows.call)
    if opened.running:
        call["state"] = "running"
    return {
        **{name: call[name] for name in _SAME},
        "cost_unknown": _words(call["cost_unknown"]),
        "findings": [finding["rule"] for finding in rows.children["findings"]],
    }


def from_live(call: RunningCall) -> Row:
    """A call that runs."""
    view = call.view()
    same = ("call", "agent", "direction", "caller", "called", "carrier", "provider", "model", "began_at", "usd",
            "cost_unknown")  # fmt: skip
    return {
        "id": call.record, "state": "running", "seconds": None, "verdict": "", "because": "", "end_why": "",
        "wanted": None, "recording": "", "findings": [], "live": view, **{name: view[name] for name in same},
    }  # fmt: skip


def matches(row: Row, wanted: CallFilter) -> bool:
    """Whether a row is one of those that are wanted, as far as a row tells; words and costs it does not."""
    if wanted.text or wanted.number or wanted.min_usd is not None:
        return False
    if any(value and row[name] != value for name in ("agent", "verdict", "state", "direction")
           if (value := getattr(wanted, name))):  # fmt: skip
        return False
    name = wanted.finding.strip()
    if name and not any(name in (rule, *rule.split("/", 1)) for rule in row["findings"]):
        return False
    began = row["began_at"]
    return not (
        (wanted.since_at is not None and began < wanted.since_at)
        or (wanted.until_at is not None and began >= wanted.until_at)
    )


def _words(text: str) -> list[str]:
    return [word for word in text.split(", ") if word]


def tool_runs(rows: Rows) -> list[Row]:
    return [
        {"id": run["tool_id"], **{name: value for name, value in run.items() if name != "tool_id"}}
        for run in rows.children["tool_runs"]
    ]


def turns(call: Recording) -> list[Row]:
    return [
        {
            "at_ms": turn.at_ms, "end_ms": turn.end_ms, "who": turn.who, "kind": turn.kind, "text": turn.text,
            "heard": turn.heard, "struck": turn.struck, "ms": turn.ms, "heard_ms": turn.heard_ms,
            "estimated": turn.estimated, "final": turn.final, "language": turn.language, "item": turn.item,
        }
        for turn in transcript(call)
    ]  # fmt: skip


def brief(opened: Opened) -> Row:
    """What a call's own page says besides its row."""
    call, rows = opened.call, opened.rows
    return {
        "voice": str(call.boot.get("voice") or ""),
        "endpoint": str(call.boot.get("endpoint") or ""),
        "began": str(call.begin.get("began") or ""),
        "tool_runs": tool_runs(rows),
        "latencies": [dict(one) for one in rows.children["latencies"]],
        "usage": [dict(one) for one in rows.children["usage"]],
        "milestones": [{"at_ms": line.at_ms, "n": line.number, "id": line.text("id"), "what": line.text("what")}
                       for line in call.notes("milestone")],
        "record_bytes": opened.size,
        "damaged_lines": call.damaged,
    }  # fmt: skip

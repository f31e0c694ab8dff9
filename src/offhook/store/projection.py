"""
A whole record made into the rows of the store. Pure but for reading the file; knows no database.

What the verdict on the call is, and what its provider's prices are, is told by functions: the parts that know are not
this one's to import.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from calendar import timegm
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.evidence.cost import cost, used
from offhook.evidence.files import read
from offhook.evidence.record import Line, Recording
from offhook.evidence.transcript import Turn, transcript
from offhook.wires._wire import Fact, Price

__all__ = ["Judged", "Projection", "Rows", "begun"]

Row = dict[str, Any]
PriceOf = Callable[[str, str], Fact[tuple[Price, ...]] | None]  # provider, model
_TEXT = 100_000  # characters of one call that can be searched
_TURNS = 5000


class Judged(Struct, frozen=True):
    """The verdict on a record, as the store keeps it."""

    verdict: str = ""
    because: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()


class Rows(Struct, frozen=True):
    """One call's rows. Those of ``children`` are by table and get their call's key when they are written."""

    call: Row
    children: Mapping[str, list[Row]]
    words: str
    record: Recording | None = None


class Projection:
    """
    ``Projection(...)(path, judged)`` is a call's rows. Raises RecordingError.

    ``call`` is the record where it was read already, ``judge`` who judges it there where no verdict stands in it.
    """

    def __init__(
        self,
        judge: Callable[[Recording], Judged],
        price_of: PriceOf,
        *,
        carrier_usd_per_minute: float | None = None,
    ) -> None:
        self._judge = judge
        self._price_of = price_of
        self._carrier_usd = carrier_usd_per_minute

    def __call__(
        self,
        path: Path,
        judged: Judged | None = None,
        *,
        call: Recording | None = None,
        judge: Callable[[Recording], Judged] | None = None,
    ) -> Rows:
        call = read(path) if call is None else call
        judged = judged or _told(call) or (judge or self._judge)(call)
        turns = transcript(call)[:_TURNS]
        spent = cost(
            used(call),
            self._price_of(_profile(call), str(call.boot.get("model") or "")),
            model=str(call.boot.get("model") or ""),
            carrier_usd_per_minute=self._carrier_usd,
        )
        return _cleaned(
            Rows(
                call={
                    **_head(path, call),
                    "verdict": judged.verdict, "because": judged.because,
                    "usd": spent.usd, "cost_unknown": ", ".join(spent.unknown),
                },
                children={
                    "turns": [_turn(turn) for turn in turns],
                    "tool_runs": _tool_runs(call),
                    "findings": [dict(finding) for finding in judged.findings],
                    "latencies": _latencies(call, turns),
                    "usage": [
                        {"what": part.what, "amount": part.amount, "usd": part.usd, "price": part.price,
                         "source": part.source, "checked": part.checked, "why": part.why}
                        for part in spent.parts
                    ],
                },
                words="\n".join(turn.text for turn in turns if turn.who in ("caller", "agent"))[:_TEXT],
                record=call,
            )
        )  # fmt: skip


def _told(call: Recording) -> Judged | None:
    """The verdict that was written when the record was whole; None where none was, or more is known now."""
    line = next((line for line in reversed(call.lines) if line.kind == "verdict"), None)
    if line is None or any(job.number > line.number for job in call.notes("job") if job.text("state") == "lost"):
        return None  # what came later is to be judged too
    rules = line.data.get("findings")
    found = [str(rule) for rule in rules] if isinstance(rules, list) else []
    rows = tuple({**_FINDING, "rule": rule, "boundary": rule.partition("/")[0]} for rule in found)
    return Judged(line.text("verdict"), line.text("because"), rows)


_FINDING: Mapping[str, Any] = {"rule": "", "boundary": "", "proof": "", "sentence": "", "fix": "", "line": None}


def begun(path: Path, facts: Mapping[str, Any], server: str) -> Row:
    """The row of a call that has just begun."""
    return {
        **{name: str(facts.get(name) or "") for name in _FROM_BEGIN},
        "id": path.stem, "state": "running", "server": server, "began_at": round(time.time() * 1000),
        "seconds": None, "model": "", "verdict": "", "because": "", "end_why": "", "wanted": None, "usd": None,
        "cost_unknown": "", "recording": "", "stored_at": round(time.time() * 1000),
        "caller_number": facts.get("caller_number"), "called_number": facts.get("called_number"),
    }  # fmt: skip


_FROM_BEGIN = (
    "call", "agent", "direction", "caller", "called", "caller_id", "called_id", "carrier", "provider",
)  # fmt: skip


def _head(path: Path, call: Recording) -> Row:
    end, closed = call.end, call.closed
    why = (end or {}).get("end")
    said = why if isinstance(why, dict) else {}
    recording = call.summary("recording").get("file")
    if recording is None and path.with_suffix(".wav").exists():
        recording = path.with_suffix(".wav").name
    server = call.boot.get("server")
    return {
        **{name: str(call.begin.get(name) or "") for name in _FROM_BEGIN},
        "id": path.stem,
        "state": "ended" if end is not None else "died" if closed is not None else "running",
        "server": str(server.get("id") or "") if isinstance(server, dict) else "",
        "began_at": _epoch_ms(str(call.begin.get("began") or "")),
        "seconds": round(call.last_ms / 1000, 3),
        "model": str(call.boot.get("model") or ""),
        "end_why": str(said.get("why") or (closed.text("why") if closed is not None else "")),
        "wanted": said.get("wanted") if isinstance(said.get("wanted"), bool) else None,
        "recording": str(recording or ""),
        "stored_at": round(time.time() * 1000),
    }


def _epoch_ms(stamp: str) -> int:
    try:
        return timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) * 1000
    except ValueError:
        return 0


def _profile(call: Recording) -> str:
    """Whose wire the provider spoke, by its name."""
    profile = call.boot.get("profile")
    return str(profile.get("provider") or "") if isinstance(profile, dict) else ""


def _turn(turn: Turn) -> Row:
    return {
        "at_ms": turn.at_ms, "end_ms": turn.end_ms, "who": turn.who, "kind": turn.kind, "text": turn.text,
        "struck": turn.struck, "ms": turn.ms, "heard_ms": turn.heard_ms, "estimated": turn.estimated,
        "final": turn.final, "language": turn.language, "item": turn.item,
    }  # fmt: skip


def _tool_runs(call: Recording) -> list[Row]:
    done = {line.text("id"): line for line in call.notes("tool.done")}
    rows = []
    for line in call.notes("tool"):
        end = done.get(line.text("id")) or Line(0, "note", 0.0, {})
        args_ok, filler = line.data.get("args_ok"), end.data.get("filler")
        rows.append(
            {
                "tool_id": line.text("id"), "name": line.text("name"), "at_ms": line.at_ms,
                "ms": end.figure("ms") if "ms" in end.data else None,
                "args_ok": args_ok if isinstance(args_ok, bool) else None,
                "outcome": end.text("outcome"),
                "out_bytes": int(end.figure("out_bytes")) if "out_bytes" in end.data else None,
                "filler": filler if isinstance(filler, bool) else None,
                "retried": int(end.figure("retried")) if "retried" in end.data else None,
            }
        )  # fmt: skip
    return rows


def _latencies(call: Recording, turns: tuple[Turn, ...]) -> list[Row]:
    """How long things took: each answer, each barge-in from the caller's first sound, each phase of dialling."""
    replies = [{"kind": "reply", "at_ms": line.at_ms, "ms": line.figure("ms")} for line in call.notes("reply")]
    spoke = sorted(turn.at_ms for turn in turns if turn.who == "caller")
    cuts = [
        {"kind": "barge-in", "at_ms": line.at_ms, "ms": line.at_ms - spoke[before - 1]}
        for line in call.notes("barge-in")
        if (before := bisect_right(spoke, line.at_ms))
    ]
    dials = [
        {"kind": f"dial.{line.text('phase')}", "at_ms": line.at_ms, "ms": line.figure("ms")}
        for line in call.notes("dial.phase")
    ]
    return [*replies, *cuts, *dials]


def _cleaned(rows: Rows) -> Rows:
    """Without the one character that Postgres takes in no text."""

    def bare(row: Row) -> Row:
        return {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}

    children = {name: [bare(row) for row in many] for name, many in rows.children.items()}
    return Rows(bare(rows.call), children, rows.words.replace("\0", ""), rows.record)

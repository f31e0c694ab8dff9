"""
A finished record as spans: the call, what stood at each boundary, who spoke, tools, answers; with the times they had.

Nothing that was said is in them, and no number. Pure.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterator, Mapping
from time import strptime
from typing import Any

from msgspec import Struct

from offhook.diagnosis.report import Report
from offhook.evidence.record import Line, Recording
from offhook.evidence.transcript import transcript

__all__ = ["Mark", "Span", "began_ms", "spans"]

MOST = 2000  # spans of one call: an hour of talk has a few hundred
MOST_MARKS = 128

Attributes = Mapping[str, str | int | float | bool]


class Mark(Struct, frozen=True):
    """Something that happened at one moment."""

    at_ms: float
    name: str
    attributes: Attributes = {}


class Span(Struct, frozen=True):
    """A stretch of a call, in milliseconds of it. The first one is the call, the others are within it."""

    name: str
    from_ms: float
    to_ms: float
    attributes: Attributes = {}
    marks: tuple[Mark, ...] = ()
    fault: str = ""  # it did not go as it should, and why


def began_ms(call: Recording) -> float:
    """When the call began, in milliseconds since 1970."""
    exact = call.begin.get("began_ms")
    if isinstance(exact, (int, float)) and not isinstance(exact, bool):
        return float(exact)
    try:  # older records have whole seconds
        return timegm(strptime(str(call.begin.get("began")), "%Y-%m-%dT%H:%M:%SZ")) * 1000.0
    except ValueError:
        return 0.0


def spans(report: Report) -> tuple[Span, ...]:
    """All spans of a call."""
    call = report.call
    parts = [*_boundaries(call), *_talk(call), *_tools(call), *_replies(call)][: MOST - 1]
    begin = min([0.0, *(part.from_ms for part in parts)])
    end = max([call.last_ms, *(part.to_ms for part in parts)])
    return (Span("call", begin, end, _about(report), tuple(_marks(call)), _fault(report)), *parts)


def _about(report: Report) -> Attributes:
    call = report.call
    said = (call.end or {}).get("end")
    told = {
        "offhook.call": call.begin.get("call"), "offhook.agent": call.begin.get("agent"),
        "offhook.direction": call.begin.get("direction"), "offhook.carrier": call.begin.get("carrier"),
        "offhook.provider": call.begin.get("provider"), "offhook.model": call.boot.get("model"),
        "offhook.verdict": report.verdict, "offhook.findings": ", ".join(one.rule for one in report.roots),
        "offhook.end": said.get("why") if isinstance(said, dict) else None,
        "gen_ai.request.model": call.boot.get("model"), "server.address": _host(call.boot.get("endpoint")),
    }  # fmt: skip
    return {name: str(value) for name, value in told.items() if value}


def _host(endpoint: Any) -> str:
    return str(endpoint or "").partition("://")[2].partition("/")[0]


def _fault(report: Report) -> str:
    return "; ".join(one.rule for one in report.roots) or report.because if report.verdict == "broken" else ""


def _marks(call: Recording) -> Iterator[Mark]:
    kinds = {"milestone", "deadline.missed", "barge-in", "bridge.exception", "bridge.loop-lag", "ending"}
    kept = [
        line for line in call.lines if line.kind == "violation" or (line.kind == "note" and line.text("note") in kinds)
    ]
    for line in kept[:MOST_MARKS]:
        name = line.text("note") or f"violation {line.text('message')}"
        what = line.text("id") or line.text("name") or line.text("field") or line.text("why")
        yield Mark(line.at_ms, f"{name} {what}".strip(), {"offhook.line": line.number})


def _boundaries(call: Recording) -> Iterator[Span]:
    """Webhook, dial, stream and session: each from the first sign of it to the last."""
    for line in call.notes("webhook"):
        status = int(line.figure("status"))
        yield Span("webhook", line.at_ms - line.figure("ms"), line.at_ms, {"http.response.status_code": status},
                   fault="" if status < 400 else f"answered {status}")  # fmt: skip
    for line in call.notes("dial.phase"):
        yield Span(f"dial {line.text('phase')}", line.at_ms - line.figure("ms"), line.at_ms)
    for line in call.notes("dial.failed"):
        yield Span("dial", line.at_ms, line.at_ms, {"offhook.phase": line.text("phase")}, fault=line.text("cause"))
    for name, first, last in (
        ("carrier stream", "M5", "carrier.closed"),
        ("provider session", "M8", "provider.closed"),
    ):
        begin = call.milestone(first)
        if begin is not None:
            end = next((line for line in call.notes(last)), None)
            code: Attributes = (
                {"offhook.close_code": int(end.figure("code")), "offhook.closed_by": end.text("by")} if end else {}
            )
            yield Span(name, begin.at_ms, end.at_ms if end is not None else call.last_ms, code)


def _talk(call: Recording) -> Iterator[Span]:
    for turn in transcript(call):
        if turn.who == "caller":
            end = turn.end_ms if turn.end_ms is not None else turn.at_ms
            yield Span("caller speaks", turn.at_ms, max(turn.at_ms, end), {"offhook.characters": len(turn.text)})
        elif turn.who == "agent":
            made = turn.ms or 0
            heard = made if turn.heard_ms is None else min(turn.heard_ms, made)
            figures = {"offhook.characters": len(turn.text), "offhook.made_ms": made, "offhook.heard_ms": heard}
            yield Span("agent speaks", turn.at_ms, turn.at_ms + heard, figures)


def _tools(call: Recording) -> Iterator[Span]:
    done: dict[str, Line] = {line.text("id"): line for line in call.notes("tool.done")}
    for line in call.notes("tool"):
        end = done.get(line.text("id"))
        outcome = end.text("outcome") if end is not None else ""
        ok = outcome.partition(" ")[0] in ("ok", "dry")
        yield Span(
            f"tool {line.text('name')[:60]}", line.at_ms, end.at_ms if end is not None else call.last_ms,
            {"offhook.outcome": outcome or "no end on record"}, fault="" if ok else outcome or "no end on record",
        )  # fmt: skip


def _replies(call: Recording) -> Iterator[Span]:
    for line in call.notes("reply"):
        yield Span("reply", line.at_ms - line.figure("ms"), line.at_ms)

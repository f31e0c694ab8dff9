"""
What is told of an event of a call, and in which words; what it changes of the call as it is seen.

The words of the live stream: docs/api.md lists them, a test holds that list to this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offhook import vocab as v
from offhook.api.running import RunningCall

__all__ = ["KINDS", "tell"]

Told = tuple[str, dict[str, Any]]

KINDS = (
    "hello", "lost", "call.started", "state", "speaking", "transcript", "key", "tool", "latency", "barge-in",
    "trouble", "spend", "note", "levels", "stands", "call.ended", "verdict", "outbound", "check",
)  # fmt: skip
# Notes that a watcher wants as they are.
_NOTES = frozenset((
    "control.asked", "control.done", "mute", "keys.gathered", "transfer", "transfer.asked", "hello", "party",
    "voicemail", "lookup", "tool.filler", "job", "recording.paused", "recording.resumed", "call.status", "line",
    "session.ending", "claim.unmet", "handover", "handover.asked", "handover.failed", "spend.unknown-price",
))  # fmt: skip
# And those that say that something is not as it should be.
_TROUBLES = frozenset((
    "deadline.missed", "response.failed", "response.mute", "session.rejected", "session.unconfirmed", "provider.lost",
    "format.unsupported", "write.paused", "downlink.too-far-ahead", "provider.silent-audio", "line.missing",
))  # fmt: skip


def tell(call: RunningCall, happened: v.Event | v.Note, at_s: float, *, digits: bool) -> Iterator[Told]:
    """What is told of ``happened``."""
    match happened:
        case v.Note():
            yield from _note(call, happened.kind, happened.data)
        case v.CallerTranscript(item_id=item, text=text, final=final, usage=usage):
            call.use(usage or {})
            yield _transcript(call, "caller", item, text, final, at_s)
        case v.AgentTranscript(item_id=item, text=text, final=final):
            yield _transcript(call, "agent", item, text, final, at_s)
        case v.SpeechStarted():
            yield from _speaks(call, "caller", True)
        case v.SpeechStopped():
            yield from _speaks(call, "caller", False)
        case v.KeyPressed(digit=digit):
            yield "key", {"digit": digit if digits else v.MASKED}
        case v.ToolCalled(tool_call_id=id_, name=name):
            call.tools[id_] = name
            yield "tool", {"tool": id_, "name": name, "state": "called"}
        case v.ResponseDone(status=status, usage=usage):
            call.use(usage or {})
            if status in ("failed", "incomplete"):
                yield _trouble(call, f"response {status}", {"reason": happened.reason})
        case v.SessionConfigured(differences=differences) if differences:
            yield _trouble(call, "session differs", {"fields": [one.field for one in differences]})
        case v.DialFailed(phase=phase, cause=cause):
            yield _trouble(call, "dial failed", {"phase": phase, "cause": cause})
        case v.ProviderError(code=code, message=message, benign=False):
            yield _trouble(call, "provider error", {"code": code, "message": message})
        case v.SessionRejected(field=field, code=code, message=message):
            yield _trouble(call, "session rejected", {"field": field, "code": code, "message": message})
        case v.LegClosed(leg=leg, code=code, reason=reason, by=by):
            yield "note", {"note": f"{leg.value}.closed", "data": {"code": code, "reason": reason[:80], "by": by}}


def _note(call: RunningCall, kind: str, data: dict[str, Any]) -> Iterator[Told]:
    if kind == "milestone":
        yield from _reached(call, str(data.get("id")))
    elif kind == "reply":
        call.reply_ms = int(data["ms"])
        yield "latency", {"what": "reply", "ms": call.reply_ms}
    elif kind == "barge-in":
        call.barge_ins += 1
        yield "barge-in", {"heard_ms": data.get("heard_ms"), "of_ms": data.get("sent_ms"), "item": data.get("item")}
    elif kind == "ending":
        yield from _state(call, "ending", why=str(data.get("why")))
    elif kind == "hold":
        yield from _state(call, "on hold" if data.get("on") else "talking")
    elif kind == "transfer" and data.get("state") == "answered":
        yield from _state(call, "transferred")
    elif kind == "handover":
        call.told = {**call.told, "agent": str(data.get("agent"))}
    elif kind == "tool.done":
        call.tools.pop(str(data.get("id")), None)
        done = {name: data.get(name) for name in ("name", "outcome", "ms")}
        yield "tool", {"tool": data.get("id"), "state": "done", **done}
    elif kind in _TROUBLES:
        yield _trouble(call, kind, dict(data))
    if kind in _NOTES:
        yield "note", {"note": kind, "data": dict(data)}


def _transcript(call: RunningCall, who: str, item: str, text: str, final: bool, at_s: float) -> Told:
    if final:
        call.said(who, item, text, at_s)
    else:
        text = call.saying(who, item, text)
    return "transcript", {"who": who, "item": item, "text": text, "final": final}


def _speaks(call: RunningCall, who: str, on: bool) -> Iterator[Told]:
    if call.speaks[who] is not on:
        call.speaks[who] = on
        yield "speaking", {"who": who, "on": on}


def _reached(call: RunningCall, milestone: str) -> Iterator[Told]:
    """Connected, ready, talking, in this order: most often the provider is ready while the phone still rings."""
    if milestone == "M9":
        call.provider_ready = True
    elif milestone == "M6":
        yield from _state(call, "connected")
    elif milestone == "M17":
        yield from _state(call, "talking")
    if call.provider_ready and call.state == "connected":
        yield from _state(call, "ready")


def _state(call: RunningCall, state: str, **more: str) -> Iterator[Told]:
    if state != call.state:
        call.state = state
        yield "state", {"state": state, **more}


def _trouble(call: RunningCall, what: str, data: dict[str, Any]) -> Told:
    call.troubled += 1
    call.troubles.append(f"{what}: {data['name']}" if what == "deadline.missed" else what)
    return "trouble", {"what": what, "data": data}

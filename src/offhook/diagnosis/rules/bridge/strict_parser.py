"""
The program's parser refuses a variation of a known event, and with it everything that follows.

Caller notices: the agent freezes, or a turn never ends.
Why: a typed model demands fields and types that one vendor sends otherwise.
Proof: a parser's exception in the reader, at a message of a known type; the provider went on sending.
Fix: read only the fields that are used, and let an event that cannot be read end nothing.
Reproduce: status_details as text and a model that wants an object.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.evidence.record import Channel

RULE = Rule(
    id="bridge/strict-parser",
    title="A known event could not be parsed",
    decides=("F-172",),
    explains=(
        "bridge/exception",
        "bridge/reader-stopped",
        "turns/*",
        "*/unexplained",
        "provider-session/old-event-names",
    ),
    lies="the provider seems to have stopped answering",
    source="livekit/agents#5994; pipecat-ai/pipecat b24fc0a38",
    since="2026-11-25",
    needs=("provider", "bridge"),
    breaks="M12",
)
PARSERS = ("Validation", "Decode", "KeyError", "TypeError", "AttributeError")


def find(view: Evidence) -> Iterator[Finding]:
    for exc in view.exceptions:
        if exc.after_end or "provider" not in exc.task or not any(part in exc.type for part in PARSERS):
            continue
        closed = view.closed("provider")
        lively = (view.provider.last_ms or 0.0) > exc.at_ms and (closed is None or closed.at_ms > exc.at_ms)
        before = [line for line in view.recording.messages(Channel.FROM_PROVIDER) if line.number < exc.line]
        kind = str(before[-1].data.get("m", {}).get("type") or "a message") if before else "a message"
        yield RULE.finding(
            exc,
            f"{kind} could not be parsed: {exc.type} at {exc.where or exc.task}"
            + ("; the provider went on, and nobody read it." if lively else "."),
            "parse only the fields that are used, and skip an event that cannot be read",
            observable=f"{exc.type} at {kind}",
            field=kind,
        )
        return

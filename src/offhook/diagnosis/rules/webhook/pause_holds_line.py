"""
After our close the carrier goes on with the next verb: a long <Pause> keeps the line open, and billed.

Caller notices: minutes of silence after the goodbye.
Why: a Pause that a <Start> example needed.
Proof: our close, the verb behind the stream, and the call's end as much later.
Fix: let <Hangup/> or nothing follow.
Reproduce: put <Pause length=40> behind <Connect>.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/pause-holds-line",
    title="A verb behind the stream holds the line open",
    decides=("F-039",),
    lies="the agent ended the call, and the record says so",
    source="dograh-hq/dograh#627",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M19",
)


def find(view: Evidence) -> Iterator[Finding]:
    closed, final = view.closed("carrier"), view.final_status
    doc = next((doc for doc in view.twiml if doc.next_verb == "Pause" and doc.next_pause_s), None)
    if doc is None or final is None or doc.next_pause_s is None:
        return
    since = closed if closed is not None and closed.by == "us" else doc if doc.verb == "Start" else None
    if since is not None and final.at_ms - since.at_ms >= doc.next_pause_s * 800:
        yield RULE.finding(
            doc,
            f"Behind the stream the carrier ran <Pause length={doc.next_pause_s:.0f}>: the line stayed open.",
            "let <Hangup/> follow the stream, or nothing",
            observable=f"call over {(final.at_ms - since.at_ms) / 1000:.1f} s later",
            field="Pause",
        )

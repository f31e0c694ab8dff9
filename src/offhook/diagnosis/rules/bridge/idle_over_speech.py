"""
An idle timer fires while the agent can be heard, or while a tool is running.

Caller notices: "are you still there?" in the middle of an answer, or a hang-up.
Why: the timer counts messages of the provider, and a whole answer comes in a second.
Proof: the timer, with seconds of audio unplayed or a tool open.
Fix: begin to count when the last mark has come back and no tool is open.
Reproduce: a greeting of 18 s that comes at once, and a timer of 6 s.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/idle-over-speech",
    title="An idle timer fires while the agent speaks",
    decides=("F-083",),
    explains=("bridge/closed-over-speech", "bridge/unexplained"),
    lies="it looks like a caller who says nothing",
    source="bolna-ai/bolna#886, #887",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M17",
)
AHEAD_MS = 500.0


def find(view: Evidence) -> Iterator[Finding]:
    for fired in view.inside.idle:
        if fired.ahead_ms < AHEAD_MS and not fired.tools and not fired.pending:
            continue
        what = f"{fired.ahead_ms / 1000:.0f} s of speech still to play" if fired.ahead_ms >= AHEAD_MS else "a tool open"
        yield RULE.finding(
            fired,
            f"The idle timer of {fired.after_s:g} s fired with {what}.",
            "count idle time from the last mark that came back, and not while a tool is open",
            observable=f"idle after {fired.after_s:g} s, {fired.ahead_ms:.0f} ms unplayed, {fired.tools} tools open",
        )
        return

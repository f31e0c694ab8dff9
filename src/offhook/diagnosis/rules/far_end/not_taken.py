"""
We called, and nobody took the call: busy, no answer, or a number that cannot be reached.

Caller notices: nothing; we are the caller.
Why: the other side's line, or a network on the way.
Proof: the carrier's last word about the call.
Fix: call again later; with "failed", look whether the number exists.
Reproduce: place a call to a number that is busy.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/not-taken",
    title="Nobody took the call that we placed",
    lies="nothing arrives here: there is no stream",
    source="twilio.com/docs/voice/api/call-resource#call-status-values",
    since="2026-11-25",
    needs=("bridge",),
)
WORDS = {"busy": "the line was busy", "no-answer": "nobody answered", "failed": "it could not be reached"}


def find(view: Evidence) -> Iterator[Finding]:
    placed = next((rest for rest in view.rest if rest.op == "create" and rest.ok), None)
    last = next((status for status in reversed(view.statuses) if status.status in WORDS), None)
    if placed is None or last is None or "M6" in view.marks:
        return
    sip = f" (SIP {last.sip})" if last.sip else ""
    yield RULE.finding(
        last,
        f"Nobody took the call: {WORDS[last.status]}{sip}.",
        "call again later" if last.status != "failed" else "look whether the number exists; `offhook explain CODE`",
        observable=f"CallStatus {last.status}",
        severity="far-end",
    )

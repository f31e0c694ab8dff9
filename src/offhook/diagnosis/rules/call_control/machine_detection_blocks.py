"""
Synchronous machine detection lets the carrier listen before it asks for TwiML: the callee hears nothing meanwhile.

Caller notices: seconds of silence after picking up; many hang up.
Why: MachineDetection without AsyncAmd.
Proof: the time between the answer and the webhook.
Fix: use asynchronous detection.
Reproduce: delay the stream by 3.5 s.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="call-control/machine-detection-blocks",
    title="Machine detection delays the stream",
    decides=("F-158",),
    lies="the call is in progress; nothing is wrong anywhere",
    source="twilio.com/docs/voice/answering-machine-detection",
    since="2026-11-25",
    breaks="M4",
)
GAP_MS = 1500


def find(view: Evidence) -> Iterator[Finding]:
    created = next((r for r in view.rest if r.op == "create" and r.machine_detection), None)
    answered = next((s for s in view.statuses if s.status in ("in-progress", "answered")), None)
    if created is None or answered is None:
        return
    asked = next((fact.at_ms for fact in (*view.hooks, *view.upgrades) if fact.at_ms > answered.at_ms), None)
    if asked is not None and asked - answered.at_ms > GAP_MS:
        yield RULE.finding(
            created,
            f"{(asked - answered.at_ms) / 1000:.1f} s passed between the answer and the stream: machine detection.",
            "set AsyncAmd=true, and act on its callback",
            observable=f"MachineDetection={created.machine_detection}",
            field="MachineDetection",
        )

"""
The provider never greeted, or never confirmed the session that was asked for.

Caller notices: a spoken line after some seconds.
Why: connected is not ready. The caller's audio is held until the session is confirmed.
Proof: the deadline of the step that did not come.
Fix: prove the provider without the phone.
Reproduce: `offhook fake` that never sends session.updated.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/never-ready",
    title="The provider never became ready",
    explains=("turns/no-answer", "provider-session/lost"),
    lies="the connection is open, so it looks well",
    source="pipecat, livekit: no timer there",
    since="2026-11-24",
    needs=("provider",),
)
NAMES = {"provider open": "the connection", "first message": "its first message", "session configured": "the session"}


def find(view: Evidence) -> Iterator[Finding]:
    for missed in view.missed(*NAMES):
        yield RULE.finding(
            missed,
            f"The provider never confirmed {NAMES[missed.name]} within {missed.waited_ms:.0f} ms.",
            "run `offhook check provider --live`: it proves the provider without the phone",
            observable=f"no confirmation: {missed.name}",
        )

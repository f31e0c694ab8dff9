"""
Something else than media, mark or clear was sent: an echo of connected, a ping, a provider's message.

Caller notices: perhaps nothing: the other messages are played.
Why: messages are forwarded as they come.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Send media, mark and clear only.
Reproduce: answer connected with connected.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/unknown-event",
    title="Events that the carrier does not know are sent to it",
    decides=("F-052",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "event")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)} were no media, mark or clear (the first: {found[0].got}).",
            "send media, mark and clear only",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "event",
        )

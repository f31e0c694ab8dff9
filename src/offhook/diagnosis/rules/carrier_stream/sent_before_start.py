"""
Messages went out before start had come, so that the stream's id was not known.

Caller notices: the first words are missing.
Why: the provider was ready before the carrier.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Hold what is to be said until start is there.
Reproduce: delay start by a second.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/sent-before-start",
    title="Audio is sent before the stream has an id",
    decides=("F-050",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "too early")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)} were sent before the stream's start had come.",
            "hold what is to be said until start is there",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "streamSid",
        )

"""
Messages carry the id of another stream: two calls share a variable, or an old id was kept.

Caller notices: silence, or another call's agent.
Why: state that should belong to a call is global.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Keep the stream's id with its call.
Reproduce: place two calls at once.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/foreign-stream-id",
    title="The stream id is another call's",
    decides=("F-051",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "foreign id")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)} carry {found[0].got}; this stream is {found[0].wanted}.",
            "keep the stream's id with its call",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "streamSid",
        )

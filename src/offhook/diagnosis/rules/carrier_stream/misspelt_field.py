"""
Messages to the carrier name the stream in a spelling that it does not read; it drops them.

Caller notices: silence, while everything is green.
Why: another carrier's spelling, or a serializer that makes snake_case of every name.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Send the field as streamSid.
Reproduce: rename the field in the serializer.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/misspelt-field",
    title="The field is stream_sid instead of streamSid",
    decides=("F-049",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "misspelt id")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)} had {found[0].got}; the carrier reads {found[0].wanted} and plays none of them.",
            "send the field as streamSid",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "streamSid",
        )

"""
The payload was encoded twice, with another alphabet, or is no base64 at all.

Caller notices: silence, or noise.
Why: two layers that both encode.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Encode the bytes once, in the standard alphabet.
Reproduce: encode twice.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/payload-encoding",
    title="The payload is not plain base64 of audio",
    decides=("F-055",),
    explains=("media/not-pcmu", "turns/no-answer"),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "payload")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)}: the payload is {found[0].got}, wanted {found[0].wanted}.",
            "encode the bytes once, in the standard alphabet",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "media.payload",
        )

"""
Twilio reads text messages; binary ones are an error.

Caller notices: silence.
Why: a serializer that returns bytes. (Vonage is the reverse: there audio must be binary.)
Proof: the messages themselves, as the carrier's side judged them.
Fix: Send text frames.
Reproduce: send bytes.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/binary-frames",
    title="Frames are binary instead of text",
    decides=("F-053",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31950",
    source="twilio.com/docs/api/errors/31950",
    since="2026-11-25",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "binary")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)} were binary; the carrier reads text.",
            "send text frames",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "opcode",
        )

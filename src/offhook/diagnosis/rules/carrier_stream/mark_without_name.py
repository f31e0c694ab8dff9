"""
A mark needs mark.name, a clear only its stream's id; what is otherwise is dropped, and no mark comes back.

Caller notices: nothing; but what was heard is not known, and a barge-in cuts wrongly.
Why: a message that was built by hand.
Proof: the messages themselves, as the carrier's side judged them.
Fix: Send mark with mark.name.
Reproduce: send a mark without its object.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistakes, share
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/mark-without-name",
    title="A mark or clear has the wrong shape",
    decides=("F-054",),
    explains=("turns/no-answer",),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-25",
    breaks="M17",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = mistakes(view, "mark")
    if found:
        yield RULE.finding(
            found[0],
            f"{share(view, found)}: {found[0].message} with {found[0].field or 'itself'} = {found[0].got}.",
            "send mark with mark.name",
            observable=f"{found[0].message}: {found[0].got}",
            field=found[0].field or "mark",
        )

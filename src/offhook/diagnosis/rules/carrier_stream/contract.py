"""
A message to the carrier breaks its contract in a way that no closer rule names.

Caller notices: silence, or nothing: the carrier drops the message and plays the others.
Why: a field, a value or an event that the carrier does not take.
Proof: the message, its field, what it was and what was wanted.
Fix: send what is documented.
Reproduce: `offhook dial` against a server that sends it.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.carrier_messages import mistake
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/contract",
    title="A message breaks the carrier's contract",
    explains=("carrier:31951", "carrier:31950", "carrier:31924"),
    lies="the carrier logs 31951 once and names no field",
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-24",
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    ours = [v for v in view.violations if v.leg == "carrier" and v.outbound and mistake(v) in ("other", "one-way")]
    theirs = [v for v in view.violations if v.leg == "carrier" and not v.outbound]
    for found in (ours, theirs):
        broken = found[0] if found else None
        if broken is None:
            continue
        who = "The server sent" if found is ours else "The carrier's side sent"
        what = broken.field or "its frame"
        yield RULE.finding(
            broken,
            f"{who} {broken.message} with {what} = {broken.got}, wanted {broken.wanted}.",
            "mend the server's serializer" if found is ours else "mend whatever stands between the carrier and here",
            observable=f"{broken.field or broken.message}: {broken.got}",
            severity="fault" if found is ours else "note",
            field=broken.field or "",
        )

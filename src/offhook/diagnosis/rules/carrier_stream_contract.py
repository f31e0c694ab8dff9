"""
A message of the carrier's wire breaks its contract: misspelt field, foreign stream, broken payload.

Twilio reports 31951 once for it and names no field. What the peer sent wrongly but unambiguously was read all the same.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="carrier-stream/contract",
    title="A message breaks the carrier's contract",
    explains=(),
    source="twilio.com/docs/api/errors/31951",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for line in call.violations():
        if line.data.get("wire") != "twilio":
            continue
        ours = line.data.get("by") == "us"
        who = "We were about to send" if ours else "The carrier's side sent"
        yield RULE.finding(
            line.number,
            f"{who} {line.data.get('message')} with {line.data.get('field') or 'its frame'} = {line.data.get('got')}, "
            f"wanted {line.data.get('wanted')}.",
            "report it: this is a defect of Offhook" if ours else "mend whatever stands between the carrier and here",
            observable=f"{line.data.get('field') or line.data.get('message')}: {line.data.get('got')}",
            severity="fault" if ours else "note",
        )
        return

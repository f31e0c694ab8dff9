"""
The request that ends the call at the carrier failed; the stream was closed instead.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="call-control/rest-failed",
    title="Ending the call by REST failed",
    explains=(),
    source="twilio.com/docs/voice/api/call-resource",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("rest.result"):
        if not note.data.get("done"):
            status = note.data.get("status")
            fix = (
                "check TWILIO_ACCOUNT_SID and its token"
                if status in (401, 403)
                else "look at the network to the carrier"
            )
            yield RULE.finding(
                note.number,
                f"The carrier did not end the call by REST (HTTP {status}, code {note.data.get('code')}).",
                fix,
                observable=f"HTTP {status}",
            )

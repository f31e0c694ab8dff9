"""
The caller was given to somebody who did not take the call.

Caller notices: ringing, or a busy tone, then the agent again or a spoken line.
Why: busy, nobody there, a number that does not exist or may not be called.
Proof: the carrier's word when the leg had ended.
Fix: another target, or hours in which it answers; `failed` in the transfer says what becomes of the caller.
Reproduce: transfer to a number that is busy.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="call-control/transfer-not-taken",
    title="Nobody took the transferred caller",
    lies="the transfer was made as asked: REST says so",
    source="twilio.com/docs/voice/twiml/dial#dialcallstatus",
    since="2026-11-25",
    needs=("bridge",),
)
WORDS = {"busy": "the line was busy", "no-answer": "nobody answered", "failed": "it could not be called"}


def find(view: Evidence) -> Iterator[Finding]:
    for transfer in view.transfers:
        if transfer.state in WORDS:
            more = f" ({transfer.detail})" if transfer.detail else ""
            yield RULE.finding(
                transfer,
                f"The caller was given away and nobody took them: {WORDS[transfer.state]}{more}.",
                "another target, or the hours in which it answers",
                observable=f"DialCallStatus {transfer.state}",
                severity="far-end",
            )

"""
A stream's URL begins with wss://; ws, http and https are refused, and a relative URL is none.

Caller notices: an application error is read out.
Why: the URL of the webhook was reused.
Proof: the document as it was sent.
Fix: Write wss://.
Reproduce: write ws://.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/stream-not-wss",
    title="The stream's URL is not wss",
    decides=("F-034",),
    lies="the webhook answered 200",
    source="twilio.com/docs/api/errors/31922",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.ok is False and doc.code in ("31922", "31923"):
            yield RULE.finding(
                doc,
                f"The stream's URL must begin with wss://: {doc.why or doc.stream.scheme}.",
                "write wss://",
                observable=f"scheme {doc.stream.scheme}",
                field="url",
            )
            return

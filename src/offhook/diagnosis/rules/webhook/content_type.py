"""
The document is right, but its content type is not one that the carrier reads as TwiML.

Caller notices: an application error is read out.
Why: a framework's default is JSON.
Proof: the document as it was sent.
Fix: Send Content-Type: text/xml.
Reproduce: answer with application/json.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/content-type",
    title="The webhook answers with another content type",
    decides=("F-032",),
    lies="the webhook answered 200 and the document is right",
    source="twilio.com/docs/api/errors/12300",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.ok is False and doc.code == "12300":
            yield RULE.finding(
                doc,
                f"The answer's type is not TwiML's: {doc.why}.",
                "send Content-Type: text/xml",
                observable=f"code {doc.code}",
                field="Content-Type",
            )
            return

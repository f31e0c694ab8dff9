"""
A fetched document may have 64 kB, one that is sent with a REST request 4,000 characters.

Caller notices: an application error is read out.
Why: parameters that grew.
Proof: the document as it was sent.
Fix: Send fewer parameters; keep what is long in a store.
Reproduce: put 70 kB of parameters into it.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/twiml-too-long",
    title="The TwiML is too long",
    decides=("F-041",),
    lies="the webhook answered 200",
    source="twilio.com/docs/api/errors/11750",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.code in ("11750", "32018") or (doc.inline and doc.chars > 4000):
            yield RULE.finding(
                doc,
                f"The TwiML is too long: {doc.why or doc.chars}.",
                "send fewer parameters; keep what is long in a store",
                observable=f"code {doc.code}",
                field="",
            )
            return

"""
The document is no XML: an & that was not escaped, an empty line before the declaration, an error page.

Caller notices: an application error is read out.
Why: text was put into XML without escaping it.
Proof: the document as it was sent.
Fix: Escape &, < and quotes; send nothing before the declaration.
Reproduce: put an & into the stream's URL.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/twiml-not-well-formed",
    title="The TwiML is not well-formed",
    decides=("F-031",),
    lies="the webhook answered 200",
    source="twilio.com/docs/api/errors/12100",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.ok is False and (doc.code == "12100" or "well-formed" in doc.why):
            yield RULE.finding(
                doc,
                f"The TwiML cannot be parsed: {doc.why}.",
                "escape &, < and quotes; send nothing before the declaration",
                observable=f"code {doc.code}",
                field="",
            )
            return

"""
TwiML is case-sensitive: <stream> is not <Stream>, Url is not url.

Caller notices: an application error is read out.
Why: HTML forgives it, TwiML does not.
Proof: the document as it was sent.
Fix: Spell verbs and attributes as documented, case included.
Reproduce: send <stream>.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/misspelt-verb",
    title="A verb or attribute is misspelt",
    decides=("F-033",),
    lies="the webhook answered 200; the carrier only warns, and goes on without the verb",
    source="twilio.com/docs/api/errors/12200",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.ok is False and doc.code == "12200":
            yield RULE.finding(
                doc,
                f"The TwiML has a name that does not exist: {doc.why}.",
                "spell verbs and attributes as documented, case included",
                observable=f"unknown: {doc.unknown[0] if doc.unknown else doc.code}",
                field="",
            )
            return

"""
The request carries bodySHA256: its body is signed as a hash, and its parameters are no form.

Caller notices: an application error is read out.
Why: one routine for both kinds of requests, or a body that was encoded anew before it was checked.
Proof: the oracle: the one variant of the URL, body, algorithm or secret for which the signature is right.
Fix: Check bodySHA256 against the raw body, and sign the URL alone.
Reproduce: send a JSON webhook.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/body-signature",
    title="A JSON body is checked as a form",
    decides=("F-030",),
    explains=("webhook/not-served",),
    lies="the carrier logs 11200 for the 403, as for any other error",
    source="twilio.com/docs/usage/webhooks/webhooks-security",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)
VARIANTS = ("body",)


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        if hook.signature.ok is False and hook.signature.differs_in(*VARIANTS) and not view.answered:
            yield RULE.finding(
                hook,
                "The signature is right for the URL and the body's hash; it was checked as a form's.",
                "check bodySHA256 against the raw body, and sign the URL alone",
                observable=f"signature: {hook.signature.variant or 'no variant matches'}",
                field="X-Twilio-Signature",
            )
            return

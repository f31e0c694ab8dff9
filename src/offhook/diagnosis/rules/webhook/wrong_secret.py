"""
The signature matches no variant of the URL with the token that is configured: the token is another one.

Caller notices: an application error is read out.
Why: a token that was rotated, or that of a subaccount.
Proof: the oracle: the one variant of the URL, body, algorithm or secret for which the signature is right.
Fix: Set the Auth Token of the account that owns the number.
Reproduce: sign with another token.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/wrong-secret",
    title="The carrier's token is wrong, or of another account",
    decides=("F-023",),
    explains=("webhook/not-served",),
    lies="the carrier logs 11200 for the 403, as for any other error",
    source="twilio.com/docs/usage/webhooks/webhooks-security",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)
VARIANTS = ("", "secret")


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        if hook.signature.ok is False and hook.signature.differs_in(*VARIANTS) and not view.answered:
            yield RULE.finding(
                hook,
                "The signature matches no variant of the URL with this token: it is another account's, or was rotated.",
                "set the Auth Token of the account that owns the number",
                observable=f"signature: {hook.signature.variant or 'no variant matches'}",
                field="X-Twilio-Signature",
            )
            return

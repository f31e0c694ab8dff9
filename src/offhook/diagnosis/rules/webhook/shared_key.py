"""
The account signs with a shared key and SHA-256, and says so in a header; the server checks with SHA-1 and the token.

Caller notices: an application error is read out.
Why: the account's signature settings were changed.
Proof: the oracle: the one variant of the URL, body, algorithm or secret for which the signature is right.
Fix: Configure carrier.shared_key_id and carrier.shared_key.
Reproduce: sign with HMAC_SHA256 and announce it.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/shared-key",
    title="Webhooks are signed with a shared key",
    decides=("F-024",),
    explains=("webhook/not-served",),
    lies="the carrier logs 11200 for the 403, as for any other error",
    source="twilio 9.13.0 request_validator.py",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)
VARIANTS = ("algorithm", "key")


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        if hook.signature.ok is False and hook.signature.differs_in(*VARIANTS) and not view.answered:
            yield RULE.finding(
                hook,
                "The request is signed with a shared key (SHA-256); the Auth Token cannot verify it.",
                "configure carrier.shared_key_id and carrier.shared_key",
                observable=f"signature: {hook.signature.variant or 'no variant matches'}",
                field="X-Twilio-Signature",
            )
            return

"""
The signature is right for another spelling of the URL: the server sees what a proxy made of it.

Caller notices: an application error is read out.
Why: a proxy ends TLS, or changes host, port or path.
Proof: the oracle: the one variant of the URL, body, algorithm or secret for which the signature is right.
Fix: Set the public URL to what the number is configured with; do not take it from the request.
Reproduce: let a proxy end TLS and check the URL as it arrives.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/another-url-signed",
    title="The signature is for another URL than the server checks",
    decides=("F-029",),
    explains=("webhook/not-served",),
    lies="the carrier logs 11200 for the 403, as for any other error",
    source="twilio.com/docs/usage/webhooks/webhooks-security",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)
VARIANTS = ("scheme", "host", "port", "slash", "query")


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        if hook.signature.ok is False and hook.signature.differs_in(*VARIANTS) and not view.answered:
            yield RULE.finding(
                hook,
                f"The signature is right, but for another {hook.signature.variant} of the URL than the server sees.",
                "set the public URL to what the number is configured with; do not take it from the request",
                observable=f"signature: {hook.signature.variant or 'no variant matches'}",
                field="X-Twilio-Signature",
            )
            return

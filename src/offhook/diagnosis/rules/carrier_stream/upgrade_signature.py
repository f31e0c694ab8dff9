"""
The upgrade is signed for the wss:// URL of the TwiML; it was checked against another spelling.

Caller notices: an answered call that ends at once.
Why: the webhook's check was reused: https for wss, or a slash.
Proof: the variant for which the signature is right.
Fix: check the upgrade against the stream's URL as the TwiML has it.
Reproduce: check it against https://.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/upgrade-signature",
    title="The upgrade's signature is checked against another URL",
    decides=("F-064",),
    lies="the carrier logs 31920; webhooks are well",
    source="twilio.com/docs/usage/webhooks/webhooks-security",
    since="2026-11-25",
    breaks="M5",
)


def find(view: Evidence) -> Iterator[Finding]:
    for upgrade in view.upgrades:
        if upgrade.signature.ok is False:
            variant = upgrade.signature.variant
            known = variant not in ("", "secret")
            said = f"right for another {variant} of the URL" if known else "right for no variant of the URL"
            yield RULE.finding(
                upgrade,
                f"The signature of the upgrade is {said}; the carrier signs the wss:// URL of the TwiML.",
                "check it against the stream's URL, exactly as it stands in the TwiML",
                observable=f"signature: {variant or 'no variant matches'}",
                field="X-Twilio-Signature",
            )
            return

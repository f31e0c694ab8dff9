"""
The server's certificate is expired, self-signed, for another name, or sent without its intermediate.

Caller notices: an application error is read out, or an answered call that ends at once.
Why: a renewal that failed, or a chain that only browsers complete.
Proof: the carrier's connection failed in TLS, or its alert says so.
Fix: renew it; install the full chain.
Reproduce: serve an expired certificate.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/certificate",
    title="The certificate is not accepted",
    decides=("F-010",),
    explains=("webhook/*", "carrier-stream/not-started"),
    lies="this process saw nothing; browsers may accept the same certificate",
    source="twilio.com/docs/api/errors/11237",
    since="2026-11-25",
    breaks="M1",
)
CODES = ("11220", "11235", "11236", "11237", "31910")


def find(view: Evidence) -> Iterator[Finding]:
    alert = view.alerted(*CODES)
    hook = next((hook for hook in view.hooks if hook.failed.startswith("tls")), None)
    upgrade = next((u for u in view.upgrades if u.status in (0, None) and u.why.startswith("tls")), None)
    guilty = hook or upgrade or (alert if not view.carrier_up else None)
    if guilty is not None:
        why = f" ({alert.text})" if alert is not None and alert.text else ""
        yield RULE.finding(
            guilty,
            f"The carrier does not accept the server's certificate{why}.",
            "`offhook check public` says what is wrong with it: expired, another name, or no full chain",
            observable=f"TLS failed{f', alert {alert.code}' if alert else ''}",
        )

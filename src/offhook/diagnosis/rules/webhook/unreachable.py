"""
The carrier could not open a connection to the webhook at all.

Caller notices: an application error is read out.
Why: the server is down, a firewall, a name that does not resolve.
Proof: the phase in which the carrier's connection failed.
Fix: let the address resolve, and the port be open to the internet.
Reproduce: stop the server and call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/unreachable",
    title="The carrier cannot reach the webhook",
    decides=("F-026",),
    lies="the server's log is empty: nothing arrived",
    source="twilio.com/docs/api/errors/11205",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M1",
)
CODES = ("11201", "11202", "11205", "11210")


def find(view: Evidence) -> Iterator[Finding]:
    failed = next((hook for hook in view.hooks if hook.failed in ("dns", "tcp", "refused", "connect")), None)
    alert = view.alerted(*CODES) if not any(hook.status for hook in view.hooks) else None
    guilty = failed or alert
    if guilty is not None and not any(hook.status for hook in view.hooks):
        phase = failed.failed if failed else f"alert {alert.code}" if alert else ""
        yield RULE.finding(
            guilty,
            f"The carrier could not connect to the webhook ({phase}); no request reached the server.",
            "`offhook check public` says where the way ends",
            observable=f"failed in {phase}",
        )

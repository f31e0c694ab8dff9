"""
The carrier did not take the request for a call: the number's form, permissions, balance.

Caller notices: nobody is called.
Why: by its code.
Proof: the REST answer.
Fix: by its code; `offhook explain CODE`.
Reproduce: answer the request with 21215.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="call-control/call-refused",
    title="The carrier refuses the outbound call",
    decides=("F-157",),
    explains=("webhook/*", "carrier-stream/*"),
    lies="nothing arrives here: there is no call",
    source="twilio.com/docs/api/errors/21215",
    since="2026-11-25",
    breaks="M1",
)


def find(view: Evidence) -> Iterator[Finding]:
    for rest in view.rest:
        if rest.op == "create" and not rest.ok:
            yield RULE.finding(
                rest,
                f"The carrier refused the call: HTTP {rest.http}, code {rest.code}.",
                f"`offhook explain {rest.code}` says what it means" if rest.code else "check the carrier's credentials",
                observable=f"code {rest.code or rest.http}",
            )
            return

"""
The request that ends the call at the carrier failed; the stream was closed instead.

Caller notices: nothing, or a line that stays open.
Why: missing or wrong credentials, another region; a call that is already over is no fault.
Proof: the REST answer's status and code.
Fix: check TWILIO_ACCOUNT_SID and its token.
Reproduce: answer the REST request with 401.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="call-control/hang-up-refused",
    title="Ending the call by REST failed",
    decides=("F-159",),
    lies="the call looks well: only its end went another way",
    source="twilio.com/docs/voice/api/call-resource",
    since="2026-11-24",
    needs=("bridge",),
)
GONE = (20404, 21220)  # the call is already over


def find(view: Evidence) -> Iterator[Finding]:
    for rest in view.rest:
        if rest.op != "hang-up" or rest.ok or rest.code in GONE or rest.http == 404:
            continue
        refused = rest.http in (401, 403)
        code = f", code {rest.code}" if rest.code else ""
        why = f" ({rest.detail})" if rest.detail else ""
        said = f"did not answer{why}" if rest.http is None else f"answered HTTP {rest.http}{code}"
        yield RULE.finding(
            rest,
            f"The call was not ended by REST: the carrier {said}.",
            "check TWILIO_ACCOUNT_SID and its token"
            if refused
            else "look at the network to the carrier, and at carrier.rest_url where it is set",
            observable=f"HTTP {rest.http}" if rest.http else "no answer",
        )

"""
The carrier did not take the request that gives the caller to somebody else.

Caller notices: "I put you through", and nothing happens; the agent comes back.
Why: wrong credentials, another region, or a document that the carrier refuses.
Proof: the REST answer's status and code.
Fix: by its code; `offhook explain CODE`.
Reproduce: answer the request with 401.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="call-control/transfer-refused",
    title="The carrier refused the transfer",
    decides=("F-159",),
    lies="the agent says that it puts the caller through",
    source="twilio.com/docs/voice/api/call-resource",
    since="2026-11-25",
    needs=("bridge",),
)
GONE = (20404, 21220)  # the call is already over


def find(view: Evidence) -> Iterator[Finding]:
    for rest in view.rest:
        if rest.op != "update" or rest.ok or rest.code in GONE:
            continue
        code = f", code {rest.code}" if rest.code else ""
        said = "did not answer" if rest.http is None else f"answered HTTP {rest.http}{code}"
        refused = rest.http in (401, 403)
        yield RULE.finding(
            rest,
            f"The transfer was refused: the carrier {said}.",
            "check TWILIO_ACCOUNT_SID and its token"
            if refused
            else "`offhook explain CODE`; the network to the carrier",
            observable=f"HTTP {rest.http}" if rest.http else "no answer",
        )

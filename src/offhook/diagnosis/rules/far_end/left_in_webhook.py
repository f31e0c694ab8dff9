"""
The caller was gone before the carrier had read the webhook's answer: nobody's fault.

Caller notices: nothing; they have left.
Why: people hang up while it rings.
Proof: the webhook was answered well, the carrier neither tried to open the stream nor complained of it, and streams of
other calls came up on this server. Where none did, the way of the stream may be closed: then it is not proven.
Fix: nothing to mend; a status callback at the number says how each call ended.
Reproduce: hang up 10 ms after the call was placed.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/left-in-webhook",
    title="The caller left during the webhook",
    lies="the end says that no stream followed, as if the stream's way were closed",
    source="twilio.com/docs/voice/api/call-resource#call-status-values: a caller who leaves while it rings, 2026-11-22",
    since="2026-11-26",
    needs=("bridge",),
)


def find(view: Evidence) -> Iterator[Finding]:
    missed = view.left_in_webhook
    if missed is not None:
        yield RULE.finding(
            missed,
            "The caller hung up while the webhook was answered: the carrier did not try to open the stream.",
            "nothing to mend; a status callback at the number says how each call ended",
            observable=f"webhook answered, no upgrade in {missed.waited_ms / 1000:.0f} s, no complaint",
            severity="far-end",
            proof="consistent with",
        )

"""
The carrier's stream ended, and the provider session ran on.

Caller notices: nothing; the bill grows.
Why: stop is not handled, or only a close is waited for.
Proof: the stream's end, and no end of the session behind it.
Fix: end the session at stop and at close, whichever comes first.
Reproduce: send stop and keep the connection open.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/session-outlives-call",
    title="The end of the stream does not end the provider session",
    decides=("F-062",),
    lies="nothing: the call is over and well",
    source="openclaw/openclaw: leaked sessions",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M19",
)
LEAK_MS = 5000


def find(view: Evidence) -> Iterator[Finding]:
    ended = view.carrier_in.stop or view.closed("carrier")
    if ended is None or not view.opened_provider or view.recording.end is None:
        return
    if any(transfer.at_ms >= ended.at_ms - 1.0 for transfer in view.transfers):
        return  # kept while it rings elsewhere, for a caller whom nobody takes
    gone = view.closed("provider")
    seen = any(close.leg == "provider" for close in view.closes) or view.source != "bridge"
    until = gone.at_ms if gone is not None else view.length_ms
    if seen and until - ended.at_ms > LEAK_MS and (gone is None or gone.by == "us"):
        still = "was still open at the end of the record" if gone is None else "was closed"
        yield RULE.finding(
            ended,
            f"The provider session {still} {(until - ended.at_ms) / 1000:.0f} s after the stream had ended.",
            "end the session when the carrier says stop, or closes",
            observable="stop, and no close of the provider",
        )

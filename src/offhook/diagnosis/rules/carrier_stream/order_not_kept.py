"""
The carrier does not promise the order of frames, and frames came out of order.

Caller notices: crackle.
Why: Twilio keeps the order, so nobody looks at it.
Proof: sequence numbers that go back, while none is missing.
Fix: order by sequence number.
Reproduce: swap every fortieth pair of frames.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/order-not-kept",
    title="Frames are used in the order of their arrival",
    decides=("F-166",),
    lies="nothing: no frame is missing",
    source="developers.telnyx.com: media streaming promises no order, checked 2026-11-22",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M10",
)


def find(view: Evidence) -> Iterator[Finding]:
    came = view.carrier_in
    if came.reordered > 3 and came.lost == 0:
        yield RULE.finding(
            came.audio.line,
            f"{came.reordered} frames came out of order.",
            "order frames by their sequence number before they are used",
            observable=f"{came.reordered} sequence numbers went back",
            severity="fault" if view.carrier_in.start and view.carrier_in.start.dialect == "telnyx" else "note",
            field="sequence_number",
        )

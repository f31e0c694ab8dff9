"""
Frames of the caller came out of order, and nobody put them right.

Caller notices: crackle; the agent mishears.
Why: a carrier that does not promise the order, or something in between that hands frames on in its own.
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
    source="developers.telnyx.com: media streaming promises no order; Twilio numbers as it sends, 2026-11-22",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M10",
)

AT_LEAST, SHARE = 3, 0.005  # a frame or two is not heard


def find(view: Evidence) -> Iterator[Finding]:
    came = view.carrier_in
    if came.reordered > AT_LEAST and came.reordered > came.lost:
        heard = came.reordered >= SHARE * came.audio.frames
        yield RULE.finding(
            came.audio.line,
            f"{came.reordered} of {came.audio.frames} frames came out of order.",
            "order frames by their sequence number before they are used",
            observable=f"{came.reordered} sequence numbers went back",
            severity="fault" if heard else "note",
            field="sequenceNumber",
        )

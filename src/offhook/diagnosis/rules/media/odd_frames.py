"""
Audio is sent in pieces that are not whole frames of 20 ms.

Caller notices: a dull crackle, or nothing.
Why: the provider's pieces are passed on as they come, in any size.
Proof: the share of messages that are no multiple of 160 bytes.
Fix: keep what is left over and send whole frames.
Reproduce: send pieces of 37 bytes.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/odd-frames",
    title="Audio is sent in broken frames",
    decides=("F-136",),
    lies="every byte arrives",
    source="twilio.com/docs/voice/media-streams: 20 ms frames of 160 bytes; openclaw reports in the catalogue",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M16",
)
SHARE = 0.5  # a last piece that is not whole is usual; half of all is not
AT_LEAST = 20


def find(view: Evidence) -> Iterator[Finding]:
    figures = view.carrier_out.figures
    frames, odd = figures.get("frames"), figures.get("not_whole")
    if not isinstance(frames, int) or not isinstance(odd, int) or frames < AT_LEAST or odd < SHARE * frames:
        return
    size = view.carrier_out.audio.bytes / frames
    yield RULE.finding(
        view.carrier_out.first or view.carrier_out.audio.line,
        f"{odd} of {frames} pieces are no multiple of 160 bytes ({size:.0f} bytes on average).",
        "keep what is left over, and send whole frames of 20 ms",
        observable=f"{odd} of {frames} not whole",
        field="media.payload",
    )

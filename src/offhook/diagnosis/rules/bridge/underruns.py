"""
Audio waits in the program while the carrier runs dry: the pacing is slower than the speech.

Caller notices: choppy, warbling or slowed speech.
Why: each frame is followed by a sleep of 20 ms, so that the cost of sending adds up; or the program stood still.
Proof: gaps at the carrier while more of the same response was at hand.
Fix: pace against an absolute clock, and stay a little ahead.
Reproduce: 24 ms from frame to frame.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import number

RULE = Rule(
    id="bridge/underruns",
    title="The agent's audio is sent slower than it plays",
    decides=("F-075",),
    lies="the provider's audio arrives smooth and early",
    source="openclaw/openclaw#119070; eigger/hass-sip#46",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M16",
)
GAPS, BEHIND_MS = 5, 200  # a jitter buffer hides less


def find(view: Evidence) -> Iterator[Finding]:
    gaps, behind = view.carrier_out.underruns or 0, number(view.carrier_out.figures, "behind_ms") or 0
    still = max((lag.ms for lag in view.lags), default=0.0)
    if behind < BEHIND_MS or (gaps < GAPS and behind < still * 0.5) or not gaps:
        return
    speech_s = view.carrier_out.audio.bytes / 8000
    why = f", while the process stood still for {still / 1000:.1f} s" if still >= behind * 0.5 else ""
    yield RULE.finding(
        view.carrier_out.audio.line,
        f"The output fell behind: {speech_s:.1f} s of speech took {behind / 1000:.1f} s more to send, in {gaps} "
        f"gaps{why}.",
        "mend what blocks first" if why else "pace against an absolute clock, not by a sleep after each frame",
        observable=f"{gaps} underruns with audio at hand, {behind:.0f} ms in all",
    )

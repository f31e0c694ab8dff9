"""
On some outbound and SIP legs nothing is heard before the callee has spoken: the media path is not open yet.

Caller notices: an agent that seems to begin in the middle.
Why: a trunk that opens with the first packet of the callee.
Proof: none from here: audio was sent at once, and the line was digitally silent until the callee spoke.
Fix: wait half a second, or for a hello, before the greeting.
Reproduce: drop what is sent before the first packet of the callee.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/early-media-lost",
    title="The first words may not have been heard",
    decides=("F-164",),
    lies="marks come back, so everything was played",
    source="SIP trunks drop early media; reported, not provable from the two wires",
    since="2026-11-25",
    needs=("carrier",),
)
AT_ONCE_MS, SHARE = 500, 0.5


def find(view: Evidence) -> Iterator[Finding]:
    start, first = view.carrier_in.start, view.carrier_out.first_media_ms
    audio = view.carrier_in.audio
    if not str(view.recording.begin.get("direction")).startswith("outbound") or start is None or first is None:
        return
    spoke = view.provider.speech[0].at_ms if view.provider.speech else view.length_ms
    waited = audio.measured and SHARE < audio.silent_share < 0.99
    if first - start.at_ms < AT_ONCE_MS and waited and spoke - first > 2000:
        yield RULE.finding(
            view.carrier_out.first or start,
            "The greeting was sent at once, and the line stayed digitally silent until the callee spoke.",
            "delay the greeting by half a second, or wait for a hello; ask somebody who was called",
            observable=f"first audio {first - start.at_ms:.0f} ms after start, {audio.silent_share:.0%} silence",
            severity="suspicion",
            proof="not provable from here",
        )

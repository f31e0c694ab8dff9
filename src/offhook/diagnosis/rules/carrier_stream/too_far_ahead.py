"""
Far more audio was sent than can be played in any sensible time: a loop without pacing, or audio that no barge-in
clears.

Caller notices: an agent that cannot be interrupted.
Why: the provider delivers faster than it is played, and nobody keeps count.
Proof: bytes sent, less what time can have played.
Fix: clear at a barge-in; bound what is sent ahead.
Reproduce: let the provider send twelve minutes.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/too-far-ahead",
    title="Minutes of audio wait at the carrier",
    decides=("F-061",),
    lies="nothing is logged below ten minutes, then 31931",
    source="twilio.com/docs/api/errors/31931",
    since="2026-11-25",
    breaks="M17",
)
FAR_MS = 120_000


def find(view: Evidence) -> Iterator[Finding]:
    ahead = view.carrier_out.ahead_max_ms
    noted = next(iter(view.recording.notes("downlink.too-far-ahead")), None)
    if noted is not None:
        ahead = max(ahead, noted.figure("unplayed_ms"))
    if ahead >= FAR_MS:
        cleared = "" if view.carrier_out.clears else ", and nothing was ever cleared"
        yield RULE.finding(
            noted.number if noted is not None else view.carrier_out.audio.line,
            f"The output was {ahead / 60_000:.1f} min ahead of what the caller heard{cleared}.",
            "clear when the caller speaks, and bound what is sent ahead",
            observable=f"{ahead:.0f} ms unplayed",
        )

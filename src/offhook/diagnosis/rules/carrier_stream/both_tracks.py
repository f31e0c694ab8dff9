"""
Both tracks of the call come on the stream, and both were sent to the model: it hears itself.

Caller notices: an agent that interrupts itself, or never answers.
Why: track=both_tracks, and nobody looks at media.track.
Proof: frames of the track outbound, and as many messages to the provider as both tracks have.
Fix: ask for the inbound track; drop frames of the other.
Reproduce: stream both tracks.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/both-tracks",
    title="The agent's own track goes to the model",
    decides=("F-069",),
    explains=("turns/unexplained", "turns/no-answer", "media/*", "provider-session/caller-not-detected"),
    lies="nothing: every frame is well",
    source="twilio.com/docs/voice/twiml/stream: track",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M10",
)


def find(view: Evidence) -> Iterator[Finding]:
    own, caller = view.carrier_in.tracks.get("outbound", 0), view.carrier_in.tracks.get("inbound", 0)
    sent = view.provider.appended.frames
    if own > 50 and (not view.saw("provider") or sent > caller + own / 2):
        yield RULE.finding(
            view.carrier_in.audio.line,
            f"{own * 100 // max(1, own + caller)} % of the audio that went to the model was the agent's own.",
            "ask for track inbound_track, and drop frames whose track is outbound",
            observable=f"{own} frames of the track outbound",
            field="media.track",
        )

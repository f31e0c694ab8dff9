"""
The carrier delivers frames of nothing: the caller is muted, or a SIP leg's audio does not arrive.

Caller notices: the agent does not hear them.
Why: mute, or a firewall that drops RTP.
Proof: every frame was digital silence, for the whole call.
Fix: look at the caller's side; on SIP legs at NAT and RTP.
Reproduce: send 0xFF only.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/line-digitally-silent",
    title="The caller's line is digitally silent",
    decides=("F-163",),
    lies="frames come in full number; the agent seems deaf",
    source="a live line has comfort noise; digital silence is made by machines",
    since="2026-11-25",
    needs=("carrier",),
)
SHARE, LOOKS = 0.99, 100  # 10 s of the call


def find(view: Evidence) -> Iterator[Finding]:
    audio = view.carrier_in.audio
    speaks_otherwise = view.carrier_in.digits or view.inside.typed
    if audio.measured >= LOOKS and audio.silent_share >= SHARE and not speaks_otherwise:
        yield RULE.finding(
            audio.line,
            f"The carrier delivered {audio.frames * 20 / 1000:.0f} s of digital silence: nothing was captured there.",
            "look at the caller's side: mute; on SIP legs NAT and RTP",
            observable=f"{audio.silent} of {audio.measured} looks digital silence",
            severity="far-end",
        )

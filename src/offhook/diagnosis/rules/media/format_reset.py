"""
A later session.update put the audio formats back to the provider's defaults in the middle of the call.

Caller notices: a normal call that turns into noise, or an agent that goes deaf, at a hand-over.
Why: the next agent's session was sent without the formats of the line.
Proof: the two confirmations beside each other.
Fix: send the line's formats with every session.update.
Reproduce: a second session.update with default formats.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/format-reset",
    title="A later update reset the audio formats",
    decides=("F-139",),
    explains=(
        "media/uplink-format",
        "media/downlink-rate",
        "media/not-pcmu",
        "provider-session/format-not-applied",
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "provider-session/unexplained",
        "turns/*",
    ),
    lies="both updates were confirmed",
    source="openai/openai-agents-python#1466 and others in the fault catalogue",
    since="2026-11-25",
    needs=("provider",),
    breaks="M10",
)


def find(view: Evidence) -> Iterator[Finding]:
    echoes = [told for told in view.provider.sessions if told.kind == "updated"]
    for before, after in zip(echoes, echoes[1:], strict=False):
        for side in ("input", "output"):
            was, now = session.audio_format(before.data, side), session.audio_format(after.data, side)
            if was is not None and now is not None and was != now:
                yield RULE.finding(
                    after,
                    f"At {after.at_ms / 1000:.1f} s a session.update changed audio.{side}.format from {was[0]} at "
                    f"{was[1]} Hz to {now[0]} at {now[1]} Hz, in the middle of the call.",
                    "send the line's formats with every session.update",
                    observable=f"audio.{side}.format: {was[0]} -> {now[0]}",
                    field=f"session.audio.{side}.format",
                )
                return

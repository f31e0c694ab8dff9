"""
Audio of a response that was cut off is sent behind the clear.

Caller notices: blips of old speech after an interruption.
Why: the provider's last pieces are on their way when the caller interrupts.
Proof: audio to the carrier after clear, while no other response had begun.
Fix: remember which response was cut off, and drop its audio.
Reproduce: a provider that sends 400 ms more after the interruption.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import barge_ins

RULE = Rule(
    id="bridge/late-audio-sent",
    title="Audio of a cancelled response is sent after the clear",
    decides=("F-078",),
    lies="it looks as if the carrier's clear did not work",
    source="GetStream/Vision-Agents#527; openai/openai-agents-js#1608",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M16",
)
AT_LEAST = 2  # one may cross the clear on its way


def find(view: Evidence) -> Iterator[Finding]:
    late = [(barge, began) for barge, began in barge_ins(view) if barge.late_frames >= AT_LEAST]
    if not late:
        return
    barge, began = late[0]
    cut = next((response for response in view.provider.responses if response.id == barge.response), None)
    cancelled = cut is not None and cut.status == "cancelled"
    yield RULE.finding(
        began,
        f"{barge.late_frames} messages of audio were sent behind the clear of {barge.at_ms / 1000:.1f} s"
        + (f"; response {cut.id[-12:]} had been cancelled." if cancelled and cut else ", and no response had begun."),
        "drop the audio of the response that was interrupted",
        observable=f"audio after clear: {barge.late_frames} messages",
        proof="proven" if cancelled else "consistent with",
        field="media",
    )

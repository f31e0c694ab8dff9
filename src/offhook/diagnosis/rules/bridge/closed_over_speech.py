"""
The program closed the stream while the carrier still had speech to play.

Caller notices: the last words are cut off.
Why: the end is taken when the audio has been sent, or its length has been guessed, not when it was heard.
Proof: our close, with seconds of audio unplayed or marks not returned.
Fix: send a mark behind the last word and close when it comes back.
Reproduce: hang up right after a goodbye of five seconds that was sent in a fifth of one.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import unplayed_ms

RULE = Rule(
    id="bridge/closed-over-speech",
    title="The stream was closed over the agent's last words",
    decides=("F-076",),
    lies="the provider's response completed",
    source="bolna-ai/bolna#936, #926",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M19",
)
CUT_MS = 500.0


def find(view: Evidence) -> Iterator[Finding]:
    closed, left = view.closed("carrier"), unplayed_ms(view)
    if closed is None or closed.code != 1000 or left < CUT_MS:
        return
    if view.ending is not None and view.ending.wanted is False:
        return  # it had to end: what forced it is the fault
    talking = any(fact.at_ms > closed.at_ms - left for fact in view.provider.speech[-1:])
    if talking and not view.provider.speech_stopped:
        return
    open_marks = max(0, view.carrier_out.marks_sent - view.carrier_out.marks_returned)
    marks = f"; {open_marks} marks had not come back" if open_marks else ""
    yield RULE.finding(
        closed,
        f"The stream was closed with {left / 1000:.1f} s of speech unplayed{marks}.",
        "send a mark behind the last word, and close when it comes back",
        observable=f"closed by us at {closed.at_ms / 1000:.1f} s, {left:.0f} ms unplayed",
    )

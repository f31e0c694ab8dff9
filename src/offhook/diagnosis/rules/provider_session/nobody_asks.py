"""
The caller's turn ends, and nobody asks for an answer: turn detection does not create responses, and the client neither.

Caller notices: the agent greets, then never answers.
Why: create_response is false, or turn detection is off, and response.create is never sent.
Proof: speech stopped, no response followed, no response.create was sent.
Fix: let turn detection create responses, or send response.create after each turn.
Reproduce: turn_detection.create_response = false.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/nobody-asks",
    title="Nobody asks for an answer",
    decides=("F-102",),
    explains=("turns/*",),
    lies="the provider reports every word it heard",
    source="openai-python 3.54.0 types/realtime: turn_detection.create_response",
    since="2026-11-25",
    needs=("provider",),
    breaks="M12",
)
PATIENCE_MS = 3000.0


def find(view: Evidence) -> Iterator[Finding]:
    asked = next((s for s in reversed(view.provider.sessions) if s.kind == "update"), None)
    if asked is None:
        return
    turns = session.turn_detection(asked.data)
    off = turns is None or (isinstance(turns, dict) and turns.get("create_response") is False)
    if not off:
        return
    for stopped in view.provider.speech_stopped:
        after = [fact for fact in (*view.provider.creates, *view.provider.responses) if fact.at_ms >= stopped.at_ms]
        if after or view.length_ms - stopped.at_ms < PATIENCE_MS:
            return
        yield RULE.finding(
            asked,
            "Turn detection was told to create no responses, and no response.create followed the caller's turn.",
            "set turn_detection.create_response = true, or send response.create when the caller has spoken",
            observable=f"speech_stopped at {stopped.at_ms / 1000:.1f} s, no response after it",
            field="session.audio.input.turn_detection",
        )
        return

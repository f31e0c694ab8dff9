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
from offhook.diagnosis.facts import Session

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
SPOKE_MS = 600  # as on the ladder


def find(view: Evidence) -> Iterator[Finding]:
    asked = next((s for s in reversed(view.provider.sessions) if s.kind == "update"), None)
    told = session.told(view)
    off = next((d for d in view.differences if d.field.endswith("turn_detection") and d.got == "null"), None)
    if off is not None:  # the comparison of asked and echoed says it where the record of the echo does not
        told = Session(line=off.line, at_ms=off.at_ms, kind="updated", data={"turn_detection": None})
    guilty = next((s for s in (asked, told) if s is not None and _off(session.turn_detection(s.data))), None)
    if guilty is None or view.provider.sent.get("input_audio_buffer.commit"):
        return
    wire = view.provider
    for stopped in wire.speech_stopped:
        after = [fact for fact in (*wire.creates, *wire.responses) if fact.at_ms >= stopped.at_ms]
        if after or view.length_ms - stopped.at_ms < PATIENCE_MS:
            return
        yield _finding(guilty, asked, f"speech_stopped at {stopped.at_ms / 1000:.1f} s, no response after it")
        return
    spoken = view.carrier_in.audio.speech_ms
    greeted_only = len(wire.creates) <= 1 and not wire.speech
    if session.turn_detection(guilty.data) is None and greeted_only and view.saw("carrier") and spoken >= SPOKE_MS:
        yield _finding(guilty, asked, f"{spoken / 1000:.1f} s of speech, no speech_started, no commit")


def _off(turns: object) -> bool:
    return turns is None or (isinstance(turns, dict) and turns.get("create_response") is False)


def _finding(guilty: Session, asked: Session | None, observable: str) -> Finding:
    by = "was told" if guilty is asked else "says in its echo"
    return RULE.finding(
        guilty,
        f"Turn detection {by} to create no responses, and no response.create followed the caller's turn.",
        "set turn_detection.create_response = true, or send response.create when the caller has spoken",
        observable=observable,
        field="session.audio.input.turn_detection",
    )

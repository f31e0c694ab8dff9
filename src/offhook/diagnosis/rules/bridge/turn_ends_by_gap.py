"""
Turn detection is off, and the client waits for a pause in the packets to end the caller's turn. A phone never pauses.

Caller notices: the agent greets and never answers.
Why: silence on a phone line is frames of silence, fifty a second.
Proof: no turn detection, no commit, no response, while the caller spoke and the packets never stopped.
Fix: let the provider detect turns, or listen for silence in the audio.
Reproduce: turn_detection null and a commit after half a second without packets.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/turn-ends-by-gap",
    title="Nothing ends the caller's turn",
    decides=("F-088",),
    explains=("turns/*", "*/unexplained", "provider-session/nobody-asks"),
    lies="the provider's session is well and takes every frame",
    source="langwatch/scenario#990",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M11",
)
SPOKE_MS, AT_LEAST_FRAMES, NO_GAP_MS = 600, 250, 300


def find(view: Evidence) -> Iterator[Finding]:
    wire, came = view.provider, view.carrier_in
    told = session.told(view)
    if told is None or session.turn_detection(told.data) is not None:
        return
    spoke = came.audio.speech_ms - SPOKE_MS * came.digits
    end = came.stop or view.closed("carrier")
    committed = wire.sent.get("input_audio_buffer.commit", 0)
    asked = [fact for fact in wire.creates if wire.echo is None or fact.at_ms > wire.echo.at_ms + 1000]
    asked = [fact for fact in asked if end is None or fact.at_ms < end.at_ms]
    if committed or asked or wire.speech or spoke < SPOKE_MS or wire.appended.frames < AT_LEAST_FRAMES:
        return
    steady = came.gap_max_ms < NO_GAP_MS
    yield RULE.finding(
        told,
        f"Turn detection is off and no commit was sent, though the caller spoke for {spoke / 1000:.0f} s"
        + ("; the packets never paused, so a client that waits for a gap waits for ever." if steady else "."),
        "let the provider detect turns, or listen for silence in the audio: a phone sends silence as frames",
        observable=f"commits: 0, longest gap between frames {came.gap_max_ms:.0f} ms",
        field="session.audio.input.turn_detection",
    )

"""
A machine answered the outbound call, and the agent talked with it.

Caller notices: a message with half a conversation.
Why: nobody looked who answered.
Proof: the carrier's word about who answered, or a long first turn.
Fix: leave a message or hang up, by policy.
Reproduce: play a greeting of nine seconds and a beep.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/voicemail",
    title="A voicemail answered",
    decides=("F-165",),
    lies="turn detection seems broken: one turn of ten seconds",
    source="twilio.com/docs/voice/answering-machine-detection",
    since="2026-11-25",
    needs=("carrier",),
)
LONG_MS, SOON_MS = 4000, 1500


def find(view: Evidence) -> Iterator[Finding]:
    if not str(view.recording.begin.get("direction")).startswith("outbound"):
        return
    why = view.ending.why if view.ending is not None and view.ending.wanted else ""
    if "hung up" in why and "caller" not in why:
        return  # the agent noticed: it left its message and hung up
    machine = next((s for s in view.statuses if s.answered_by.startswith(("machine", "fax"))), None)
    started = view.carrier_in.start
    first = view.provider.speech[0] if view.provider.speech else None
    stopped = next((f for f in view.provider.speech_stopped if first and f.line > first.line), None)
    at_once = started is not None and first is not None and first.at_ms - started.at_ms < SOON_MS
    long = stopped is not None and first is not None and stopped.at_ms - first.at_ms > LONG_MS
    if machine is not None or (at_once and long):
        spoken = f", a first turn of {(stopped.at_ms - first.at_ms) / 1000:.1f} s" if stopped and first and long else ""
        yield RULE.finding(
            machine or first or started or 1,
            f"A voicemail answered{spoken}; that is nobody's fault.",
            "decide who answered before the agent speaks: leave a message, or hang up",
            observable=f"AnsweredBy {machine.answered_by}" if machine else "long first turn",
            severity="far-end",
        )

"""
The session is asked for in the retired flat shape; the service has moved its fields and refuses the whole update.

Caller notices: silence, or an agent without its instructions, in another audio format.
Why: modalities, voice and input_audio_format stood at the top in the beta; today's service wants session.type and
audio.input / audio.output.
Proof: the update's own field names, and the error that answers it.
Fix: send the GA shape.
Reproduce: `offhook fake openai` with a client of 2024.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/flat-shape",
    title="The session has the retired flat shape",
    decides=("F-096",),
    explains=(
        "provider-session/rejected",
        "provider-session/never-ready",
        "provider-session/lost",
        "provider-session/unexplained",
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "media/*",
        "turns/*",
    ),
    lies="the connection is open and the provider greets",
    source="openai-python 3.54.0 types/realtime; openclaw/openclaw#79980",
    since="2026-11-25",
    needs=("provider",),
)
FLAT = ("modalities", "input_audio_format", "output_audio_format", "input_audio_transcription")


def find(view: Evidence) -> Iterator[Finding]:
    for update in view.provider.sessions:
        flat = [name for name in FLAT if name in update.data]
        if update.kind != "update" or not flat or "audio" in update.data:
            continue
        refused = next((e for e in view.provider.errors if "session" in e.param and e.at_ms >= update.at_ms), None)
        if refused is None:
            return  # a service that still speaks the beta shape
        yield RULE.finding(
            update,
            f"The session was asked for with {', '.join(flat)}; the service wants session.type and session.audio "
            f"and refused all of it: {refused.message}",
            'send {"type": "realtime", "audio": {"input": {"format": …}, "output": {"format": …, "voice": …}}}',
            observable=f"error {refused.code} {refused.param}",
            field=flat[0],
        )
        return

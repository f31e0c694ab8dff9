"""
A commit came while the provider's own turn detection had already taken the audio: harmless, and noise in the log.

Caller notices: nothing.
Why: turn detection commits by itself; the client commits again.
Proof: input_audio_buffer_commit_empty after a speech_stopped.
Fix: do not commit while turn detection is on.
Reproduce: send input_audio_buffer.commit at each speech_stopped.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/manual-commit",
    title="A commit of nothing under turn detection",
    decides=("F-122",),
    lies="the error in the log looks like a fault",
    source="openai-python 3.54.0; openai/openai-agents-js#748",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    empty = [e for e in view.provider.errors if "commit_empty" in e.code]
    if empty and view.provider.sent.get("input_audio_buffer.commit"):
        yield RULE.finding(
            empty[0],
            f"The client committed an empty buffer {len(empty)} times: turn detection had taken the audio already.",
            "do not send input_audio_buffer.commit while turn detection is on",
            observable=f"input_audio_buffer_commit_empty × {len(empty)}",
            severity="note",
        )

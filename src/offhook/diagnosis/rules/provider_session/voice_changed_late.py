"""
The voice was to be changed after the agent had spoken: the provider keeps the first one.

Caller notices: the old voice.
Why: a session's voice is fixed with its first audio.
Proof: cannot_update_voice.
Fix: set the voice before the first response, or open a new session.
Reproduce: session.update with another voice after one response.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/voice-changed-late",
    title="The voice cannot be changed any more",
    decides=("F-100",),
    lies="nobody: the error says it, and is easily overlooked",
    source="openai-python 3.54.0: error cannot_update_voice",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    error = next((e for e in view.provider.errors if e.code == "cannot_update_voice"), None)
    if error is not None:
        yield RULE.finding(
            error,
            "Another voice was asked for after the agent had spoken; the session keeps its first one.",
            "set the voice before the first response, or open a new session for the other agent",
            observable=f"error {error.code}",
            severity="note",
            field=error.param,
        )

"""
The provider sends audio of full length that nobody can hear.

Caller notices: silence, while every counter is green.
Why: a voice or model that fails inside the provider; 5.9 % of the calls of one production report.
Proof: the level of all measured frames is zero.
Fix: try another voice or model, and tell the provider.
Reproduce: `offhook fake` with a silent voice.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/digital-silence",
    title="The provider sends digital silence",
    decides=("F-116",),
    explains=("turns/no-answer",),
    lies="the provider reports completed responses, and bills them",
    source="google-gemini/gemini-live-api-examples#40",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for note in view.recording.notes("provider.silent-audio"):
        yield RULE.finding(
            note.number,
            f"The provider sent {note.figure('ms'):.0f} ms of digital silence and no speech.",
            "try another voice or model; every counter is green on such a call, so tell the provider",
            observable="level of all measured frames is zero",
        )

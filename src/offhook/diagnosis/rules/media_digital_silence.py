"""
The provider sends audio of full length that nobody can hear.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="media/digital-silence",
    title="The provider sends digital silence",
    explains=(),
    source="google-gemini/gemini-live-api-examples#40",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("provider.silent-audio"):
        yield RULE.finding(
            note.number,
            f"The provider sent {note.data.get('ms')} ms of digital silence and no speech.",
            "try another voice or model; every counter is green on such a call, so tell the provider",
            observable="level of all measured frames is zero",
        )

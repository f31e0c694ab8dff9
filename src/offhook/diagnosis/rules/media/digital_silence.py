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


FIX = "try another voice or model; every counter is green on such a call, so tell the provider"
HEARD = 6  # the loudness class that begins at -60 dBFS: near-zero speech (amplitude 18) is at -65
AT_LEAST_MS = 2000.0  # a pause inside a sentence is shorter


def find(view: Evidence) -> Iterator[Finding]:
    for note in view.recording.notes("provider.silent-audio"):
        yield RULE.finding(
            note.number,
            f"The provider sent {note.figure('ms'):.0f} ms of digital silence and no speech.",
            FIX,
            observable="level of all measured frames is zero",
        )
        return
    audio = view.provider.audio
    ms = audio.bytes / 8
    noise = audio.judged in ("pcm16", "a-law", "base64-twice")
    if ms < AT_LEAST_MS or noise or not any(audio.levels) or any(audio.levels[HEARD:]):
        return
    yield RULE.finding(
        audio.line,
        f"The provider sent {ms / 1000:.1f} s of audio that nobody can hear.",
        FIX,
        observable=f"none of {sum(audio.levels)} measured pieces is louder than near-silence",
    )

"""
What the agent says is no speech: noise or a tone of one level throughout, though the provider writes words beside it.

Caller notices: a hiss or a hum where the agent should speak.
Why: a voice that the provider takes and does not have, or bytes of a format that nobody named.
Proof: speech rises and falls with each syllable; all that was measured lies within 12 dB.
Fix: take another voice; hear the recording.
Reproduce: `offhook fake openai --fault noise`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.media.levels import SPEECH_CLASS

RULE = Rule(
    id="media/no-speech",
    title="The agent's audio is no speech",
    decides=("F-099",),
    lies="responses are completed, audio and words come, marks come back",
    source="measured 2026-11-26: of the shipped lines, also clipped, at most 79 % lie in two neighbouring classes",
    since="2026-11-26",
    needs=("provider",),
)
SHARE = 0.97
AT_LEAST = 40  # looks, of 100 ms each
WORDS = 5


def find(view: Evidence) -> Iterator[Finding]:
    came = view.provider.audio
    total = sum(came.levels)
    if came.judged != "ok" or total < AT_LEAST or view.provider.agent_words < WORDS:
        return
    n, at = max((sum(came.levels[at : at + 2]), at) for at in range(len(came.levels)))
    if n >= SHARE * total and at + 1 >= SPEECH_CLASS:
        yield RULE.finding(
            came.line,
            f"{n} of {total} measured pieces of the agent's audio have one level: a noise or a tone, and no speech.",
            "take another voice: this one may not exist for this model; listen to the recording",
            observable=f"{n} of {total} pieces within 12 dB, {view.provider.agent_words} words written beside them",
            severity="suspicion",
            proof="consistent with",
        )

"""
The session answers in text: there is nothing to hear.

Caller notices: silence after each question.
Why: output_modalities is text, or the provider fell back to it.
Proof: text deltas, and not one byte of audio.
Fix: ask for audio.
Reproduce: output_modalities = ["text"].
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/text-only",
    title="The session answers in text only",
    decides=("F-101",),
    explains=("media/*", "turns/no-answer"),
    lies="responses are completed, with words",
    source="openai-python 3.54.0 types/realtime: output_modalities",
    since="2026-11-25",
    needs=("provider",),
    breaks="M14",
)
NAMES = ("response.output_text.delta", "response.text.delta", "response.output_text.done", "response.text.done")


def find(view: Evidence) -> Iterator[Finding]:
    text = [name for name in NAMES if view.provider.types.get(name)]
    if not text or view.provider.audio.frames:
        return
    asked = next((s for s in view.provider.sessions if s.kind == "update" and "output_modalities" in s.data), None)
    said = f"; output_modalities = {asked.data['output_modalities']} was asked for" if asked else ""
    yield RULE.finding(
        asked or view.provider.first or 1,
        f"The provider answered in text ({text[0]}) and sent no audio{said}.",
        'ask for output_modalities = ["audio"]',
        observable=f"{text[0]}: {view.provider.types[text[0]]}, audio: 0",
        field="session.output_modalities",
    )

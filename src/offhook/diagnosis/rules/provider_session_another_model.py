"""
Another model answers than the one that was asked for: a dead or misspelt name that the provider replaced in silence.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/another-model",
    title="Another model answers than was asked for",
    explains=(),
    source="pipecat-ai/pipecat#4401; gptme/gptme-contrib#757",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("session.difference"):
        if note.data.get("field") == "model":
            yield RULE.finding(
                note.number,
                f"Asked for model {note.data.get('asked')}, the provider runs {note.data.get('got')} and says nothing.",
                "name a model that exists: `offhook check settings` lists them",
                observable="session echo differs: model",
            )

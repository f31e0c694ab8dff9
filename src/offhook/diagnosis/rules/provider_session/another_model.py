"""
Another model answers than the one that was asked for: a dead or misspelt name that the provider replaced in silence.

Caller notices: a strange voice, or an agent that is less able than it should be.
Why: a provider falls back to another model where the name in the URL is missing or unknown to it.
Proof: the session's echo names another model.
Fix: name a model that exists.
Reproduce: `offhook fake` that echoes another model.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/another-model",
    title="Another model answers than was asked for",
    decides=("F-093",),
    lies="the provider reports success",
    source="pipecat-ai/pipecat#4401; gptme/gptme-contrib#757",
    since="2026-11-24",
    needs=("provider",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for difference in view.differences:
        if difference.field == "model":
            yield RULE.finding(
                difference,
                f"Asked for model {difference.asked}, the provider runs {difference.got} and says nothing.",
                "name a model that exists: `offhook check settings` lists them",
                observable="session echo differs: model",
                field="model",
            )

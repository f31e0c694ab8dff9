"""
Answers end before they are done: the provider stops them at its limit of tokens, or its filter does.

Caller notices: an agent that stops in the middle of its sentences.
Why: max_output_tokens is too low for what the agent is told to say, or what it says is filtered.
Proof: response.done with the status incomplete and its reason; audio of it had come.
Fix: raise max_output_tokens, or ask for shorter answers; soften what the filter takes offence at.
Reproduce: `offhook fake openai --fault incomplete-tokens`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="turns/cut-short",
    title="The provider cuts its answers short",
    lies="audio flows, and response.done comes each time",
    source="openai-python 3.54.0: response.done, status_details.reason",
    since="2026-11-26",
    needs=("provider",),
    breaks="M18",
)
FIXES = {
    "max_output_tokens": "raise max_output_tokens, or ask for shorter answers",
    "content_filter": "soften the instructions; the provider's filter stopped the answer",
}


def find(view: Evidence) -> Iterator[Finding]:
    spoke = {said.response for said in view.talk.said if said.text}  # else: provider-session/turns-without-audio
    cut = [
        one for one in view.provider.responses
        if one.status == "incomplete" and one.reason in FIXES and one.id in spoke
    ]  # fmt: skip
    if cut:
        yield RULE.finding(
            cut[0],
            f"{len(cut)} of {len(view.provider.responses)} answers were cut short by the provider: {cut[0].reason}.",
            FIXES[cut[0].reason],
            observable=f"response.done incomplete, {cut[0].reason}",
            field="response.status_details.reason",
        )

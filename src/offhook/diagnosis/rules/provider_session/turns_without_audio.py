"""
The provider closes turn after turn without a sound, although it hears the caller.

Caller notices: silence after every question.
Why: a content filter, an exhausted token limit, or a rejected response.
Proof: two or more responses in a row that ended incomplete and had no audio.
Fix: what the reason names.
Reproduce: `offhook fake openai` whose responses are incomplete (content_filter).
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.wire_facts import Response

RULE = Rule(
    id="provider-session/turns-without-audio",
    title="Turns end without a sound",
    decides=("F-115",),
    explains=("turns/*", "media/*"),
    lies="response.done comes each time",
    source="google-gemini/gemini-live-api-examples#40; openai-python 3.54.0: status_details.reason",
    since="2026-11-25",
    needs=("provider",),
    breaks="M13",
)
AT_LEAST = 2
TEXT = ("response.output_text.delta", "response.text.delta")


def find(view: Evidence) -> Iterator[Finding]:
    run: list[Response] = []
    counted = view.provider.audio.line > 0  # a record that was cut off may not say how much audio there was
    mute = (
        counted
        and not view.provider.audio.frames
        and not view.tools
        and not any(view.provider.types.get(n) for n in TEXT)
    )
    spoke = {said.response for said in view.talk.said if said.text}
    for response in view.provider.responses:
        silent = response.id not in spoke and not response.transcript
        if response.status == "incomplete" and response.reason != "turn_detected" and silent:
            run.append(response)
        elif response.status == "completed" and mute:
            run.append(response)
        elif response.status == "completed":
            run = []
    if len(run) >= AT_LEAST:
        reason = (run[0].reason if run[0].status == "incomplete" else "") or "no reason given"
        yield RULE.finding(
            run[0],
            f"{len(run)} responses in a row ended {run[0].status} ({reason}) and said nothing.",
            "content_filter: soften the instructions; max_output_tokens: raise the limit; else tell the provider",
            observable=f"{run[0].status}: {reason}, {len(run)} times, no audio",
        )

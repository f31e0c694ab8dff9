"""
A tool's result is JSON inside a JSON string.

Caller notices: the agent reads out quotes and braces, or misunderstands the result.
Why: json.dumps of what is a JSON text already.
Proof: the output is a JSON string that holds JSON.
Fix: encode once.
Reproduce: json.dumps(json.dumps(result)).
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/encoded-twice",
    title="A tool's result is encoded twice",
    decides=("F-145",),
    lies="the provider takes it; it looks like the model",
    source="pipecat-ai/pipecat 76551d0de",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    said = {done.id: done.name for done in view.tools_done if done.out_shape == "string in string"}
    names = {call.id: call.name for call in view.talk.calls}
    for result in view.talk.results:
        if result.is_encoded_twice or result.id in said:
            name = said.get(result.id) or names.get(result.id) or "a tool"
            yield RULE.finding(
                result,
                f"The result of {name} is JSON inside a JSON string.",
                "encode the result once: output is a text already",
                observable=f"output begins with {result.output[:12]}",
                field="item.output",
            )
            return

"""
The model's arguments are no JSON, and its call was never answered.

Caller notices: silence, or a wrong action.
Why: the model was cut off at its token limit, or wrote them badly; the parser's failure ended the matter.
Proof: arguments that cannot be read, and no function_call_output for the call.
Fix: take none as {}; answer the rest with an error as the result.
Reproduce: a call with {"city":"Os.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/bad-arguments",
    title="A call's arguments are no JSON",
    decides=("F-144",),
    explains=("bridge/exception", "turns/*", "tools/unexplained", "tools/too-slow", "tools/raised"),
    lies="it looks like the tool's code",
    source="Vivswan/litellm-vscode-chat#281",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)
PATIENCE_MS = 2000.0


def find(view: Evidence) -> Iterator[Finding]:
    said_bad = {tool.id for tool in view.tools if not tool.args_ok}
    known = {tool.id for tool in view.tools}
    for call in view.talk.calls:
        bad = call.id in said_bad or (call.id not in known and not call.is_json)
        if not bad or view.talk.result(call.id) or view.length_ms - call.at_ms < PATIENCE_MS:
            continue
        cut = [r for r in view.provider.responses if r.status == "incomplete" and r.at_ms <= call.at_ms + 1000]
        why = ", cut off at the token limit" if cut else ""
        yield RULE.finding(
            call,
            f"The arguments of {call.name} are no JSON ({len(call.arguments)} characters{why}), and the call was never "
            "answered.",
            "take no arguments as {}; answer what cannot be read with an error as the result",
            observable=f"{call.name}: arguments cannot be read, no function_call_output",
            field="arguments",
        )
        return

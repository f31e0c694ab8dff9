"""
The model calls a tool that does not exist here, and gets no answer.

Caller notices: the agent goes silent; with some providers it is deaf for the rest of the call.
Why: the call is looked up, not found, and forgotten.
Proof: a call whose name is not among the tools, and no function_call_output for it.
Fix: answer every call; an unknown one with an error as its result.
Reproduce: a model that calls lookup_weather where only lookup is registered.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/not-registered",
    title="A call to an unknown tool was not answered",
    decides=("F-142",),
    explains=("bridge/exception", "turns/*", "tools/unexplained", "tools/too-slow"),
    lies="it looks like turn detection, or the provider",
    source="livekit/agents#4933; openai/openai-agents-python#3286",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)
PATIENCE_MS = 2000.0


def find(view: Evidence) -> Iterator[Finding]:
    unknown = {tool.id for tool in view.tools if not tool.known} | {
        done.id for done in view.tools_done if done.outcome == "unknown"
    }
    for call in view.talk.calls:
        missing = call.id in unknown or (view.talk.tools and call.name not in view.talk.tools)
        if not missing or view.talk.result(call.id) or view.length_ms - call.at_ms < PATIENCE_MS:
            continue
        have = f" (not registered; have: {', '.join(sorted(view.talk.tools))[:80]})" if view.talk.tools else ""
        yield RULE.finding(
            call,
            f"The call of {call.name}{have} was never answered.",
            "answer every call: an unknown one with an error as its result, then response.create",
            observable=f"call {call.id[-12:]} of {call.name}: no function_call_output",
            field=call.name,
        )
        return

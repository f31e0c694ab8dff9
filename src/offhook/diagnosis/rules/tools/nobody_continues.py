"""
The result of a tool was delivered, and nobody asked the model to go on.

Caller notices: "let me check", then silence until they speak.
Why: a result is only an item: a response must be asked for.
Proof: the function_call_output, then for seconds no response.create and no response.
Fix: send response.create after the result.
Reproduce: send the output only.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.talk import ENDS_CALL, ToolResult

RULE = Rule(
    id="tools/nobody-continues",
    title="Nobody asks the model to go on after a tool",
    decides=("F-141",),
    explains=("turns/*", "tools/unexplained"),
    lies="it looks like a slow tool",
    source="openai/openai-python#2262; openai/openai-agents-python#1168",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)
PATIENCE_MS = 3000.0  # a response follows within a second


def find(view: Evidence) -> Iterator[Finding]:
    ended = [fact for fact in (view.carrier_in.stop, view.closed("carrier"), view.closed("provider")) if fact]
    until = min((fact.at_ms for fact in ended), default=view.length_ms)
    for result in view.talk.results:
        after = [f for f in (*view.provider.creates, *view.provider.responses) if f.at_ms >= result.at_ms]
        next_ms = min([f.at_ms for f in after] + [until])
        call = next((call for call in view.talk.calls if call.id == result.id), None)
        running = any(r.at_ms < result.at_ms and (r.done_ms or until) > result.at_ms for r in view.provider.responses)
        last = call is not None and ENDS_CALL.search(call.name)
        stopped = any(loop.at_ms <= next_ms for loop in view.inside.loops)  # for it went in a circle
        if next_ms - result.at_ms < PATIENCE_MS or running or last or stopped or _waits(view, result):
            continue
        yield RULE.finding(
            result,
            f"The result of {call.name if call else 'a tool'} was delivered at {result.at_ms / 1000:.1f} s; nobody "
            f"asked the model to go on for {(next_ms - result.at_ms) / 1000:.0f} s.",
            "send response.create after the function_call_output",
            observable="function_call_output, then no response.create",
            field="response.create",
        )
        return


def _waits(view: Evidence, result: ToolResult) -> bool:
    """Whether another call of the same answer was still open: a model goes on when all of them are answered."""
    before = {other.id for other in view.talk.results if other.at_ms <= result.at_ms}
    asked = [call for call in view.talk.calls if call.at_ms <= result.at_ms]
    began = max((r.at_ms for r in view.provider.responses if asked and r.at_ms <= asked[-1].at_ms), default=0.0)
    return any(call.id not in before and call.at_ms >= began for call in asked)

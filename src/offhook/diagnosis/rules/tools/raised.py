"""
A tool failed, and its call was never answered.

Caller notices: silence after a promise.
Why: the exception was swallowed, or ended the task that would have sent the result.
Proof: the tool's end by an exception, and no function_call_output for its call.
Fix: send the failure as the result: the model can say it.
Reproduce: a tool that raises ValueError.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/raised",
    title="A tool failed and the model was not told",
    decides=("F-143",),
    explains=("bridge/exception", "turns/*", "tools/unexplained", "tools/too-slow"),
    lies="it looks like the provider: its response is complete",
    source="openai/openai-realtime-console#34",
    since="2026-11-25",
    needs=("provider", "bridge"),
    breaks="M18",
)
AT_ONCE_MS = 500.0


def find(view: Evidence) -> Iterator[Finding]:
    for done in view.tools_done:
        if not done.outcome.startswith(("raised", "error", "failed")) or view.talk.result(done.id):
            continue
        near = [exc for exc in view.exceptions if abs(exc.at_ms - done.at_ms) < AT_ONCE_MS]
        what = f"{near[0].type} at {near[0].where or near[0].task}" if near else done.outcome
        yield RULE.finding(
            near[0] if near else done,
            f"{done.name} failed ({what}), and no result was sent.",
            "send the failure as the function_call_output, then response.create: the model can say it",
            observable=f"{done.name}: {done.outcome}, no function_call_output",
            field=done.name,
        )
        return

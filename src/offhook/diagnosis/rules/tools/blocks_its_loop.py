"""
A tool's coroutine blocks the loop that tools run on.

Caller notices: nothing of it in the sound; a wait, if the tool is slow, and other calls' tools wait as well.
Why: a call that does not give way (requests, time.sleep, a heavy computation) inside async def.
Proof: the loop gave no sign of life, and where its thread stood.
Fix: use async calls there, or write def instead of async def: then it gets a thread of its own.
Reproduce: time.sleep(3) in an async tool.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/blocks-its-loop",
    title="A tool blocks the loop that tools run on",
    lies="every tool of that moment looks slow",
    source="docs/tools.md",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M18",
)


def find(view: Evidence) -> Iterator[Finding]:
    late = {done.name for done in view.tools_done if done.outcome == "timeout"}
    for blocked in view.inside.blocked:
        yield RULE.finding(
            blocked,
            f"{blocked.name} blocked the tools' loop for {blocked.ms / 1000:.1f} s or more, at {blocked.stack}.",
            "use async calls there, or write def instead of async def",
            observable=f"no sign of life for {blocked.ms:.0f} ms at {blocked.stack.partition(' < ')[0]}",
            severity="fault" if blocked.name in late else "note",
            field=blocked.name,
        )
        return

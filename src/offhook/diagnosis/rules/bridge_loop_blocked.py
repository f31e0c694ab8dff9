"""
Something blocked the process: every call in it stalled at the same time.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="bridge/loop-blocked",
    title="The process was blocked",
    explains=(),
    source="gptme/gptme-contrib e03652e8",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    worst = max(call.notes("bridge.loop-lag"), key=lambda note: int(note.data.get("ms", 0)), default=None)
    if worst is not None and int(worst.data.get("ms", 0)) >= 250:
        yield RULE.finding(
            worst.number,
            f"The process stood still for {worst.data.get('ms')} ms; every call in it was choppy then.",
            "look for other work on this machine, or fewer calls a process",
            observable=f"event loop {worst.data.get('ms')} ms late",
            severity="fault" if int(worst.data.get("ms", 0)) >= 1000 else "note",
        )

"""
The record has no end: the process was killed, or the machine went down, during the call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="records/process-died",
    title="The process died during the call",
    explains=(),
    source="evidence/journal.py",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    if call.end is None:
        yield RULE.finding(
            call.lines[-1].number,
            f"The record stops after {call.last_ms / 1000:.1f} s: the process died, or the call is still running.",
            "look at the service's log and the kernel's (out of memory?) at that minute",
            observable="no end line",
            proof="consistent with",
        )

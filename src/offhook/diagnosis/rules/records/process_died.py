"""
The record has no end: the process was killed, or the machine went down, during the call.

Caller notices: the line is cut.
Why: out of memory, a hard kill, a crash of the machine; or the call is still running.
Proof: the record's last line is no end.
Fix: look at the service's log and at the kernel's at that minute.
Reproduce: kill -9 the server during a call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/process-died",
    title="The process died during the call",
    explains=("*/unexplained",),
    lies="the carrier says 31921 or 31903",
    source="evidence/journal.py",
    since="2026-11-24",
)


def find(view: Evidence) -> Iterator[Finding]:
    if view.recording.end is None and view.passed_by is None:  # of such a call the tap never sees the end
        yield RULE.finding(
            view.recording.lines[-1].number,
            f"The record stops after {view.length_ms / 1000:.1f} s: the process died, or the call is still running.",
            "look at the service's log and the kernel's (out of memory?) at that minute",
            observable="no end line",
            proof="consistent with",
        )

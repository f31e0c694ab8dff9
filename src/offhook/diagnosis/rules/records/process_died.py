"""
The record has no end: the process was killed, or the machine went down, during the call.

Caller notices: the line is cut.
Why: out of memory, a hard kill, a crash of the machine; or the call is still running.
Proof: the record's last line is no end; a later start of the server found that the one that wrote it had died.
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
    call = view.recording
    if call.end is not None or call.live or view.passed_by is not None:  # a tap never sees the end of what passes it
        return
    fix = "look at the service's log and the kernel's (out of memory?) at that minute"
    closed = call.closed
    if closed is not None:
        yield RULE.finding(
            closed.number,
            f"The server died {view.length_ms / 1000:.1f} s into the call or within the second after it "
            f"({closed.text('last_written')}); that second may be missing.",
            fix,
            observable=f"closed by another process at {closed.text('found')}",
            catalogue="F-155",
        )
        return
    yield RULE.finding(
        call.lines[-1].number,
        f"The record stops after {view.length_ms / 1000:.1f} s: the process died, or the call is still running.",
        fix,
        observable="no end line",
        proof="consistent with",
    )

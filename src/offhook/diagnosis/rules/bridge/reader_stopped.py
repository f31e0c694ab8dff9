"""
The task that reads the provider has ended, and the connection is still open: what the provider says is not read.

Caller notices: the agent freezes, mostly after an interruption; the line stays open.
Why: the reader returns at an error event that harms nobody.
Proof: the task's end, and messages of the provider after it.
Fix: an error event is a message: log it and read on. If the reader ends all the same, end the call.
Reproduce: an error "no active response found" after response.cancel.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/reader-stopped",
    title="Nobody reads the provider any more",
    decides=("F-072",),
    explains=("turns/*", "*/unexplained", "provider-session/old-event-names", "bridge/line-left-open"),
    lies="the provider's connection is open and lively",
    source="pipecat-ai/pipecat 6281dde89",
    since="2026-11-25",
    needs=("provider", "bridge"),
    breaks="M12",
)
UNREAD_MS = 1000.0
JUST_BEFORE_MS = 1000.0


def find(view: Evidence) -> Iterator[Finding]:
    closed = view.closed("provider")
    until = closed.at_ms if closed is not None else view.length_ms
    for left in view.task_exits:
        if "provider" not in left.name or until - left.at_ms < UNREAD_MS:
            continue
        if any(abs(exc.at_ms - left.at_ms) < UNREAD_MS for exc in view.exceptions):
            continue  # it failed: bridge/strict-parser, bridge/exception
        errors = [e for e in view.provider.errors if 0 <= left.at_ms - e.at_ms < JUST_BEFORE_MS]
        last = errors[-1] if errors else None
        why = f" at an error that ends nothing ({last.message[:80] or last.code})" if last else f" ({left.why})"
        yield RULE.finding(
            left,
            f"The reader of the provider stopped{why}; nothing was read for {(until - left.at_ms) / 1000:.0f} s.",
            "read on after an error event; end the call if the reader ends",
            observable=f"task {left.name} ended at {left.at_ms / 1000:.1f} s, the connection at {until / 1000:.1f} s",
        )
        return

"""
The carrier waits 15 s for the document; callers hear silence long before.

Caller notices: silence, then an application error.
Why: work is done before the answer: the provider is dialled, a database asked.
Proof: how long the answer took, or that the carrier gave up.
Fix: answer at once; do the work while the stream is set up.
Reproduce: sleep for 16 s in the handler.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/answered-too-late",
    title="The webhook answers too late",
    decides=("F-040",),
    explains=("webhook/unreachable",),
    lies="the server's log shows a successful request",
    source="twilio.com/docs/api/errors/11205",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)
LATE_MS, GIVEN_UP_MS = 5000, 14000


def find(view: Evidence) -> Iterator[Finding]:
    for hook in view.hooks:
        late = (hook.ms or 0) >= LATE_MS or hook.failed == "timeout"
        if late and not any(other.n > hook.n and other.call_sid == hook.call_sid for other in view.hooks):
            step = f" ({hook.slow_step})" if hook.slow_step else ""
            given_up = (hook.ms or 0) >= GIVEN_UP_MS or hook.failed
            yield RULE.finding(
                hook,
                f"The webhook took {(hook.ms or 0) / 1000:.1f} s{step}{'; the carrier gave up' if given_up else ''}.",
                "answer first, and do the work while the stream is set up",
                observable=f"{(hook.ms or 0):.0f} ms",
                severity="fault" if given_up else "note",
            )
            return

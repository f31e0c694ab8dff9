"""
The first request was answered too late or with an error, the carrier asked again, and both opened an agent.

Caller notices: perhaps two voices; a session is billed for nobody.
Why: retries and fallback URLs are not recognised as the same call.
Proof: two requests for one call, and more than one session.
Fix: answer the same call the same way, once.
Reproduce: answer the first request after 15 s.
"""

from collections.abc import Iterator
from itertools import pairwise

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/executed-twice",
    title="One call's webhook is executed twice",
    decides=("F-044",),
    explains=("webhook/answered-too-late", "webhook/unreachable"),
    lies="the carrier logs 11205 for the first one; both look like calls",
    source="twilio.com/docs/voice/twiml: fallback URL",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M2",
)


def find(view: Evidence) -> Iterator[Finding]:
    asked = [hook for hook in view.hooks if hook.what == "voice" and not hook.final]
    for first, second in pairwise(asked):
        bad = bool(first.failed) or (first.ms or 0) > 14_000 or (first.status or 0) >= 500
        if bad and first.call_sid == second.call_sid and len(view.dials) > 1:
            why = first.failed or f"HTTP {first.status}"
            yield RULE.finding(
                first,
                f"Two webhook requests for one call: the first failed ({why}), and both opened a session.",
                "recognise a repeated request by its CallSid, and answer it with the call that runs",
                observable=f"{len(asked)} requests, {len(view.dials)} sessions",
                field="CallSid",
            )
            return

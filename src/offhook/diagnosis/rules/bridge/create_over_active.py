"""
The client asks for a response while one is running: what it wanted to be said is never said.

Caller notices: an expected sentence is missing, or the agent stalls.
Why: turn detection creates responses by itself; the client creates another one beside it.
Proof: the provider's error, again and again, each right after our response.create.
Fix: queue response.create until response.done, or set create_response to false.
Reproduce: response.create at each speech_stopped, with turn detection that answers by itself.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/create-over-active",
    title="Responses are asked for while one is running",
    decides=("F-080",),
    explains=("provider-session/refused",),
    lies="the provider answers, to something else",
    source="livekit/agents#6817; openai/codex#17306",
    since="2026-11-25",
    needs=("provider",),
    breaks="M12",
)
ANSWERS_MS = 1000.0
CODE, TEXT = "already_has_active_response", "already has an active response"


def find(view: Evidence) -> Iterator[Finding]:
    found = [error for error in view.provider.errors if CODE in error.code or TEXT in error.message]
    ours = [e for e in found if any(0 <= e.at_ms - made.at_ms < ANSWERS_MS for made in view.provider.creates)]
    if not ours:
        return
    once = len(ours) == 1  # a race that comes once is what queues are for: the sentence comes later
    yield RULE.finding(
        ours[0],
        f"{len(ours)} × response.create came while a response was running, and was refused: its sentence was not said.",
        "queue response.create until response.done, or set turn_detection.create_response = false",
        observable=f"{ours[0].code or TEXT} × {len(ours)}",
        severity="note" if once else "fault",
        field="response.create",
    )

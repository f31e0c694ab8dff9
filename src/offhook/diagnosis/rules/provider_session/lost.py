"""
The provider ended the session, or the connection to it broke, while the call was running.

Caller notices: the agent stops in the middle of a sentence.
Why: the provider's limit, an idle timer, a network that broke, or the provider itself.
Proof: who closed, and with which code.
Fix: by the code; `offhook explain CODE`.
Reproduce: `offhook fake` that drops the connection after ten seconds.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/lost",
    title="The provider session was lost",
    decides=("F-121",),
    explains=("turns/no-answer",),
    lies="the carrier says 31921: it saw only how we ended the stream afterwards",
    source="openai-python 3.54.0: close codes",
    since="2026-11-24",
    needs=("provider",),
    breaks="M14",
)
WHO = {"us": "we closed", "them": "the provider closed", "nobody": "nobody closed"}


def find(view: Evidence) -> Iterator[Finding]:
    for note in view.recording.notes("provider.lost"):
        code, reason = note.data.get("code"), note.text("reason")
        if code == 1001 or "maximum duration" in reason:
            said, fix = "it had reached its maximum duration", "set limits.max_call_s below the provider's limit"
        elif code is None:
            said, fix = "the connection broke without a close", "look at the network and at the provider's status page"
        else:
            said, fix = f"it closed with {code} {reason}".strip(), "read the reason; run `offhook check provider`"
        yield RULE.finding(
            view.closed("provider") or note.number,
            f"The provider session was lost: {said}.",
            fix,
            observable=f"{WHO.get(note.text('by'), 'unknown who closed')}, code {code or 'none'}",
        )

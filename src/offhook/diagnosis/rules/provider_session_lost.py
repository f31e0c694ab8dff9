"""
The provider ended the session, or the connection to it broke, while the call was running.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-session/lost",
    title="The provider session was lost",
    explains=("turns/no-answer",),
    source="openai-python 3.54.0: close codes",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("provider.lost"):
        code, reason = note.data.get("code"), note.data.get("reason") or ""
        if code == 1001 or "maximum duration" in str(reason):
            said, fix = "it had reached its maximum duration", "set limits.max_call_s below the provider's limit"
        elif code is None:
            said, fix = "the connection broke without a close", "look at the network and at the provider's status page"
        else:
            said, fix = f"it closed with {code} {reason}".strip(), "read the reason; run `offhook check provider`"
        who = {"us": "we closed", "them": "the provider closed", "nobody": "nobody closed"}.get(
            str(note.data.get("by"))
        )
        yield RULE.finding(
            note.number, f"The provider session was lost: {said}.", fix, observable=f"{who}, code {code or 'none'}"
        )

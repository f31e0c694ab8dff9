"""
The header was built from an empty variable: the provider got the text None, or nothing, as a key.

Caller notices: silence after the answer.
Why: a missing value was formatted into the header.
Proof: the key is the text None, or empty, and a connection was made all the same.
Fix: set the variable; refuse to start without it.
Reproduce: set the key to None and call.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/key-says-none",
    title="The key that was sent is no key",
    decides=("F-003",),
    explains=(
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="the upgrade succeeds with 101; the provider says that the key is invalid",
    source="websockets 17.4 sends both headers (measured 2026-11-22); BerriAI/litellm#8828",
    since="2026-11-25",
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    key = view.own_key
    if key is None or not view.dials:
        return
    if key.is_none or (not key.present and not key.length) or key.length < 4:
        what = "the text None" if key.is_none else f"{key.length} characters long"
        yield RULE.finding(
            view.boot,
            f"The key that was sent is {what}: {key.env} was empty when the header was built.",
            f"set {key.env} for the service",
            observable=f"{key.env}: {what}",
            field=key.env,
        )

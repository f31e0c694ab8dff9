"""
The model's responses fail.

Caller notices: no answers; a spoken line in the end.
Why: quota, a content filter, or the model's own failure: the reason says which.
Proof: the provider's status of the responses.
Fix: read the reason.
Reproduce: `offhook fake` whose responses fail.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="turns/response-failed",
    title="Responses fail",
    decides=("F-107", "F-105"),
    explains=("turns/no-answer",),
    lies="the session lives",
    source="openai-python 3.54.0: response.done",
    since="2026-11-24",
    needs=("provider",),
    breaks="M13",
)


QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "rate_limit", "account_deactivated")


def find(view: Evidence) -> Iterator[Finding]:
    failed = [response for response in view.provider.responses if response.status == "failed"]
    if not failed:
        return
    reason = failed[-1].reason or "no reason given"
    quota = any(name in reason for name in QUOTA)
    yield RULE.finding(
        failed[0],
        f"{len(failed)} of {len(view.provider.responses)} responses failed: {reason}.",
        "the account's quota or rate is used up: raise it"
        if quota
        else "the provider's own failure: ask again, and tell it",
        observable=f"response.done failed, {reason}",
        catalogue="F-105" if quota else "F-107",
    )

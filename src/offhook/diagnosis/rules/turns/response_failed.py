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
    decides=("F-107", "F-105", "F-092"),
    explains=("turns/no-answer",),
    lies="the session lives",
    source="openai-python 3.54.0: response.done",
    since="2026-11-24",
    needs=("provider",),
    breaks="M13",
)


QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "rate_limit", "account_deactivated")
MODEL = ("model_not_found", "invalid_model")
FIXES = {
    "F-105": "the account's quota or rate is used up: raise it",
    "F-092": "name a model that this key may use",
    "F-107": "the provider's own failure: ask again, and tell it",
}


def find(view: Evidence) -> Iterator[Finding]:
    failed = [response for response in view.provider.responses if response.status == "failed"]
    if not failed:
        return
    reason = failed[-1].reason or "no reason given"
    row = "F-105" if any(name in reason for name in QUOTA) else "F-107"
    row = "F-092" if any(name in reason for name in MODEL) else row
    yield RULE.finding(
        failed[0],
        f"{len(failed)} of {len(view.provider.responses)} responses failed: {reason}.",
        FIXES[row],
        observable=f"response.done failed, {reason}",
        catalogue=row,
    )

"""
The program's own limit, the provider's or the carrier's of sessions at once is reached.

Caller notices: a busy line, or an answered call that ends at once.
Why: more calls than the limit, or sessions that were never closed.
Proof: the refusal names the limit, or is HTTP 429.
Fix: raise the limit, or close what leaks.
Reproduce: set the limit to two and place three calls.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Hook, Upgrade

RULE = Rule(
    id="settings/limit-reached",
    title="A limit of concurrent calls is reached",
    decides=("F-020",),
    explains=(
        "carrier-stream/*",
        "webhook/unexplained",
        "provider-connect/*",
        "provider-session/*",
        "turns/no-answer",
    ),
    lies="the carrier logs 31920; other calls are well",
    source="twilio.com/docs/api/errors/10004; providers' rate limits",
    since="2026-11-25",
    breaks="M2",
)


def find(view: Evidence) -> Iterator[Finding]:
    most = view.boot.limits.get("max_calls")
    own: list[Hook | Upgrade] = [u for u in view.upgrades if u.status == 503 and "limit" in u.why]
    own += [hook for hook in view.hooks if hook.why in ("max_calls", "dials_per_minute", "busy")]
    failed = view.dial_failure
    if own:
        yield RULE.finding(
            own[0],
            f"Refused by the program's own limit ({own[0].why or 'busy'}{f', max_calls {most:.0f}' if most else ''}).",
            "raise limits.max_calls if the machine bears it; look for calls that were never ended",
            observable=f"refused: {own[0].why}",
            field="limits.max_calls",
        )
    elif failed is not None and failed.status == 429:
        yield RULE.finding(
            failed,
            "The provider refused one session more than its limit (429).",
            "wait, close sessions that are left, or have the limit raised",
            observable="HTTP 429",
        )

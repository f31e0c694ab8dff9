"""
The program connects again and again, with what can never succeed.

Caller notices: long dead air.
Why: every error is retried: a wrong key, a dead model and an empty account too.
Proof: three connections or more, each ended by the same error that no retry can mend.
Fix: retry what can pass (timeouts, 429, 5xx, 1006); end the call at once for the rest.
Reproduce: an account without quota and a client that reconnects.
"""

from collections import Counter
from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/endless-reconnect",
    title="A hopeless connection is tried again and again",
    decides=("F-081",),
    explains=("provider-session/refused", "provider-session/lost", "provider-connect/failed", "turns/*"),
    lies="it looks like an unstable provider",
    source="livekit/agents#6352",
    since="2026-11-25",
    needs=("provider",),
    breaks="M9",
)
HOPELESS = frozenset((
    "insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "invalid_api_key", "invalid_model",
    "model_not_found", "missing_model", "beta_api_shape_disabled", "401", "403", "404",
))  # fmt: skip
TIMES = 3


def find(view: Evidence) -> Iterator[Finding]:
    refused = [dial.failure for dial in view.dials if dial.failure is not None and dial.failure.status]
    facts = [(error.code, error) for error in view.provider.errors] + [(str(f.status), f) for f in refused]
    times = Counter(code for code, _ in facts if code in HOPELESS)
    if len(view.dials) < TIMES or not times:
        return
    code, n = times.most_common(1)[0]
    first, last = facts[[c for c, _ in facts].index(code)][1], view.dials[-1]
    if n >= TIMES:
        yield RULE.finding(
            first,
            f"{len(view.dials)} connections in {(last.at_ms - view.dials[0].at_ms) / 1000:.0f} s, {n} of them ended by "
            f"{code}: no retry can mend that.",
            f"stop after the first {code}: say a line and end the call",
            observable=f"{len(view.dials)} dials, {code} × {n}",
        )

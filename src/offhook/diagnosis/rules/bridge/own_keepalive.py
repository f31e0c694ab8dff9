"""
The program's own keepalive closed the provider's connection: the pong came late, or could not be read.

Caller notices: the agent is gone, often in a quiet moment.
Why: the library closes when a pong is later than its limit, however lively the connection is; or the process stood
still.
Proof: a close with 1011 and "keepalive ping timeout" that we sent.
Fix: count every message as a sign of life, or raise the limit; never block the loop.
Reproduce: a provider whose pongs take seven seconds, and a limit of five.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import number

RULE = Rule(
    id="bridge/own-keepalive",
    title="Our own keepalive closed the provider's connection",
    decides=("F-084",),
    explains=(
        "provider-session/lost",
        "provider-session/refused",
        "turns/no-answer",
        "bridge/line-left-open",
        "*/unexplained",
    ),
    lies="1011 reads like an internal error of the provider",
    source="websockets: ping_interval, ping_timeout; aicc2025/sip-to-ai#14",
    since="2026-11-25",
    needs=("provider",),
    breaks="M14",
)
LIVELY_MS = 10_000.0


def find(view: Evidence) -> Iterator[Finding]:
    for closed in view.closes:
        if closed.leg != "provider" or closed.by != "us" or "ping timeout" not in closed.reason.lower():
            continue
        heard = number(view.provider.figures, "last_rx_ms") or view.provider.last_ms
        still = max((lag.ms for lag in view.lags if lag.at_ms <= closed.at_ms), default=0.0)
        lively = heard is not None and closed.at_ms - heard < LIVELY_MS
        why = f"; this process had stood still for {still / 1000:.0f} s" if still >= LIVELY_MS / 2 else ""
        if not why and lively and heard is not None:
            why = f"; its last message had come {max(0.0, closed.at_ms - heard) / 1000:.1f} s before"
        yield RULE.finding(
            closed,
            f"We closed the provider's connection: no pong came in time{why}.",
            "count every message as a sign of life, or raise the ping timeout; never block the loop",
            observable=f"close {closed.code} by us: {closed.reason}",
            proof="proven" if why else "consistent with",
        )
        return

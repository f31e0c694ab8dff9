"""
Reaching the provider took so long that the caller heard seconds of nothing.

Caller notices: silence after pickup, then a normal call.
Why: a slow route, TLS through an inspecting proxy, a provider under load.
Proof: the phases of the dial, with their milliseconds.
Fix: what the slowest phase names; dial when the webhook comes, not when the stream starts.
Reproduce: `offhook fake` whose upgrade is late.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-connect/slow",
    title="The provider was reached late",
    decides=("F-120",),
    lies="every log says connected",
    source="Azure, OpenAI status histories; threshold: what callers take for a dead line",
    since="2026-11-25",
    needs=("provider",),
)
# Median dials take 150 to 400 ms, the slowest healthy ones of our measurements 2 s; at 4 s callers say "hello?" twice.
SLOW_MS = 4000.0


def find(view: Evidence) -> Iterator[Finding]:
    for dial in view.dials:
        phases = [
            phase for phase in dial.phases if phase.phase in ("dns", "tcp", "proxy", "tls", "upgrade", "http", "open")
        ]
        total = sum(phase.ms for phase in phases)
        if dial.failure is not None or total < SLOW_MS or not phases:
            continue
        worst = max(phases, key=lambda phase: phase.ms)
        yield RULE.finding(
            worst,
            f"Reaching the provider took {total / 1000:.1f} s, {worst.ms / 1000:.1f} s of it in {worst.phase}.",
            "look at that phase: `offhook check provider` times each; dial when the webhook comes",
            observable=", ".join(f"{phase.phase} {phase.ms:.0f} ms" for phase in phases),
        )
        return

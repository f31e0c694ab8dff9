"""
Names cannot be resolved, or connections not be opened, from where the service runs.

Caller notices: silence or a spoken line.
Why: a container without a resolver, a firewall, a route for IPv6 only.
Proof: the phase in which every attempt failed.
Fix: repair the resolver or the route; test it from inside the container.
Reproduce: start with a resolver that knows no names.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/egress-blocked",
    title="The way out to the provider is blocked",
    decides=("F-016",),
    explains=(
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="the carrier's side is all well; it logs 31921 when the stream ends",
    source="RFC 9293; resolvers' manuals",
    since="2026-11-25",
    needs=("provider",),
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    failed = view.dial_failure
    if failed is None or failed.phase not in ("dns", "tcp") or failed.via_proxy:
        return
    what = "The provider's name cannot be resolved here" if failed.phase == "dns" else "No connection to the provider"
    yield RULE.finding(
        failed,
        f"{what}: {failed.cause} ({len(view.dials)} attempt(s)).",
        "look at resolver, firewall and routes where the service runs, and at the host in provider.url",
        observable=f"dial failed in phase {failed.phase}",
    )

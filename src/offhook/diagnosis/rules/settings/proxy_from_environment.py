"""
The client took a proxy from the environment, and that failed.

Caller notices: silence or a spoken line.
Why: HTTPS_PROXY is set for other programs.
Proof: the dial failed in its proxy phase.
Fix: unset the variable for the service, or exclude the provider's host.
Reproduce: set HTTPS_PROXY to a closed port.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/proxy-from-environment",
    title="The dial went through a proxy from the environment",
    decides=("F-015",),
    explains=(
        "provider-connect/*",
        "provider-session/*",
        "bridge/exception",
        "turns/no-answer",
        "carrier-stream/handler-failed",
    ),
    lies="the error names no provider: the proxy refused",
    source="websockets 17.4 reads HTTPS_PROXY (measured 2026-11-22)",
    since="2026-11-25",
    needs=("provider",),
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    failed = view.dial_failure
    if failed is not None and failed.phase == "proxy":
        which = ", ".join(view.boot.proxy_env) or "the environment"
        yield RULE.finding(
            failed,
            f"The dial went through a proxy from {which}, and that failed: {failed.cause}.",
            "unset it for this service, or add the provider's host to NO_PROXY",
            observable=f"phase proxy, {failed.via_proxy or which}",
            field=which,
        )

"""
The server accepts the carrier's stream only when the provider is connected: a provider's failure becomes a failed
handshake.

Caller notices: an answered call that ends at once.
Why: the accept stands behind the dial.
Proof: the dial's failure, and the 500 that followed it.
Fix: accept first, always; then the caller can be told.
Reproduce: let the provider refuse the key.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/accepted-after-dial",
    title="The provider is dialled before the stream is accepted",
    decides=("F-047",),
    explains=("bridge/exception", "provider-connect/failed"),
    lies="the carrier logs 31920, as if the server were broken",
    source="openai/openai-agents-python twilio example",
    since="2026-11-25",
    needs=("provider",),
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    failed = view.dial_failure
    for upgrade in view.upgrades:
        if failed is not None and (upgrade.status or 0) >= 400 and failed.line < upgrade.line:
            yield RULE.finding(
                upgrade,
                f"The handshake failed ({upgrade.status}) because the provider did: {failed.cause or failed.status}.",
                "accept the carrier first, then dial the provider",
                observable=f"dial failed at {failed.at_ms / 1000:.2f} s, HTTP {upgrade.status} behind it",
            )
            return

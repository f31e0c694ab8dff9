"""
A dependency's new version no longer takes an argument that the program passes when it dials.

Caller notices: an answered call that ends at once.
Why: an upgrade that nobody tested with a call.
Proof: a TypeError in the dial, before any network was touched.
Fix: pin the library, or pass what it takes now; dial once at the start.
Reproduce: install a client without the keyword.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/library-changed",
    title="A library renamed what the dial passes",
    decides=("F-018",),
    explains=("bridge/exception", "carrier-stream/handler-failed", "provider-session/*"),
    lies="the carrier logs 31903, 31920 or 31921: the handler just ended",
    source="websockets 17.4: extra_headers became additional_headers (measured 2026-11-22)",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M8",
)


def find(view: Evidence) -> Iterator[Finding]:
    for exc in view.exceptions:
        dialling = "dial" in exc.task or "dial" in exc.where or "connect" in exc.where
        if exc.type == "TypeError" and dialling and not view.opened_provider and not exc.after_end:
            yield RULE.finding(
                exc,
                f"The dial failed before it touched the network: {exc.type} at {exc.where}.",
                "a library renamed an argument: pin its version, or pass what it takes now",
                observable=f"{exc.type} in {exc.task}",
            )
            return

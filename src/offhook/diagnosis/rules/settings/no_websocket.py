"""
The web server has no WebSocket implementation installed, so every upgrade is answered as an unknown page.

Caller notices: an answered call that ends at once.
Why: an optional library was not installed.
Proof: the runtime has none, and the upgrade was answered with 404.
Fix: install it (uvicorn[standard], or websockets).
Reproduce: run a server with its WebSocket library removed.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/no-websocket",
    title="The server speaks no WebSocket",
    decides=("F-014",),
    explains=("carrier-stream/*",),
    lies="the carrier logs 31920; the path seems not to exist (404)",
    source="uvicorn 0.54.0 without a WebSocket library (measured 2026-11-22)",
    since="2026-11-25",
    breaks="M5",
)


def find(view: Evidence) -> Iterator[Finding]:
    implementation = view.boot.runtime.get("ws_impl")
    if "ws_impl" not in view.boot.runtime or implementation not in (None, "", "none"):
        return
    for upgrade in view.upgrades:
        if upgrade.status != 101:
            yield RULE.finding(
                upgrade,
                f"The server has no WebSocket implementation: it answered the upgrade with {upgrade.status}.",
                "install one (uvicorn[standard], or websockets)",
                observable="runtime: no WebSocket implementation",
            )
            return

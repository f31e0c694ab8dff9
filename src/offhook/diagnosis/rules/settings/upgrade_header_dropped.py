"""
A reverse proxy forwards the upgrade as a plain request: it drops the hop-by-hop headers.

Caller notices: an answered call that ends at once.
Why: proxies must be told to pass Upgrade and Connection on.
Proof: a request with a WebSocket key, and without the Upgrade header, reached the server.
Fix: let the proxy pass Upgrade and Connection on, over HTTP/1.1.
Reproduce: put nginx without the two headers in front.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/upgrade-header-dropped",
    title="A proxy takes the Upgrade header away",
    decides=("F-011",),
    explains=("carrier-stream/*",),
    lies="the carrier logs 31920: the server refused",
    source="nginx.org/en/docs/http/websocket.html",
    since="2026-11-25",
    breaks="M5",
)


def find(view: Evidence) -> Iterator[Finding]:
    for upgrade in view.upgrades:
        dropped = "upgrade" in upgrade.headers and not upgrade.headers["upgrade"]
        if dropped and upgrade.status != 101:
            yield RULE.finding(
                upgrade,
                f"The upgrade of {upgrade.path} reached the server without 'Upgrade: websocket'.",
                "nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection upgrade",
                observable="header Upgrade absent",
                field="Upgrade",
            )
            return

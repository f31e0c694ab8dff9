"""
The TwiML names a path that the server does not serve.

Caller notices: an answered call that ends at once.
Why: a route that was renamed in one place.
Proof: the upgrade of a path for which there is no route.
Fix: make both the same; build the URL from the route.
Reproduce: write /media-streams for /media-stream.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/path-not-served",
    title="The stream's path is not served",
    decides=("F-046",),
    explains=("carrier-stream/rejected-by-us",),
    lies="many servers answer 403, so it looks like an authentication; the carrier logs 31920",
    source="starlette 1.10.0: unknown WebSocket path is 403 (measured 2026-11-22)",
    since="2026-11-25",
    breaks="M5",
)


def find(view: Evidence) -> Iterator[Finding]:
    missed = next((missed for missed in view.missed_hooks if missed.upgrade), None)
    if missed is not None and not view.carrier_up:
        served = f"; served is {missed.served}" if missed.served else ""
        yield RULE.finding(
            missed,
            f"The carrier dialled {missed.path}, which this service does not serve (answered {missed.status}){served}.",
            "make the stream's URL and the route the same",
            observable=f"upgrade of {missed.path}: no such route",
            field="path",
        )
        return
    for upgrade in view.upgrades:
        if upgrade.status == 404 and upgrade.why in ("path", "HTTP 404", "") and "upgrade" not in upgrade.headers:
            yield RULE.finding(
                upgrade,
                f"The carrier dialled {upgrade.path} and got 404.",
                "make the stream's URL and the route the same",
                observable=f"upgrade of {upgrade.path}: HTTP 404",
                field="path",
            )
            return

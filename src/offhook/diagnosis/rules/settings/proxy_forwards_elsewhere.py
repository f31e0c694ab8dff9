"""
A proxy or tunnel answers in place of this process: it forwards to another address or port than the one that listens.

Caller notices: an application error is read out.
Why: the port of the settings and the port of the proxy differ, or the server listens on loopback only.
Proof: a gateway's status (502, 503, 504) with a page that is not ours.
Fix: make the proxy forward to the address that the server listens on.
Reproduce: let a proxy forward to the port beside.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/proxy-forwards-elsewhere",
    title="The proxy forwards to where nobody listens",
    decides=("F-009",),
    explains=("webhook/*",),
    lies="the carrier logs 11200; this process saw nothing",
    source="RFC 9110, 15.6: what a gateway says when nobody answers it",
    since="2026-11-25",
    breaks="M1",
)


def find(view: Evidence) -> Iterator[Finding]:
    listen = view.boot.listen
    for hook in view.hooks:
        gateway = hook.status in (502, 503, 504) and "xml" not in hook.content_type
        if gateway and view.source != "bridge" and hook.signature.ok is None:
            here = f"this process listens on {listen.host}:{listen.port}" if listen.port else "nothing listens there"
            yield RULE.finding(
                hook,
                f"A gateway answered {hook.status} in place of the server: {here}.",
                "make the proxy or tunnel forward to that address and port",
                observable=f"HTTP {hook.status}, {hook.content_type or 'no content type'}",
            )
            return

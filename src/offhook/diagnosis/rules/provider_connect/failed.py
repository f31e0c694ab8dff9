"""
The provider could not be reached, or refused the upgrade.

Caller notices: a spoken line, or silence.
Why: phase and status say whose fault it is: dns and tcp are the network's or the URL's, tls a certificate's, 401 the
key's, 403 the account's, 404 the path's.
Proof: the phase that failed, in the last attempt of the call.
Fix: what the phase names; `offhook check provider` proves it without the phone.
Reproduce: point provider.url at a closed port.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-connect/failed",
    title="The provider could not be connected",
    explains=("provider-session/*", "turns/no-answer", "turns/response-failed"),
    lies="the carrier says 31921 or nothing: the stream just ends",
    source="providers' documents; RFC 6455",
    since="2026-11-24",
    needs=("provider",),
)
PHASES = {
    "dns": "check the host in provider.url and this machine's resolver",
    "tcp": "check the network, a firewall, and provider.url's port",
    "tls": "check this machine's clock and certificates, or the proxy in between",
    "proxy": "check HTTPS_PROXY",
}
STATUSES = {
    401: "the key is refused: set another one",
    403: "the account or region has no realtime access",
    404: "the path is wrong: check provider.url",
    429: "too many sessions at once: wait, or raise the limit",
}


def find(view: Evidence) -> Iterator[Finding]:
    if view.opened_provider or not view.dials or view.dials[-1].failure is None:
        return
    last = view.dials[-1].failure
    status = f" with HTTP {last.status}" if last.status else ""
    yield RULE.finding(
        last,
        f"The provider was not reached: {last.cause or last.phase} ({len(view.dials)} attempt(s)).",
        STATUSES.get(last.status or 0) or PHASES.get(last.phase, "run `offhook check provider`"),
        observable=f"dial failed in phase {last.phase}{status}",
    )

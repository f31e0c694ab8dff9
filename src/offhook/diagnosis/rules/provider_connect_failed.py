"""
The provider could not be reached, or refused the upgrade.

The caller hears a spoken line or silence; the carrier reports 31921 or nothing. Phase and status say whose fault it is:
dns and tcp are the network's or the URL's, tls a certificate's, 401 the key's, 403 the account's, 404 the path's.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="provider-connect/failed",
    title="The provider could not be connected",
    explains=("provider-session/never-ready", "turns/no-answer", "provider-session/lost", "turns/response-failed"),
    source="providers' documents; RFC 6455",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    fixes = {
        "dns": "check the host in provider.url and this machine's resolver",
        "tcp": "check the network, a firewall, and provider.url's port",
        "tls": "check this machine's clock and certificates, or the proxy in between",
        "proxy": "check HTTPS_PROXY",
    }
    statuses = {
        401: "the key is refused: set another one",
        403: "the account or region has no realtime access",
        404: "the path is wrong: check provider.url",
        429: "too many sessions at once: wait, or raise the limit",
    }
    failed = list(call.notes("dial.failed"))
    if not failed or any(note.data.get("id") == "M8" for note in call.notes("milestone")):
        return
    last = failed[-1]
    phase, status = str(last.data.get("phase")), last.data.get("status")
    fix = statuses.get(status or 0) or fixes.get(phase, "run `offhook check provider`")
    yield RULE.finding(
        last.number,
        f"The provider was not reached: {last.data.get('cause')} ({len(failed)} attempt(s)).",
        fix,
        observable=f"dial failed in phase {phase}" + (f" with HTTP {status}" if status else ""),
    )

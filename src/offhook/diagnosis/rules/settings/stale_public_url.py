"""
The number, or the TwiML, names an address that once led here: a tunnel that was restarted under another name.

Caller notices: an application error is read out.
Why: free tunnels change their name at each start.
Proof: the carrier's request went to another host than the public address of this process, and what answered there was
not this process.
Fix: give the number the address of today; use a tunnel with a fixed name.
Reproduce: restart the tunnel and call the old name.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/stale-public-url",
    title="The public address is not this process's",
    decides=("F-006",),
    explains=(
        "webhook/not-served",
        "webhook/unreachable",
        "webhook/unexplained",
        "settings/proxy-forwards-elsewhere",
    ),
    lies="the carrier logs 11200 or 11210; this process saw nothing",
    source="twilio.com/docs/api/errors/11200",
    since="2026-11-25",
    breaks="M0",
)


def find(view: Evidence) -> Iterator[Finding]:
    here = urlsplit(view.boot.public.url).hostname or ""
    for hook in view.hooks:
        foreign = bool(here and hook.host and hook.host != here)
        unanswered = bool(hook.failed) or (hook.status or 0) >= 400
        if foreign and unanswered and view.source != "bridge":
            got = hook.failed or f"HTTP {hook.status}"
            yield RULE.finding(
                hook,
                f"The carrier asked {hook.host} and got {got}; this process is published as {here}.",
                f"give the number's webhook the host {here}",
                observable=f"host {hook.host}, wanted {here}",
                field="host",
            )
            return

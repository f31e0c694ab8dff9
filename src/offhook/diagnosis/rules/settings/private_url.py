"""
The stream's URL names localhost, a private network or a container: the carrier cannot dial it.

Caller notices: an answered call that ends at once.
Why: the URL was made from the Host header that a proxy rewrote, or from a default.
Proof: the host in the stream's URL, and no upgrade that came of it.
Fix: configure the public address; never take it from a request.
Reproduce: start behind a proxy that rewrites Host, without a public URL.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.evidence.reach import is_private

RULE = Rule(
    id="settings/private-url",
    title="The carrier is sent to a private address",
    decides=("F-007",),
    explains=("webhook/*", "carrier-stream/not-started"),
    lies="the carrier logs 31902 or 31904, as if the server were down",
    source="twilio.com/docs/api/errors/31902",
    since="2026-11-25",
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    if any(hook.local for hook in view.hooks):
        return  # whoever asked stands where private addresses are reached
    for doc in view.twiml:
        host = doc.stream.host
        if host and is_private(host) and not doc.rewritten and not view.carrier_up:
            yield RULE.finding(
                doc,
                f"The TwiML sends the carrier to {doc.stream.scheme}://{host}, which nobody on the internet reaches.",
                "set the public URL in the settings",
                observable=f"stream host {host}",
                field="url",
            )
            return

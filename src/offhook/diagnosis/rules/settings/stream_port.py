"""
The stream's URL was made from a host name alone, and lost the port under which the service is published.

Caller notices: an answered call that ends at once.
Why: host and port are different things in most frameworks.
Proof: the port in the TwiML is not the public address's, and the carrier's connection failed there.
Fix: make the stream's URL from the whole public address.
Reproduce: publish on 8443 and leave the port out of the TwiML.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="settings/stream-port",
    title="The stream's URL has another port than the service",
    decides=("F-008",),
    explains=("webhook/*", "carrier-stream/not-started"),
    lies="the carrier logs 31901, 31902 or 31910, as if TLS or the server were broken",
    source="twilio-samples/speech-assistant-openai-realtime-api-python#27",
    since="2026-11-25",
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    public = urlsplit(view.boot.public.url)
    if view.passed_by is not None and not public.hostname:
        return  # two listeners, each with its own port: the tap stands before one of them
    asked = next((hook for hook in view.hooks if hook.host), None)
    host = public.hostname or (asked.host if asked else "")
    port = (public.port if public.hostname else asked.port if asked else None) or 443
    for doc in view.twiml:
        if doc.rewritten:
            continue
        got = doc.stream.port or 443
        if doc.stream.host and doc.stream.host == host and got != port and not view.carrier_up:
            yield RULE.finding(
                doc,
                f"The TwiML points at port {got}, but the service is published on {host}:{port}.",
                "make the stream's URL from the whole public address, port included",
                observable=f"port {got}, wanted {port}",
                field="url",
            )
            return

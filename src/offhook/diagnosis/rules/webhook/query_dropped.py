"""
The carrier drops everything behind the question mark of a stream's URL: what stands there never arrives.

Caller notices: an answered call that ends after a second.
Why: it works with every other WebSocket client.
Proof: the query in the TwiML, and its absence in the upgrade.
Fix: use <Parameter>, which arrives in the start message, or the path.
Reproduce: put ?token= into the stream's URL.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/query-dropped",
    title="A token stands in the stream URL's query",
    decides=("F-035",),
    explains=("carrier-stream/rejected-by-us", "carrier-stream/not-started"),
    lies="the carrier logs 31920: the server refused",
    source="twilio.com/docs/voice/twiml/stream",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M4",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        keys = doc.stream.query_keys
        if not keys:
            continue
        arrived = [upgrade for upgrade in view.upgrades if set(keys) & set(upgrade.query_keys)]
        refused = next((upgrade for upgrade in view.upgrades if upgrade.status != 101), None)
        masked = any(missed.upgrade for missed in view.missed_hooks)
        if refused is not None and not arrived:
            yield RULE.finding(
                doc,
                f"The stream's URL has {', '.join(keys)} behind its '?', and the carrier drops that.",
                "pass it in <Parameter> (it arrives in start.customParameters), or in the path",
                observable=f"query {', '.join(keys)} sent, none arrived",
                field="url",
                would_hit_next=masked,
            )
            return

"""
The server refused the stream because its token was missing, wrong or old.

Caller notices: an answered call that ends after a second.
Why: the token is looked for where it never comes, or has expired.
Proof: the server's own reason.
Fix: accept first, and read the token from start.customParameters.
Reproduce: ask for a token and send none.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/rejected-by-us",
    title="The server's own authentication rejects the stream",
    decides=("F-045",),
    lies="the carrier logs 31920: the handshake failed",
    source="twilio.com/docs/voice/twiml/stream",
    since="2026-11-25",
    breaks="M5",
)
WORDS = ("auth", "token", "unauthor")


def find(view: Evidence) -> Iterator[Finding]:
    missed = next((missed for missed in view.missed_hooks if missed.upgrade), None)
    doc = next((doc for doc in view.twiml if any(map(_own, doc.stream.query_keys))), None)
    if missed is not None and doc is not None:
        yield RULE.finding(
            doc,
            "Behind that the server would reject the stream itself: the token does not arrive.",
            "accept the upgrade, then check the token that start.customParameters brings",
            observable="token in the stream's query",
            proof="consistent with",
            field="token",
            would_hit_next=True,
        )
        return
    for upgrade in view.upgrades:
        if upgrade.status in (401, 403) and upgrade.signature.ok is not False and _own(upgrade.why):
            if doc is not None:
                return  # it was sent and dropped on the way: webhook/query-dropped
            yield RULE.finding(
                upgrade,
                f"The stream was rejected by the server itself: {upgrade.why}.",
                "accept the upgrade, then check the token that start.customParameters brings",
                observable=f"HTTP {upgrade.status}: {upgrade.why}",
                field="token",
            )
            return
    closed = view.closed("carrier")
    if closed is not None and closed.by == "us" and closed.code == 1008 and _own(closed.reason):
        yield RULE.finding(
            closed,
            f"The stream was rejected by the server itself: {closed.reason}.",
            "look at where the token comes from, and how long it lives",
            observable=f"close 1008: {closed.reason}",
            field="token",
        )


def _own(why: str) -> bool:
    return any(word in why.lower() for word in WORDS)

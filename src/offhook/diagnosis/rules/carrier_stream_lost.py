"""
The carrier's connection broke without stop and without a close: a proxy, a tunnel, or the carrier itself.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="carrier-stream/lost",
    title="The carrier connection was lost",
    explains=(),
    source="twilio.com/docs/api/errors/31903",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("carrier.closed"):
        stopped = any(milestone.data.get("id") == "M19" for milestone in call.notes("milestone"))
        ours = any(call.notes("stream.close-sent"))
        if note.data.get("by") == "nobody" and not stopped and not ours:
            yield RULE.finding(
                note.number,
                "The carrier's connection vanished without stop or close.",
                "look at the proxy's or tunnel's idle and maximum times, and at restarts at that minute",
                observable="TCP gone, no close frame",
                proof="consistent with",
            )
    for note in call.notes("deadline.missed"):
        if note.data.get("name") == "carrier reads":
            yield RULE.finding(
                note.number,
                "The carrier stopped reading.",
                "look at the network between the carrier and here",
                observable="write buffer stayed full",
            )

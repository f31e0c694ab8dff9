"""
The carrier's connection takes no data and sends none, but nobody closes it.

Caller notices: silence in the middle of the call.
Why: a network or a machine in between that vanished without saying so.
Proof: the write buffer stayed full for the whole deadline.
Fix: look at the network between the carrier and here; bound every send.
Reproduce: `offhook dial` that stops reading.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/half-dead",
    title="The carrier stopped reading",
    decides=("F-063",),
    explains=("carrier-stream/lost", "turns/no-answer", "bridge/unexplained"),
    lies="the connection is open, and nothing is logged",
    source="RFC 9293: a dead peer is not reported",
    since="2026-11-24",
    needs=("carrier",),
    breaks="M17",
)


def find(view: Evidence) -> Iterator[Finding]:
    for missed in view.missed("carrier reads"):
        yield RULE.finding(
            missed,
            f"The carrier took no data for {missed.waited_ms / 1000:.0f} s and did not close: the connection is dead.",
            "look at the network between the carrier and here",
            observable="write buffer stayed full",
        )

"""
The first message is connected; the ids come with the second, start. The program took the first for the second.

Caller notices: an answered call that ends at once.
Why: it worked with a simulator that sends no connected.
Proof: the exception at the first message.
Fix: wait for start.
Reproduce: send connected a quarter of a second before start.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/first-message-is-connected",
    title="The first message is taken for start",
    decides=("F-057",),
    explains=("bridge/exception", "carrier-stream/handler-failed", "carrier-stream/not-started"),
    lies="the carrier logs 31921 or 31903",
    source="twilio.com/docs/voice/media-streams/websocket-messages",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M6",
)


def find(view: Evidence) -> Iterator[Finding]:
    connected = view.carrier_in.connected
    started = view.carrier_in.start
    for exc in view.exceptions:
        early = connected is not None and connected.line < exc.line and (started is None or exc.line < started.line)
        if early and not exc.after_end and ("start" in exc.where or exc.type in ("KeyError", "TypeError")):
            yield RULE.finding(
                exc,
                f"The program failed at the first message, which is connected ({exc.type} at {exc.where}).",
                "ids arrive with start, the second message: wait for it",
                observable=f"{exc.type} before start",
                field="event",
            )
            return

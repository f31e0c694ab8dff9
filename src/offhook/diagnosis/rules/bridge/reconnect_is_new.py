"""
The carrier came back with the same call, and was taken for a new one.

Caller notices: the agent greets again and has forgotten everything.
Why: the session hangs on the stream and ends with it, not on the call.
Proof: two streams of one call within seconds, our close of the first session, and a second session.
Fix: keep the session for two seconds after a stream that broke; give it to the next stream of the same call.
Reproduce: break the carrier's connection and come back after a second.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/reconnect-is-new",
    title="A stream that came back was taken for a new call",
    decides=("F-087",),
    explains=("carrier-stream/lost", "carrier-stream/session-outlives-call", "*/unexplained"),
    lies="it looks like the model's memory",
    source="openclaw/openclaw#125469; twilio-labs/call-gpt#61",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M14",
)
GRACE_MS = 5000.0


def find(view: Evidence) -> Iterator[Finding]:
    for again in view.talk.streams[1:]:
        broke = [c for c in view.closes if c.leg == "carrier" and 0 <= again.at_ms - c.at_ms <= GRACE_MS]
        ended = [c for c in view.closes if c.leg == "provider" and c.by == "us" and c.at_ms <= again.at_ms]
        dials = [dial for dial in view.dials if dial.at_ms >= again.at_ms - GRACE_MS]
        if broke and ended and dials and broke[-1].by != "us":
            yield RULE.finding(
                again,
                f"The carrier's stream came back after {(again.at_ms - broke[-1].at_ms) / 1000:.1f} s, and got a new "
                "session: what had been said is lost.",
                "keep the session for a few seconds and give it to the next stream of the same callSid",
                observable=f"two streams of one call, {len(view.dials)} sessions",
            )
            return

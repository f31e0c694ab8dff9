"""
The stream was closed before the carrier had been told where the call goes.

Caller notices: "I put you through", then the line is cut.
Why: a call whose <Connect> ends goes on with the next verb; where there is none it ends, and cannot be redirected.
Proof: our close, then a request for the call that failed or came too late; nothing behind <Connect>.
Fix: redirect the call by REST first: that closes the stream by itself.
Reproduce: close, then ask for the transfer two seconds later.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="tools/transfer-after-close",
    title="The stream was closed before the transfer",
    decides=("F-151",),
    explains=("call-control/hang-up-refused", "call-control/unexplained", "bridge/closed-over-speech"),
    lies="the carrier shows a completed call",
    source="twilio.com/docs/voice/twiml/connect; dograh-hq/dograh c7119201",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M19",
)
SOON_MS = 10_000.0


def find(view: Evidence) -> Iterator[Finding]:
    closed = view.closed("carrier")
    if closed is None or closed.by != "us":
        return
    goes_on = any(doc.next_verb for doc in view.twiml)
    for asked in view.rest:
        late = asked.op == "update" and -1.0 <= asked.at_ms - closed.at_ms < SOON_MS and not asked.ok
        if not late or goes_on:
            continue
        yield RULE.finding(
            closed,
            f"The stream was closed {(asked.at_ms - closed.at_ms) / 1000:.1f} s before the transfer was answered "
            f"(HTTP {asked.http}, {asked.code}); nothing stood behind <Connect>, so the call ended.",
            "redirect the call by REST first; the carrier then closes the stream by itself",
            observable=f"closed by us at {closed.at_ms / 1000:.1f} s, the request failed at {asked.at_ms / 1000:.1f} s",
        )
        return

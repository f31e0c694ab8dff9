"""
<Start> does not wait. Where nothing follows it, the document is at its end and the carrier hangs up.

Caller notices: the call ends at once.
Why: <Connect> waits, <Start> does not.
Proof: the verb, nothing behind it, and the call's end within seconds.
Fix: use <Connect><Stream> to talk; to listen, let <Pause> or <Dial> follow.
Reproduce: answer with <Start><Stream> alone.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/nothing-after-start",
    title="A one-way stream is the last verb",
    decides=("F-038",),
    explains=("carrier-stream/contract", "carrier-stream/unknown-event", "far-end/left-early"),
    lies="no code at all: the document came to its end",
    source="twilio.com/docs/voice/twiml/stream",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)
AT_ONCE_MS = 3000


def find(view: Evidence) -> Iterator[Finding]:
    ended = view.final_status or view.closed("carrier") or view.carrier_in.stop
    for doc in view.twiml:
        if doc.verb == "Start" and doc.next_verb is None and ended and ended.at_ms - doc.at_ms < AT_ONCE_MS:
            yield RULE.finding(
                doc,
                "The TwiML ends behind <Start>: the carrier hung up because nothing follows.",
                "use <Connect><Stream>, which waits for the stream to end",
                observable=f"call over {(ended.at_ms - doc.at_ms) / 1000:.1f} s after the document",
                field="Start",
            )
            return

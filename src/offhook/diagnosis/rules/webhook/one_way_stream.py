"""
<Start><Stream> only listens: what is sent back is never played.

Caller notices: silence.
Why: the examples for transcription use it.
Proof: the verb, and messages that were sent on the stream.
Fix: use <Connect><Stream>.
Reproduce: answer with <Start><Stream> and a Pause.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/one-way-stream",
    title="A one-way stream where a two-way one is needed",
    decides=("F-036",),
    explains=("carrier-stream/contract", "carrier-stream/unknown-event", "turns/no-answer"),
    lies="the stream starts and audio flows to the server; the carrier logs 31924 or nothing",
    source="twilio.com/docs/voice/twiml/stream",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        sent = view.carrier_out.audio.frames or any(v.outbound and v.leg == "carrier" for v in view.violations)
        if doc.verb == "Start" and sent and doc.next_verb is not None:
            yield RULE.finding(
                doc,
                "<Start><Stream> only listens: what the agent says is never played.",
                "use <Connect><Stream>",
                observable="verb Start, and audio sent on it",
                field="Start",
            )
            return

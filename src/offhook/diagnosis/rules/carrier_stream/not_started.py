"""
The carrier opened the stream but sent no start, or no audio, or audio that nobody here can use.

Caller notices: silence, then a spoken line.
Why: something between the carrier and here holds messages back, or the stream asks for another format.
Proof: the deadline of the message that did not come.
Fix: look at the proxy; remove audioFormat and sampleRate from the stream.
Reproduce: `offhook dial` that sends no start.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/not-started",
    title="The media stream did not start",
    explains=("turns/no-answer",),
    lies="the upgrade succeeded with 101",
    source="twilio.com/docs/voice/media-streams/websocket-messages",
    since="2026-11-24",
    needs=("carrier",),
)


def find(view: Evidence) -> Iterator[Finding]:
    for missed in view.missed("start", "first caller frame"):
        yield RULE.finding(
            missed,
            f"The carrier sent no {'start message' if missed.name == 'start' else 'audio'}.",
            "something between the carrier and here holds messages back: look at the proxy",
            observable=f"no confirmation: {missed.name}",
        )
    for note in view.recording.notes("format.unsupported"):
        yield RULE.finding(
            note.number,
            f"The carrier sends {note.text('carrier')}, the provider wants {note.text('provider')}.",
            "remove audioFormat and sampleRate from the stream, or choose a provider that takes this format",
            observable="start.mediaFormat",
        )

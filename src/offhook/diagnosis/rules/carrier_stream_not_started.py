"""
The carrier opened the stream but sent no start, or no audio.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="carrier-stream/not-started",
    title="The media stream did not start",
    explains=(),
    source="twilio.com/docs/voice/media-streams/websocket-messages",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    for note in call.notes("deadline.missed"):
        name = str(note.data.get("name"))
        if name in ("start", "first caller frame"):
            yield RULE.finding(
                note.number,
                f"The carrier sent no {'start message' if name == 'start' else 'audio'}.",
                "something between the carrier and here holds messages back: look at the proxy",
                observable=f"no confirmation: {name}",
            )
    for note in call.notes("format.unsupported"):
        yield RULE.finding(
            note.number,
            f"The carrier sends {note.data.get('carrier')}, the provider wants {note.data.get('provider')}.",
            "remove audioFormat and sampleRate from the stream, or choose a provider that takes this format",
            observable="start.mediaFormat",
        )

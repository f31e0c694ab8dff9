"""
A file's header or compressed audio is in what is played: the carrier plays it as a click, or as noise throughout.

Caller notices: a click before each sentence, or noise.
Why: a WAV or MP3 was sent as it lay on the disk.
Proof: the payload begins with a file's magic bytes.
Fix: send raw PCMU: cut the header off, decode what is compressed.
Reproduce: send a WAV file's bytes.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/file-header",
    title="A file header is played",
    decides=("F-133",),
    explains=("carrier-stream/contract", "media/not-pcmu", "media/odd-frames", "bridge/exception"),
    lies="no code is logged: any bytes are audio to the carrier",
    source="twilio.com/docs/voice/media-streams/websocket-messages: raw audio, no header",
    since="2026-11-25",
)


def find(view: Evidence) -> Iterator[Finding]:
    found = next((v for v in view.violations if v.leg == "carrier" and v.outbound and "file header" in v.got), None)
    if found is not None:
        yield RULE.finding(
            found,
            f"What is sent to the carrier begins with {found.got}.",
            "send raw PCMU: cut the header off, decode what is compressed",
            observable=found.got,
            field=found.field or "media.payload",
        )

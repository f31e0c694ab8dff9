"""
The program asks for a field that the carrier does not send, so that it understands none of its messages.

Caller notices: an agent that hears nothing.
Why: another carrier's names, or a guess.
Proof: the exception names the field; the carrier's messages have another.
Fix: read the documented name.
Reproduce: read start.stream_sid.
"""

import re
from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/wrong-field-read",
    title="The carrier's fields are read by wrong names",
    decides=("F-056",),
    explains=("bridge/exception", "bridge/unexplained", "carrier-stream/handler-failed", "turns/no-answer"),
    lies="the stream runs, and the carrier logs nothing, or 31921",
    source="twilio.com/docs/voice/media-streams/websocket-messages",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M6",
)
# What programs ask for, and what the carrier sends (twilio.com, websocket-messages, checked 2026-11-22).
WRONG = {
    "stream_sid": "streamSid",
    "call_sid": "callSid",
    "streamId": "streamSid",
    "stream_id": "streamSid",
    "data": "media.payload",
    "audio": "media.payload",
    "custom_parameters": "customParameters",
    "media_format": "mediaFormat",
}


def find(view: Evidence) -> Iterator[Finding]:
    for exc in view.exceptions:
        first = view.carrier_in.start is None or exc.at_ms <= view.carrier_in.start.at_ms
        field = _field(exc.where)
        if exc.type in ("KeyError", "AttributeError") and field in WRONG and not (first and field == "start"):
            yield RULE.finding(
                exc,
                f"The program asked the carrier's message for '{field}'; the carrier sends '{WRONG[field]}'.",
                f"read {WRONG[field]}",
                observable=f"{exc.type}: {field}",
                field=WRONG[field],
            )
            return


def _field(where: str) -> str:
    """The name in the last brackets of a place like ``on_start:52 start['stream_sid']``."""
    found = re.search(r"\[['\"]([\w.]+)['\"]\]\s*$", where)
    return found[1] if found else ""

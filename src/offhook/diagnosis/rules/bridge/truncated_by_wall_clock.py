"""
The provider is told that the caller heard more of an item than the item holds.

Caller notices: the agent believes it said what nobody heard, or says it again.
Why: the offset is counted from the beginning of the stream, not in played milliseconds of the item.
Proof: audio_end_ms beyond the item's length, by more than what is on its way.
Fix: count what was played of this item: by marks, at most what was sent of it.
Reproduce: interrupt the second answer and send the time since the start.
"""

import re
from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import ProviderError
from offhook.diagnosis.figures import barge_ins

RULE = Rule(
    id="bridge/truncated-by-wall-clock",
    title="An interrupted answer is cut at the wrong place",
    decides=("F-079",),
    explains=("provider-session/refused",),
    lies="it looks like the model's memory",
    source="openclaw/openclaw#138592; twilio-samples/speech-assistant-openai-realtime-api-python#45",
    since="2026-11-25",
    needs=("provider",),
    breaks="M18",
)
BEYOND_MS = 300.0  # a race at the end of an item is smaller, and harmless
_SHORTER = re.compile(r"content of (\d+)\s*ms is already shorter than (\d+)\s*ms")


def find(view: Evidence) -> Iterator[Finding]:
    if view.source == "bridge":
        return  # counts what it was sent: where that is too much, the audio is not in the format that was said
    for error in view.provider.errors:
        said = _SHORTER.search(error.message)
        if said and int(said[2]) - int(said[1]) > BEYOND_MS:
            yield _finding(error, float(said[2]), float(said[1]))
            return
    for barge, began in barge_ins(view):
        if barge.truncated_ms is not None and barge.item_ms and barge.truncated_ms - barge.item_ms > BEYOND_MS:
            yield _finding(ProviderError(line=began.line, at_ms=began.at_ms), barge.truncated_ms, barge.item_ms)
            return


def _finding(at: ProviderError, asked: float, holds: float) -> Finding:
    return RULE.finding(
        at,
        f"The item was to be cut at {asked:.0f} ms, and it holds {holds:.0f} ms.",
        "send the milliseconds of this item that were played, not the time since the stream began",
        observable=f"audio_end_ms {asked:.0f}, item {holds:.0f} ms",
        field="audio_end_ms",
    )

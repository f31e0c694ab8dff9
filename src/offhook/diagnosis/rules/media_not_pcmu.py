"""
The audio's bytes are not µ-law: PCM16, A-law or base64 twice. The carrier plays it as noise and says nothing.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.evidence.record import Recording

RULE = Rule(
    id="media/not-pcmu",
    title="The audio is not PCMU",
    explains=(),
    source="byte statistics, measured 2026-11-22; thresholds in media/levels.py",
    since="2026-11-24",
)


def find(call: Recording) -> Iterator[Finding]:
    end = call.counters().get("channels") or []
    line = next((entry.number for entry in reversed(call.lines) if entry.kind == "counters"), 1)
    for name, channel in (("the carrier", 0), ("the provider", 2)):
        judged = end[channel].get("judged") if len(end) > channel else None
        if judged in ("pcm16", "a-law", "base64-twice"):
            yield RULE.finding(
                line,
                f"What {name} sends is {judged}, not PCMU.",
                "make both sides agree on audio/pcmu at 8000 Hz",
                observable=f"par {end[channel].get('par')}, zero bytes {end[channel].get('zero')}",
                proof="consistent with",
            )

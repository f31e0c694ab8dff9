"""
The agent's audio is played at another rate than it was made: too long and deep, or short and shrill.

Caller notices: a slow, deep or a quick, squeaking voice.
Why: 24 kHz was taken for 16 or 8 kHz, or the reverse.
Proof: seconds of audio that came against seconds that were sent.
Fix: resample from the rate that the session's echo names.
Reproduce: a resampler told 8000 Hz for 24000.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/downlink-rate",
    title="The agent's audio is played at another rate",
    decides=("F-128",),
    lies="level and codec are right",
    source="ratios of section 5 of the evidence model",
    since="2026-11-25",
    needs=("carrier", "provider"),
)
TOLERANCE = 0.15
AT_LEAST_MS = 2000.0


def find(view: Evidence) -> Iterator[Finding]:
    told = session.told(view, first=True)
    form = session.audio_format(told.data, "output") if told else None
    came, sent = view.provider.audio, view.carrier_out.audio
    if (
        told is None
        or form is None
        or form[0] != "audio/pcm"
        or sent.judged in ("pcm16", "a-law", "base64-twice")
        or view.carrier_out.clears
    ):
        return  # other bytes are another fault; after a clear not all that came is sent
    came_ms = came.bytes / session.bytes_per_frame(form) * 20
    sent_ms = sent.bytes / 8
    if came_ms < AT_LEAST_MS or not sent_ms:
        return
    for factor in (3.0, 2.0, 1.5, 2 / 3, 0.5, 1 / 3):
        if abs(sent_ms / came_ms / factor - 1) < TOLERANCE:
            yield RULE.finding(
                sent.line,
                f"{came_ms / 1000:.1f} s of the agent came, {sent_ms / 1000:.1f} s were sent: "
                f"{form[1]} Hz was taken for {form[1] / factor:.0f} Hz.",
                f"resample from {form[1]} Hz, as the session's echo says",
                observable=f"{sent_ms / came_ms:.2f} s sent for each second that came",
            )
            return

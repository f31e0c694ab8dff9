"""
Our own conversion damages the audio: a filter that forgets between pieces, or none where one is needed.

Caller notices: clicks fifty times a second, or sharp sounds where there are none.
Why: a resampler without state per direction and call, or decimation without a low pass.
Proof: a tone through the program's own path: what stands beside it, and what it turned into.
Fix: keep the filter's state per call and direction; filter before reducing the rate.
Reproduce: `offhook check audio` on this installation; a tone through the program elsewhere.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/own-conversion",
    title="The program's own conversion damages the audio",
    decides=("F-131", "F-132"),
    lies="levels and counters are right",
    source="measured 2026-11-22: 48 dB is PCMU's own ceiling, a filter with state keeps 38 and more",
    since="2026-11-25",
)
LEAST_SNR_DB = 30.0
MOST_ALIAS_DB = -30.0


def find(view: Evidence) -> Iterator[Finding]:
    for note in view.recording.notes("audio.selftest"):
        tone = note.figure("tone_hz")
        alias, snr = note.data.get("alias_db"), note.data.get("snr_db")
        if isinstance(alias, (int, float)) and alias > MOST_ALIAS_DB:
            yield RULE.finding(
                note.number,
                f"A tone of {tone:.0f} Hz, which the line cannot carry, comes out as another one at {alias:.0f} dB.",
                "filter below 3.4 kHz before the rate is reduced",
                observable=f"alias of {tone:.0f} Hz at {alias:.0f} dB",
                catalogue="F-132",
            )
        elif isinstance(snr, (int, float)) and snr < LEAST_SNR_DB:
            yield RULE.finding(
                note.number,
                f"A tone of {tone:.0f} Hz comes out only {snr:.0f} dB above what the conversion adds.",
                "keep the filter's state between pieces, one for each call and direction",
                observable=f"{snr:.0f} dB, {LEAST_SNR_DB:.0f} wanted",
                catalogue="F-131",
            )

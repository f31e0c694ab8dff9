"""
Short noises count as barge-ins and cut the agent off.

Caller notices: an agent that stops for every cough.
Why: a sensitive threshold, a noisy place.
Proof: how short the speech was that interrupted it.
Fix: ask for a longer speech, or for words, before an interruption.
Reproduce: play bursts of 90 ms.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import interruptions

RULE = Rule(
    id="far-end/noise-interrupts",
    title="Noise interrupts the agent",
    decides=("F-162",),
    lies="the provider reports speech",
    source="threshold: the shortest words last 200 ms; measured on synthetic noise",
    since="2026-11-25",
    needs=("carrier", "provider"),
)
TIMES, SHORT_MS = 3, 550  # a report ends with the silence that ended the turn


def find(view: Evidence) -> Iterator[Finding]:
    cuts = [spoke_ms for _, spoke_ms in interruptions(view) if spoke_ms is not None]
    short = [spoke_ms for spoke_ms in cuts if spoke_ms < SHORT_MS]
    echo = view.carrier_in.figures.get("echo")
    alike = isinstance(echo, dict) and float(echo.get("correlation") or 0) >= 0.6
    if len(short) >= TIMES and len(short) > len(cuts) / 2 and not alike:
        yield RULE.finding(
            view.carrier_in.audio.line,
            f"{len(short)} of {len(cuts)} interruptions were noises of less than {SHORT_MS} ms.",
            "ask for 480 ms of speech, or for words, before the agent stops",
            observable=f"{len(short)} interruptions under {SHORT_MS} ms",
            severity="far-end",
        )

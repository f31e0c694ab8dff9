"""
The agent's voice comes back through the callee's speaker and microphone, and counts as a barge-in.

Caller notices: an agent that stops in the middle of its sentences.
Why: a speakerphone without echo cancellation.
Proof: the envelope of what came in is that of what went out, some hundred milliseconds later.
Fix: raise the threshold, ask for several words before an interruption.
Reproduce: feed the agent's audio back at -18 dB after 240 ms.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/acoustic-echo",
    title="Acoustic echo interrupts the agent",
    decides=("F-161",),
    lies="the provider reports speech: it hears the agent's own voice",
    source="speakerphones; correlation measured by the recorder",
    since="2026-11-25",
    needs=("carrier",),
)
ALIKE, TIMES = 0.6, 2


def find(view: Evidence) -> Iterator[Finding]:
    echo = view.carrier_in.figures.get("echo")
    barges = view.carrier_out.figures.get("barge_ins")
    n = len(barges) if isinstance(barges, list) else len(view.carrier_out.clears)
    if isinstance(echo, dict) and n >= TIMES and float(echo.get("correlation") or 0) >= ALIKE:
        yield RULE.finding(
            view.carrier_in.audio.line,
            f"The agent's own voice comes back {echo.get('lag_ms')} ms later and interrupted it {n} times.",
            "raise the turn detection's threshold, or ask for more than one word before an interruption",
            observable=f"correlation {echo.get('correlation')} at {echo.get('lag_ms')} ms",
            severity="far-end",
        )

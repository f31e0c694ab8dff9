"""
The caller left before anything was said: nobody's fault.

Caller notices: nothing; they have left.
Why: people hang up.
Proof: the carrier's stop came first, before any error.
Fix: nothing to mend.
Reproduce: hang up 700 ms after the start.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="far-end/left-early",
    title="The caller left early",
    lies="31921 and exceptions of the clean-up look like a crash at the start",
    source="gptme/gptme-contrib#712",
    since="2026-11-24",
    needs=("carrier",),
)
EARLY_MS = 5000


def find(view: Evidence) -> Iterator[Finding]:
    stop = view.carrier_in.stop or view.marks.get("M19")
    heard = "M14" in view.marks or view.carrier_out.audio.frames
    decided = view.ending is not None and view.ending.line < stop.line if stop else False
    if stop is not None and not heard and stop.at_ms < EARLY_MS and not decided:
        yield RULE.finding(
            stop,
            f"The caller hung up after {stop.at_ms / 1000:.1f} s, before the agent spoke.",
            "nothing to mend",
            observable="stop seen first",
            severity="far-end",
        )

"""
The provider's audio is made for another rate than the format that it confirmed: it plays slow and deep, or shrill.

Caller notices: a slow, deep or a quick, squeaking voice.
Why: the provider resampled to another rate than it says.
Proof: where the caller interrupts, our bridge says what was heard, by bytes; the provider has less than was sent.
Fix: ask for another format, or report it to the provider.
Reproduce: `offhook fake openai --fault wrong-rate`, and interrupt it.
"""

import re
from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.figures import number

RULE = Rule(
    id="media/made-at-another-rate",
    title="The agent's audio was made for another rate",
    decides=("F-128",),
    lies="level and codec are right, and the session confirms the format",
    source="the answer to a truncation behind an item's end, as clients' reports have it (checked 2026-11-22)",
    since="2026-11-26",
    needs=("provider", "bridge"),
)
SHORTER = re.compile(r"Audio content of (\d+)ms is already shorter than (\d+)ms")
FACTORS, TOLERANCE = (3.0, 2.0, 1.5), 0.05


def find(view: Evidence) -> Iterator[Finding]:
    cuts = list(view.recording.notes("barge-in"))
    for error in view.errors:
        said = SHORTER.search(error.message)
        cut = next((line for line in reversed(cuts) if line.number < error.line), None)
        if said is None or cut is None:
            continue
        has_ms, sent_ms = float(said[1]), number(cut.data, "sent_ms") or 0.0
        for factor in FACTORS:
            if has_ms and abs(sent_ms / has_ms / factor - 1) < TOLERANCE:
                yield RULE.finding(
                    error,
                    f"The provider made {has_ms / 1000:.1f} s of audio, and its bytes last {sent_ms / 1000:.1f} s in "
                    f"the format that it confirmed: they are made for {8000 * factor:.0f} Hz.",
                    "ask for another output format, or report it to the provider",
                    observable=f"{sent_ms / has_ms:.2f} s came for each second that the provider counts",
                )
                return

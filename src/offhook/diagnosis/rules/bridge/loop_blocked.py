"""
Something blocked the process: every call in it stalled at the same time.

Caller notices: choppy speech, in all calls at once; at worst a dead line.
Why: work that does not give the event loop back (a tool, a database, a swapped-out page).
Proof: the loop's probe came late by the time that is named.
Fix: move the work off the loop, or look for other work on the machine.
Reproduce: sleep for a second in a tool, without await.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="bridge/loop-blocked",
    title="The process was blocked",
    decides=("F-074",),
    explains=("carrier:31930",),
    lies="the network is blamed: all calls were choppy at once",
    source="gptme/gptme-contrib e03652e8",
    since="2026-11-24",
)
NOTED_MS, FAULT_MS = 250, 1000  # a jitter buffer hides less than the one; the other is a hole in every call


def find(view: Evidence) -> Iterator[Finding]:
    worst = max(view.lags, key=lambda lag: lag.ms, default=None)
    if worst is not None and worst.ms >= NOTED_MS:
        yield RULE.finding(
            worst,
            f"The process stood still for {worst.ms:.0f} ms{f' in {worst.task}' if worst.task else ''}; "
            "every call in it was choppy then.",
            "look for other work on this machine, or fewer calls a process",
            observable=f"event loop {worst.ms:.0f} ms late",
            severity="fault" if worst.ms >= FAULT_MS else "note",
        )

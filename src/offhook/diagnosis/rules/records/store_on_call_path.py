"""
The store did not take a write, and the call waited for it.

Caller notices: choppy audio, or nothing.
Why: records are written on the loop that carries the audio; a locked database or a full disk stops both.
Proof: a write that waited, and the loop late by as much in the same moment.
Fix: write from another thread, behind a bounded queue.
Reproduce: hold an exclusive lock for three seconds.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/store-on-call-path",
    title="The call waited for the store",
    decides=("F-154",),
    explains=("bridge/loop-blocked", "carrier-stream/read-too-slowly"),
    lies="processor and network are blamed",
    source="sqlite.org/rescode.html: SQLITE_BUSY; gptme/gptme-contrib e03652e8",
    since="2026-11-25",
    needs=("bridge",),
    breaks="M10",
)
STALL_MS, SAME_MOMENT_MS = 200.0, 500.0


def find(view: Evidence) -> Iterator[Finding]:
    for stall in view.inside.stalls:
        if stall.beside:
            continue  # a machine that is too slow makes the store and the loop late together
        lags = [lag for lag in view.lags if abs(lag.at_ms - stall.at_ms) < SAME_MOMENT_MS + stall.ms]
        if stall.ms < STALL_MS or not any(lag.ms >= stall.ms / 2 for lag in lags):
            continue  # a writer that waits beside the loop harms no call
        yield RULE.finding(
            stall,
            f"A write waited {stall.ms / 1000:.1f} s for the store ({stall.error or 'no error'}), and the whole "
            "process with it.",
            "write records from another thread, behind a bounded queue",
            observable=f"store stalled {stall.ms:.0f} ms, event loop late by {max(lag.ms for lag in lags):.0f} ms",
        )
        return

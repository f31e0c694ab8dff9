"""
Steady noise keeps the caller's turn open: the provider never sees the end of speech and never answers.

Caller notices: the agent listens for ever.
Why: fan, street or music above the threshold of turn detection.
Proof: speech_started without speech_stopped for many seconds, while the line is never quiet.
Fix: noise reduction (near_field, far_field), a higher threshold, or semantic turn detection.
Reproduce: a caller with noise at -22 dBFS.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/turn-never-ends",
    title="The caller's turn never ends",
    decides=("F-104",),
    explains=("turns/*",),
    lies="speech_started says that all is well",
    source="openai-python 3.54.0 types/realtime: noise_reduction",
    since="2026-11-25",
    needs=("provider",),
    breaks="M12",
)
OPEN_MS = 12_000.0  # the longest turn of our spoken test calls is 9 s


def find(view: Evidence) -> Iterator[Finding]:
    wire = view.provider
    for n, began in enumerate(wire.speech):
        following = wire.speech[n + 1].at_ms if n + 1 < len(wire.speech) else view.length_ms
        closed = view.closed("provider") or view.carrier_in.stop
        until = min(following, closed.at_ms if closed else following)
        if until - began.at_ms < OPEN_MS or n + 1 < len(wire.speech):
            continue
        if any(began.at_ms <= stopped.at_ms <= following for stopped in wire.speech_stopped):
            continue
        yield RULE.finding(
            began,
            f"The provider heard the caller begin at {began.at_ms / 1000:.1f} s and never end, for "
            f"{(until - began.at_ms) / 1000:.0f} s: something on the line is never quiet.",
            "set noise_reduction, raise turn_detection.threshold, or use semantic_vad",
            observable=f"speech_started without speech_stopped for {(until - began.at_ms) / 1000:.0f} s",
        )
        return

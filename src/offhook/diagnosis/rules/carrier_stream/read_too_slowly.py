"""
The process did not read for so long that the carrier threw the caller's audio away.

Caller notices: the agent understands half of what was said.
Why: something blocked the process, or it writes before it reads.
Proof: sequence numbers that are missing, and frames that came late.
Fix: never block the loop that reads.
Reproduce: block the process for eight seconds.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/read-too-slowly",
    title="The server reads too slowly and the carrier drops audio",
    decides=("F-060",),
    explains=("bridge/loop-blocked", "turns/no-answer"),
    lies="the carrier logs 31930; the model seems to mishear",
    source="twilio.com/docs/api/errors/31930",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M7",
)
LOST_FRAMES, LATE_MS = 20, 1000  # 0.4 s of speech; small jitter loses one or two frames
STANDSTILL_MS = 20_000  # the usual interval of keepalives


def find(view: Evidence) -> Iterator[Finding]:
    came = view.carrier_in
    alert = view.alerted("31930")
    blocked = max(view.lags, key=lambda lag: lag.ms, default=None)
    if blocked is not None and blocked.ms >= STANDSTILL_MS:
        return  # breaks more than the reading: it is named as itself
    slow = came.late_max_ms >= LATE_MS or alert is not None or (blocked is not None and blocked.ms >= LATE_MS)
    if came.lost >= LOST_FRAMES and slow:
        task = f", blocked by {blocked.task}" if blocked is not None and blocked.task else ""
        yield RULE.finding(
            blocked or alert or came.audio.line,
            f"The carrier dropped {came.lost / 50:.1f} s of the caller's audio: this process did not read{task}.",
            "move what blocks off the loop that reads the stream",
            observable=f"{came.lost} frames missing, {came.late_max_ms:.0f} ms late",
            field="sequenceNumber",
        )

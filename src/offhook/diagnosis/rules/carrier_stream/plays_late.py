"""
The carrier plays what it was sent seconds later than it could: it reads slowly, or something in between holds it back.

Caller notices: answers that come late, and an agent that goes on when it is interrupted.
Why: a path to the carrier that is slower than speech, or a standstill on it.
Proof: marks that came back long after their audio was due, while the caller's own frames came in time.
Fix: look at the network between here and the carrier; a tunnel or a proxy may be the narrow place.
Reproduce: `offhook dial --fault slow-read`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/plays-late",
    title="The carrier plays the agent late",
    decides=("F-063",),
    explains=("carrier-stream/half-dead", "carrier-stream/lost", "turns/no-answer"),
    lies="the answers were quick, and every mark comes back",
    source="twilio.com/docs/voice/media-streams/websocket-messages: a mark comes back when its audio was played",
    since="2026-11-26",
    needs=("carrier", "bridge"),
    breaks="M17",
)
LATE_MS = 2000.0  # ten times the slowest path of a phone call
UPLINK_LATE_MS = 1000.0  # late frames as well: then it is this process, or the whole line


def find(view: Evidence) -> Iterator[Finding]:
    late_ms = view.carrier_out.marks_latest_ms
    if late_ms is None or late_ms < LATE_MS or view.carrier_in.gap_max_ms >= UPLINK_LATE_MS:
        return
    if any(lag.ms >= UPLINK_LATE_MS for lag in view.lags):
        return
    yield RULE.finding(
        view.carrier_out.audio.line,
        f"Marks came back up to {late_ms / 1000:.1f} s after their audio was due: it was played that much too late.",
        "look at the network between here and the carrier: a tunnel or a proxy that is slower than speech",
        observable=f"the latest mark {late_ms:.0f} ms behind, no gap in the caller's frames over "
        f"{view.carrier_in.gap_max_ms:.0f} ms",
    )

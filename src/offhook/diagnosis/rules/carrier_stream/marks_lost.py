"""
Some marks never come back, though those behind them do.

Caller notices: nothing by itself; what was heard at a barge-in is known less exactly.
Why: something between here and the carrier drops messages, or the carrier breaks its word.
Proof: marks that were skipped by later ones, with no clear between.
Fix: look at what stands between; TCP loses nothing.
Reproduce: `offhook dial --fault lost-marks`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/marks-lost",
    title="Marks get lost",
    lies="every mark that comes back is right",
    source="twilio.com/docs/voice/media-streams/websocket-messages: each mark is returned, in order",
    since="2026-11-26",
    needs=("carrier", "bridge"),
    breaks="M17",
)
AT_LEAST = 3


def find(view: Evidence) -> Iterator[Finding]:
    out = view.carrier_out
    if out.marks_lost >= AT_LEAST and out.marks_played:
        yield RULE.finding(
            out.audio.line,
            f"{out.marks_lost} of {out.marks_sent} marks never came back, and later ones did.",
            "look at what stands between here and the carrier: it drops messages",
            observable=f"{out.marks_lost} marks skipped, {out.marks_played} returned",
            severity="suspicion",
            field="mark.name",
        )

"""
The carrier's connection takes no data and sends none, but nobody closes it.

Caller notices: silence in the middle of the call.
Why: a network or a machine in between that vanished without saying so.
Proof: the write buffer stayed full for the whole deadline.
Fix: look at the network between the carrier and here; bound every send.
Reproduce: `offhook dial` that stops reading.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/half-dead",
    title="The carrier stopped reading",
    decides=("F-063",),
    explains=("carrier-stream/lost", "turns/no-answer", "bridge/unexplained"),
    lies="the connection is open, and nothing is logged",
    source="RFC 9293: a dead peer is not reported",
    since="2026-11-24",
    needs=("carrier",),
    breaks="M17",
)
SILENT_MS = 10_000  # a carrier sends fifty frames a second, silence included


def find(view: Evidence) -> Iterator[Finding]:
    missed = next(iter(view.missed("carrier reads", "frames")), None)
    start = view.carrier_in.start
    heard = start.at_ms + view.carrier_in.audio.frames * 20 if start is not None else 0.0
    silent_ms = view.length_ms - heard
    over = view.carrier_in.stop or view.closed("carrier") or view.final_status or view.recording.end is None
    unplayed = view.carrier_out.marks_sent > view.carrier_out.marks_returned
    if missed is not None:
        yield RULE.finding(
            missed,
            f"Nothing went through for {missed.waited_ms / 1000:.0f} s and nobody closed: the connection is dead.",
            "look at the network between the carrier and here; bound every send",
            observable=f"no confirmation: {missed.name}",
        )
    elif start is not None and not over and view.carrier_in.audio.frames and silent_ms > SILENT_MS and unplayed:
        yield RULE.finding(
            view.carrier_in.audio.line,
            f"The carrier sent nothing for {silent_ms / 1000:.0f} s, returned no mark, and did not close.",
            "look at the network between the carrier and here; bound every send and watch for frames that stop",
            observable=f"last frame at {heard / 1000:.1f} s of {view.length_ms / 1000:.1f} s, no close",
        )

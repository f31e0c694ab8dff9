"""
The start message is of another carrier than the one that the program is made for: field names are per carrier.

Caller notices: silence.
Why: two carriers that both call it a media stream.
Proof: the shape of start.
Fix: use that carrier's names.
Reproduce: play a Plivo start to a Twilio server.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="carrier-stream/another-carriers-dialect",
    title="The stream speaks another carrier's dialect",
    decides=("F-065", "F-067"),
    explains=("carrier-stream/*",),
    lies="that carrier logs nothing",
    source="carriers' pages, checked 2026-11-22: plivo, exotel, telnyx",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M6",
)


def find(view: Evidence) -> Iterator[Finding]:
    start, configured = view.carrier_in.start, view.boot.carrier
    if start is not None and configured and start.dialect not in (configured, "unknown"):
        yield RULE.finding(
            start,
            f"This stream is {start.dialect}'s by its start; the program speaks {configured}.",
            f"use the names and messages of {start.dialect}",
            observable=f"start of {start.dialect}",
            field="start",
            catalogue="F-067" if start.dialect == "exotel" else "F-065",
        )

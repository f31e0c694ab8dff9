"""
The call is over and its record was never closed: it shows as running for ever.

Caller notices: nothing.
Why: the end of the call failed or hung before it closed the record; or the process died in it.
Proof: the carrier's end of the call is in the record, and no end of the record follows.
Fix: close the record in a finally; at start, close what an earlier process left open.
Reproduce: raise in the teardown.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="records/left-open",
    title="The record of a call that ended was left open",
    decides=("F-155",),
    explains=("records/process-died", "*/unexplained"),
    lies="the record says that the call is still active",
    source="dograh-hq/dograh#587; bolna-ai/bolna f9dd9999",
    since="2026-11-25",
    needs=("carrier",),
    breaks="M19",
)


def find(view: Evidence) -> Iterator[Finding]:
    if view.recording.end is not None or view.recording.live:  # a transferred call goes on after its stream
        return
    ended = view.carrier_in.stop or view.final_status
    if ended is None:
        return  # records/process-died
    failed = [exc for exc in view.exceptions if exc.after_end or exc.at_ms >= ended.at_ms]
    cause = failed[0] if failed else None
    why = f": {cause.type} at {cause.where or cause.task} ended the teardown" if cause is not None else ""
    yield RULE.finding(
        cause or ended,
        f"The call ended at {ended.at_ms / 1000:.1f} s and its record was left open{why}.",
        "close the record whatever the teardown does; at start, close what an earlier process left open",
        observable="stop or final status seen, no end line",
        proof="proven" if cause is not None else "consistent with",
    )

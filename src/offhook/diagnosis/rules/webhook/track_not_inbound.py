"""
<Connect><Stream> takes no other track than the caller's.

Caller notices: an application error is read out.
Why: an attribute of <Start><Stream> was copied.
Proof: the document as it was sent.
Fix: Leave the track out.
Reproduce: write track=both_tracks.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="webhook/track-not-inbound",
    title="A two-way stream asks for another track",
    decides=("F-037",),
    lies="the webhook answered 200",
    source="twilio.com/docs/api/errors/31941",
    since="2026-11-25",
    needs=("webhook",),
    breaks="M3",
)


def find(view: Evidence) -> Iterator[Finding]:
    for doc in view.twiml:
        if doc.verb == "Connect" and doc.track not in (None, "", "inbound_track"):
            yield RULE.finding(
                doc,
                f"track={doc.track} under <Connect>: a two-way stream is inbound only.",
                "leave the track out",
                observable=f"track {doc.track}",
                field="track",
            )
            return

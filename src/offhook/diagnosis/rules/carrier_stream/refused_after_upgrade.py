"""
The stream was opened, and our own server let it go: its start did not come, or did not say what the webhook announced.

Caller notices: an answered call that ends after some seconds.
Why: the token or the call's id that the webhook gave does not come back, or something holds start back.
Proof: the server's own reason, in the record of the call that the stream named, or of the one that waited for a stream.
Fix: look at what start brings: customParameters.token and callSid; at what stands in between, where no start came.
Reproduce: `offhook dial --fault no-parameters`, or `no-start`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.facts import Fact

RULE = Rule(
    id="carrier-stream/refused-after-upgrade",
    title="The stream was opened and refused",
    decides=("F-045",),
    explains=("carrier-stream/not-started", "turns/no-answer"),
    lies="the upgrade succeeded with 101; the carrier logs 31921, as if the call had ended",
    source="net/arrival.py: what a stream must bring before a call takes it",
    since="2026-11-26",
    needs=("bridge",),
    breaks="M6",
)


def find(view: Evidence) -> Iterator[Finding]:
    if view.carrier_in.start is not None:
        return  # another one came and was taken
    for line in view.recording.notes("stream.refused"):
        why = line.text("why")
        token = "token" in why
        yield RULE.finding(
            Fact(line=line.number, at_ms=line.at_ms),
            f"The carrier's stream was opened, and refused by our own server: {why}.",
            "look at what start brings: its customParameters, and the call that it names"
            if token
            else "something between the carrier and here holds messages back: look at the proxy",
            observable=f"stream refused: {why}",
            proof="proven" if line.data.get("certain") else "consistent with",
            catalogue="F-045" if token else "",
            field="start.customParameters.token" if token else "start",
        )
        return

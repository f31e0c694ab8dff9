"""
The provider's audio arrives under its current event name, and the client waits for the retired one.

Caller notices: silence; the provider's bill counts every word.
Why: response.audio.delta became response.output_audio.delta.
Proof: audible audio comes, none of it is sent on, and nothing failed in between. That the name is why is the likeliest
cause, not a proof: `offhook fake openai --fault beta-names` would prove it.
Fix: listen for response.output_audio.delta.
Reproduce: a client of 2024 against `offhook fake openai`.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/old-event-names",
    title="The client waits for a retired event name",
    decides=("F-097",),
    lies="the provider reports completed responses",
    source="openai-python 3.54.0 types/realtime; TanStack/ai#586",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M16",
)


def find(view: Evidence) -> Iterator[Finding]:
    came = view.provider.audio
    if not came.frames or view.carrier_out.audio.frames or view.carrier_out.bad or view.exceptions or view.task_exits:
        return
    new = "response.output_audio.delta"
    if view.saw("bridge") or not view.carrier_in.start or not view.provider.types.get(new):
        return
    yield RULE.finding(
        view.provider.first or came.line,
        f"{came.frames} messages of audible audio came as {new}; not one was sent on to the carrier.",
        "listen for response.output_audio.delta (the beta's name was response.audio.delta)",
        observable=f"{new}: {came.frames}, media to the carrier: 0",
        proof="consistent with",
        field="type",
    )

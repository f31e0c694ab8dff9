"""
The caller speaks, the provider gets every frame, and its turn detection never notices.

Caller notices: the agent does not react.
Why: a threshold made for louder lines, or a quiet line.
Proof: speech on the carrier's wire, the same frames appended in the right format, no speech_started.
Fix: lower turn_detection.threshold.
Reproduce: threshold 0.9 and a caller at -38 dBFS.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="provider-session/caller-not-detected",
    title="Turn detection does not notice the caller",
    decides=("F-103",),
    explains=("turns/*",),
    lies="the audio counters are right",
    source="openai-python 3.54.0 types/realtime: turn_detection.threshold",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M11",
)
SPOKE_MS = 600  # as on the ladder
PATIENCE_MS = 12_000.0  # as long as the bridge itself waits for the first speech; a shorter session proves nothing
HIGH = 0.7  # the documented default is 0.5


def find(view: Evidence) -> Iterator[Finding]:
    wire = view.provider
    spoken = view.carrier_in.audio.speech_ms - SPOKE_MS * view.carrier_in.digits
    if view.kept_from_the_provider or wire.speech or spoken < SPOKE_MS or not wire.appended.frames or not wire.echo:
        return
    if wire.caller_words or len(wire.responses) > 1 + len(wire.creates):
        return  # it heard the caller; it only does not say when: some services report no speech
    closed = view.closed("provider")
    if (closed.at_ms if closed else view.length_ms) - wire.echo.at_ms < PATIENCE_MS:
        return
    told = session.told(view)
    turns = session.turn_detection(told.data) if told else "unsaid"
    if not isinstance(turns, dict) or turns.get("type") not in ("server_vad", "semantic_vad", None):
        return
    form = session.audio_format(told.data, "input") if told else None
    if form is not None and form[0] == "audio/pcm" and wire.appended.bytes * 3 < wire.appended.frames * 960:
        return  # another format than it was told: media/uplink-format
    threshold = turns.get("threshold")
    high = isinstance(threshold, (int, float)) and threshold >= HIGH
    yield RULE.finding(
        told or 1,
        f"The caller spoke for {spoken / 1000:.1f} s and the provider noticed none of it"
        + (f"; its threshold is {threshold}." if threshold is not None else "."),
        "lower turn_detection.threshold (0.5 is the documented default)" if high else "look at the caller's level",
        observable=f"speech_started: 0, threshold {threshold}",
        proof="proven" if high else "consistent with",
        field="session.audio.input.turn_detection.threshold",
    )

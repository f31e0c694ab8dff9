"""
The caller's audio reaches the provider in another format than the session says: it hears noise.

Caller notices: the agent does not react, or answers nonsense.
Why: the input format was not asked for (or stood in a flat field): the default, PCM at 24 kHz, is in force.
Proof: bytes appended per frame of the caller against what the confirmed format takes.
Fix: ask for the format that is sent, and look at the echo.
Reproduce: a session without audio.input.format.
"""

from collections.abc import Iterator

from offhook.diagnosis import session
from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/uplink-format",
    title="The provider is sent another format than its session says",
    decides=("F-126", "F-129"),
    explains=(
        "provider-session/caller-not-detected",
        "provider-session/turn-never-ends",
        "turns/*",
    ),
    lies="every append is accepted: bytes are bytes",
    source="ratios of section 5 of the evidence model: 1 for PCMU, 2, 4, 6 for PCM at 8, 16, 24 kHz",
    since="2026-11-25",
    needs=("carrier", "provider"),
    breaks="M10",
)
TOLERANCE = 0.1
AT_LEAST_FRAMES = 100
NAMES = {160: "PCMU at 8 kHz", 320: "PCM at 8 kHz", 640: "PCM at 16 kHz", 960: "PCM at 24 kHz"}


def find(view: Evidence) -> Iterator[Finding]:
    told = session.told(view, first=True)
    form = session.audio_format(told.data, "input") if told else None
    sent, came = view.provider.appended, view.carrier_in.audio
    if told is None or form is None or sent.frames < AT_LEAST_FRAMES or not came.bytes:
        return
    wanted = session.bytes_per_frame(form)
    per_frame = sent.bytes / came.bytes * 160  # of 20 ms: whatever the pieces were
    got = min(NAMES, key=lambda size: abs(size - per_frame))
    if got == wanted or abs(per_frame / got - 1) > TOLERANCE:
        return
    yield RULE.finding(
        told,
        f"The session expects {form[0]} at {form[1]} Hz ({wanted} bytes in 20 ms); what is sent has {per_frame:.0f}: "
        f"{NAMES[got]}.",
        "ask for the format that is sent (audio.input.format), or send the one that the echo names",
        observable=f"{per_frame:.0f} bytes in 20 ms, {wanted} wanted",
        field="session.audio.input.format",
        catalogue="F-126" if got == 160 else "F-129",
    )

"""
The audio's bytes are not µ-law: PCM16, A-law, or base64 twice. The carrier plays them as noise and says nothing.

Caller notices: static, hiss, or a loud buzz in the rhythm of speech.
Why: one side speaks another codec than the wire carries, or encodes twice.
Proof: statistics of the bytes; they cannot see a wrong sample rate.
Fix: make both sides agree on audio/pcmu at 8000 Hz.
Reproduce: send PCM16 on the carrier's wire.
"""

from collections.abc import Iterator

from offhook.diagnosis.boundaries import Finding, Rule
from offhook.diagnosis.evidence import Evidence

RULE = Rule(
    id="media/not-pcmu",
    title="The audio is not PCMU",
    decides=("F-125", "F-134", "F-055", "F-135"),
    explains=("media/level", "media/odd-frames"),
    lies="no code is logged: any bytes are audio to the carrier",
    source="byte statistics, measured 2026-11-22; thresholds in media/levels.py",
    since="2026-11-24",
)
CATALOGUE = {"pcm16": "F-125", "a-law": "F-134", "base64-twice": "F-055"}
ENOUGH = 10  # measured pieces: a second of speech
FLOAT_ZEROS = 0.35  # share of 0x00: 32-bit floats of speech have it at 0.44 to 0.53, PCM16 at 0.04 to 0.35


def find(view: Evidence) -> Iterator[Finding]:
    for name, audio in (("carrier sends", view.carrier_in.audio), ("agent sends", view.carrier_out.audio)):
        agent = name.startswith("agent")
        other = audio.measured >= ENOUGH and (audio.zero >= FLOAT_ZEROS or (audio.judged == "pcm16" and audio.par < 0))
        if audio.judged not in CATALOGUE and not other:
            continue
        kind = "linear samples in another layout (float, big-endian, shifted by a byte)" if other else audio.judged
        row = "F-135" if other else CATALOGUE[audio.judged]
        yield RULE.finding(
            audio.line,
            f"What the {name} is {kind}, not PCMU.",
            "make both sides agree on audio/pcmu at 8000 Hz",
            observable=f"par {audio.par}, zero bytes {audio.zero}",
            proof="proven" if audio.measured >= ENOUGH else "consistent with",
            catalogue=row if agent else "",
        )

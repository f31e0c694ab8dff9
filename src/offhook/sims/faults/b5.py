"""Audio: laws, rates, layouts, levels."""

from __future__ import annotations

from typing import Any

from offhook.evidence.record import Recording
from offhook.sims.faults.catalogue import injects
from offhook.sims.faults.scene import LONG, WORDS, foreign, patient, talk, wait
from offhook.sims.provider import Answer, tone

Session = dict[str, Any]
BOTH = {"script": (Answer(audio=LONG, transcript=WORDS * 2),)}


@injects("F-125")
def pcm_on_the_line() -> list[Recording]:
    """PCM comes, is brought to 8 kHz, and goes out without its encoding."""
    return foreign(audio="pcm", law="pcm16", play=patient(34.0))


def _no_input_format(session: Session) -> Session:
    del session["audio"]["input"]["format"]
    return session


@injects("F-126")
def mulaw_to_pcm_session() -> list[Recording]:
    return foreign(session=_no_input_format, play=wait(22.0))


@injects("F-127")
def format_ignored() -> list[Recording]:
    return foreign(net={"faults": ("ignore-output-format",)}, play=patient(34.0))


@injects("F-128")
def misread_rate() -> list[Recording]:
    """24 kHz is taken for 8 kHz: three times as long, and deep."""
    return foreign(audio="pcm", out_rate=8000, play=patient(34.0))


@injects("F-129")
def mislabelled_input() -> list[Recording]:
    return foreign(audio="pcm", upsample="8k", play=talk)


@injects("F-131")
def forgetful_resampler() -> list[Recording]:
    steady = Answer(audio=tone(4000, 1000.0, -12.0), transcript="")
    return foreign(audio="pcm", resample="stateless", net={"greeting": steady}, play=wait(14.0), selftest=1000.0)


@injects("F-132")
def aliases() -> list[Recording]:
    return foreign(audio="pcm", resample="alias", net={"pcm_tone_hz": 6000.0}, play=wait(14.0), selftest=6000.0)


@injects("F-133")
def wav_header() -> list[Recording]:
    header = b"RIFF" + (1_000_000).to_bytes(4, "little") + b"WAVEfmt " + bytes(28)
    return foreign(header=header)


@injects("F-134")
def a_law() -> list[Recording]:
    return foreign(law="a-law")


@injects("F-135")
def float_samples() -> list[Recording]:
    return foreign(audio="pcm", law="float32", play=patient(34.0))


@injects("F-136")
def odd_frames() -> list[Recording]:
    return foreign(chunk=37)


@injects("F-138")
def far_too_loud() -> list[Recording]:
    return foreign(gain=5.0)


def _defaults(session: Session) -> Session:
    """The next agent's session, without its formats: the service puts its own back."""
    pcm = {"type": "audio/pcm", "rate": 24000}
    for side in ("input", "output"):
        session["audio"][side]["format"] = pcm
    return session


@injects("F-139")
def formats_reset() -> list[Recording]:
    return foreign(second_update=_defaults, second_update_s=18.0, creates_after_update=True, play=wait(32.0))

"""
What stands in the place of audio that was not recorded: quiet, and something like a voice, where there was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from offhook.media import g711
from offhook.media.synth import babble
from offhook.replay.tape import Tape

__all__ = ["answer", "caller", "silence", "tell_agent", "wav_of"]

QUIET = bytes((0xFF, 0x7F, 0xFE, 0x7F, 0xFF, 0xFE, 0x7E, 0xFF))  # what a line carries when nobody speaks
SILENCE = b"\xff"


def caller(tape: Tape, recorded: bytes | None) -> bytes:
    """The caller's side as PCMU, from the start of the stream on; what is put in is said in ``tape.said``."""
    if recorded is not None:
        return recorded
    n = int(tape.length_s * 8000)
    if tape.digital_silence:
        tape.said.append("the caller's audio was not recorded: digital silence, as the meters saw")
        return SILENCE * n
    track = bytearray((QUIET * (n // len(QUIET) + 1))[:n])
    spans = list(tape.speech)
    missing = tape.speech_s - sum(end - start for start, end in spans)
    if missing > 0.5 and not spans:  # it was loud, and the provider noticed nothing: where, nobody knows
        spans.append((1.0, min(1.0 + missing, tape.length_s)))
        tape.said.append(f"{missing:.1f} s of speech that the provider did not notice stand at the beginning")
    _speak(track, spans)
    tape.said.append(
        f"the caller's audio was not recorded: a synthetic voice for {_seconds(spans):.1f} s, else the line's quiet"
    )
    return bytes(track)


def _seconds(spans: Sequence[tuple[float, float]]) -> float:
    return sum(end - start for start, end in spans)


def _speak(track: bytearray, spans: Sequence[tuple[float, float]]) -> None:
    for start, end in spans:
        first, last = int(start * 8000), min(int(end * 8000), len(track))
        if last > first:
            track[first:last] = g711.encode(np.clip(babble(last - first), -32768, 32767).astype(np.int16))


def tell_agent(tape: Tape) -> None:
    """Say what stands for the agent's audio."""
    if any(cue.audio_ms for session in tape.sessions for cue in session.cues):
        voice = "digital silence, as the meters saw," if tape.agent_silence else "a synthetic voice"
        tape.said.append(f"the agent's audio was not recorded: {voice} of the same length")


def silence(ms: int, at_ms: int) -> bytes:
    """So much of an agent that cannot be heard."""
    return SILENCE * (ms * 8)


def answer(ms: int, at_ms: int) -> bytes:
    """So much of the agent's voice, ``at_ms`` into what it says: a voice goes on from piece to piece."""
    voice = _voice()
    at = at_ms * 8 % len(voice)
    return (voice[at:] + voice * (ms * 8 // len(voice) + 1))[: ms * 8]


@cache
def _voice() -> bytes:
    return g711.encode(np.clip(babble(32_000, seed=7), -32768, 32767).astype(np.int16))


def wav_of(record: Path, tape: Tape) -> bytes | None:
    """The caller's channel of the recording beside a record, from the start of the stream on; None without one."""
    path = record.with_suffix(".wav")
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        at = data.index(b"data", 12) + 8
        with_format = data.index(b"fmt ", 12)
        kind, channels, rate = (int.from_bytes(data[with_format + 8 + i : with_format + 8 + i + n], "little")
                                for i, n in ((0, 2), (2, 2), (4, 4)))  # fmt: skip
    except (OSError, ValueError):
        tape.said.append(f"{path.name} cannot be read; placeholder audio instead")
        return None
    if (kind, channels, rate) != (7, 2, 8000):
        tape.said.append(f"{path.name} is not ours (wanted µ-law, 8 kHz, two channels); placeholder audio instead")
        return None
    begin = int((tape.stream_ms or 0.0) * 8)
    return bytes(data[at::2][begin : begin + int(tape.length_s * 8000)]) or None

"""
What the bridge itself says to a caller when nobody else can: shipped as PCMU, replaceable by WAV files.

Knows no call. The one part of ``media`` that reads files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

__all__ = ["FOLDER", "MUSIC", "TEXTS", "LineError", "load_wav", "spoken_lines"]

FOLDER = Path(__file__).parent / "spoken"

TEXTS: Mapping[str, str] = {
    "provider_failed": "We are sorry. The assistant cannot be reached right now. Please call again later.",
    "provider_lost": "We are sorry. The connection to the assistant was lost. Please call again.",
    "time_up": "I am afraid our time is up. Thank you for calling. Goodbye.",
    "idle": "I have not heard from you for a while, so I am hanging up now. Goodbye.",
    "spend": "I am sorry, I have to end this call here. Please call again another time. Goodbye.",
    "operator": "This call is being ended now. Thank you for calling. Goodbye.",
    "not_put_through": "I am sorry, nobody could be reached there. Please call again later. Goodbye.",
    "draining": "This line is being restarted. Please call again in a minute. Goodbye.",
}
# Played over and over while a caller is on hold; made by tools/render_lines.py.
MUSIC = ("hold",)
SOUNDS = ("cue",)  # two soft notes (C5, E5): a tool is at work
MAX_SECONDS = 30


class LineError(Exception):
    """A WAV file that cannot be played on a phone line."""


def spoken_lines(own: Path | None = None, more: Collection[str] = ()) -> dict[str, bytes]:
    """
    Every line as PCMU bytes, by name; a file ``NAME.wav`` in ``own`` replaces the shipped one. ``more`` are names that
    are asked for and not shipped.

    Raises LineError.
    """
    lines = {name: (FOLDER / f"{name}.ulaw").read_bytes() for name in (*TEXTS, *MUSIC, *SOUNDS)}
    if own is not None:
        if not own.is_dir():
            raise LineError(f"{own} is no directory")
        for file in sorted(own.glob("*.wav")):
            if file.stem not in lines and file.stem not in more:
                raise LineError(f"{file}: no line of this name; wanted one of {', '.join((*lines, *more))}")
            lines[file.stem] = load_wav(file)
    return lines


def load_wav(path: Path) -> bytes:
    """A WAV file as PCMU bytes: µ-law or 16-bit PCM, mono or stereo, 8 kHz or a multiple. Raises LineError."""
    fix = f"convert it: sox {path.name} -r 8000 -c 1 -b 16 out.wav"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LineError(f"{path}: cannot be read: {error.strerror}") from None
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise LineError(f"{path}: got no RIFF/WAVE header, wanted a WAV file; {fix}")
    chunks = _chunks(data)
    fmt, audio = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if len(fmt) < 16 or not audio:
        raise LineError(f"{path}: no format or no audio in it; {fix}")
    tag, channels = int.from_bytes(fmt[:2], "little"), int.from_bytes(fmt[2:4], "little")
    rate, bits = int.from_bytes(fmt[4:8], "little"), int.from_bytes(fmt[14:16], "little")
    if len(audio) * 8 / max(1, rate * channels * bits) > MAX_SECONDS:
        raise LineError(f"{path}: longer than {MAX_SECONDS} s; a caller hangs up before: shorten it")
    if (tag, channels, rate) == (7, 1, 8000):
        return audio
    if (tag, bits) != (1, 16) or channels not in (1, 2) or rate % 8000:
        got = f"format {tag}, {bits} bits, {channels} channel(s), {rate} Hz"
        raise LineError(f"{path}: got {got}; wanted 16-bit PCM at 8000 Hz or a multiple; {fix}")
    return _to_pcmu(audio, channels, rate)


def _to_pcmu(audio: bytes, channels: int, rate: int) -> bytes:
    # numpy is loaded only by those who bring files of their own
    import numpy as np

    from offhook.media import g711
    from offhook.media.resample import downsample_to_8k

    samples = np.frombuffer(audio[: len(audio) // (2 * channels) * 2 * channels], dtype="<i2")
    mono = samples.reshape(-1, channels).mean(axis=1)
    return g711.encode(np.clip(downsample_to_8k(mono, rate), -32768, 32767).astype(np.int16))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.setdefault(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found

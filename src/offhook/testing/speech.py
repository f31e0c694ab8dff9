"""
What a test lets its caller say: a WAV file, PCMU bytes, or so many seconds of shipped speech.
"""

from __future__ import annotations

from pathlib import Path

from offhook.media.lines import load_wav, spoken_lines

__all__ = ["Said", "speech"]

Said = bytes | str | Path | float | int


def speech(said: Said = 2.0) -> bytes:
    """
    PCMU at 8 kHz of what shall be said.

    Seconds give shipped speech: sound that every voice detector takes for speech, its words do not matter.
    """
    if isinstance(said, bytes):
        return said
    if isinstance(said, (str, Path)):
        return load_wav(Path(said))
    if said <= 0:
        raise ValueError(f"speech of {said} s: wanted more than nothing")
    whole = b"".join(spoken_lines().values())
    n = int(said * 8000)
    return (whole * (n // len(whole) + 1))[:n]

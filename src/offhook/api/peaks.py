"""The outline of a recording, at the resolution that a page can draw."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

__all__ = ["PeaksError", "peaks"]

RATE = 8000
MOST = 256 * 1024 * 1024  # bytes of audio that are looked at: four and a half hours


class PeaksError(Exception):
    """Why a recording has no such outline."""


def peaks(path: Path, bins: int, from_ms: int, to_ms: int) -> dict[str, Any]:
    """Least and greatest sample of both sides, of -127 to 127, in ``bins`` stretches of the time. Raises PeaksError."""
    import numpy

    begin, n_bytes = _audio(path)
    samples = min(n_bytes, MOST) // 2
    first = min(from_ms * RATE // 1000, samples)
    last = min(to_ms * RATE // 1000, samples) if to_ms else samples
    if last <= first:
        raise PeaksError(f"the recording has {samples * 1000 // RATE} ms")
    with path.open("rb") as file:
        file.seek(begin + 2 * first)
        raw = numpy.frombuffer(file.read(2 * (last - first)), numpy.uint8)
    sides = raw[: len(raw) // 2 * 2].reshape(-1, 2).T
    n_samples = sides.shape[1]
    bins = min(bins, n_samples)
    edges = numpy.linspace(0, n_samples, bins, endpoint=False).astype(int)
    caller, agent = (_extremes(numpy, numpy.ascontiguousarray(side), edges) for side in sides)
    return {
        "from_ms": first * 1000 // RATE, "to_ms": last * 1000 // RATE, "bins": bins,
        "bin_ms": n_samples * 1000 / RATE / bins, "caller": caller, "agent": agent,
    }  # fmt: skip


def _extremes(numpy: Any, codes: Any, edges: Any) -> list[list[int]]:
    """
    The least and greatest sample of each stretch, found among the codes themselves: an hour has 57 million.

    A code rises with its level on both sides of zero apart: 0x00 is the least negative sample, 0x7F the greatest; 0x80
    is the greatest positive one, 0xFF the least. Read as signed numbers the positive ones come first.
    """
    least, most = (reduce.reduceat(codes, edges) for reduce in (numpy.minimum, numpy.maximum))
    positive = numpy.minimum.reduceat(codes.view(numpy.int8), edges).view(numpy.uint8)
    levels = _levels(numpy)
    low = levels[numpy.where(least < 0x80, least, most)]
    high = levels[numpy.where(positive >= 0x80, positive, most)]
    return numpy.stack((low, high), axis=1).tolist()  # type: ignore[no-any-return]


def _levels(numpy: Any) -> Any:
    """Each µ-law code's sample (ITU-T G.711, 2.1), of -127 to 127."""
    code = ~numpy.arange(256, dtype=numpy.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (numpy.where(code & 0x80, -magnitude, magnitude) * 127 / 32124).round().astype(numpy.int8)


def _audio(path: Path) -> tuple[int, int]:
    """Where the samples of one of our recordings begin, and how many bytes there are. Raises PeaksError."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise PeaksError(f"{path.name} is no WAV file")
    at, kind = 12, b""
    while at + 8 <= len(head):
        name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
        if name == b"fmt ":
            kind = head[at + 8 : at + 16]
        if name == b"data":
            if kind != struct.pack("<HHI", 7, 2, RATE):
                raise PeaksError(f"{path.name} is not µ-law, stereo, {RATE} Hz")
            return at + 8, min(size, path.stat().st_size - at - 8)
        at += 8 + size + size % 2
    raise PeaksError(f"{path.name} has no samples")

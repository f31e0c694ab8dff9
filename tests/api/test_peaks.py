"""The outline of a recording: found among the codes, and still each stretch's least and greatest sample."""

import random
import struct

import numpy as np

from offhook.api.peaks import peaks
from offhook.media import g711


def test_an_outline_is_the_least_and_greatest_sample_of_each_stretch(tmp_path):
    dice, path = random.Random(7), tmp_path / "call.wav"
    for n_samples, bins in ((1, 4), (33, 8), (400, 7), (399, 1)):
        pcm = bytes(dice.choice((range(256), range(128), range(128, 256))[n // 66 % 3]) for n in range(2 * n_samples))
        head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 7, 2, 8000, 16000, 2, 8)
        path.write_bytes(b"RIFF" + bytes(4) + b"WAVE" + head + struct.pack("<4sI", b"data", len(pcm)) + pcm)
        told = peaks(path, bins, 0, 0)
        edges = np.linspace(0, n_samples, told["bins"], endpoint=False).astype(int)
        for side, name in enumerate(("caller", "agent")):
            samples = np.round(g711.decode(pcm[side::2]) * (127 / 32124)).astype(int)
            parts = np.split(samples, edges[1:])
            assert told[name] == [[int(part.min()), int(part.max())] for part in parts], (n_samples, bins, name)


def test_a_recording_whose_head_promises_more_than_there_is_ends_where_it_ends(tmp_path):
    """As of a server that was killed before the head was written anew."""
    path, pcm = tmp_path / "call.wav", b"\x10\x90" * 4000
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 7, 2, 8000, 16000, 2, 8)
    path.write_bytes(b"RIFF" + bytes(4) + b"WAVE" + head + struct.pack("<4sI", b"data", 10 * len(pcm)) + pcm)
    told = peaks(path, 10, 0, 0)
    assert (told["from_ms"], told["to_ms"], told["bin_ms"]) == (0, 500, 50.0)

"""
The receptionist's ear: PCMU in, utterances out, with a measure of how sure it is.

A closed grammar always finds some phrase, so a second decoder, a free loop of phones, runs beside it:
where the phones explain the sound far better than the phrase, the phrase was not said. Knows no wire and no
dialogue.

PocketSphinx holds the interpreter while it decodes (about 1 ms for 30 ms of audio): this belongs into a
process of its own, never into one that carries calls.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from msgspec import Struct
from pocketsphinx import Decoder, Endpointer, get_model_path

from offhook.loopback.grammar import JSGF
from offhook.media import g711
from offhook.media.resample import Upsample2

__all__ = ["Ear", "Heard", "Started"]

# Cepstral mean of telephone speech after our up-sampling (measured 2026-11-22 on flite voices through µ-law);
# with the library's own start value the first utterance of a call is misheard four times in ten.
CMN = "39.88,24.31,-34.24,43.45,-23.75,1.03,14.08,-27.10,20.36,-16.48,3.90,8.82,-12.85"
# Score of the grammar less score of the phone loop, per frame. tools/calibrate_ear.py, 2026-11-26, four
# synthetic voices: 280 of 280 phrases get the right words; here 12 % of them are refused all the same, and 12 %
# of 48 strange sentences accepted. Refusing costs a repetition, accepting a wrong answer.
SURE = -8.5e-4
FLOOR_LSB = 30  # digital silence makes the front end divide by nothing
WINDOW_S = 0.3


class Started(Struct, frozen=True):
    """The caller began to speak."""

    at_ms: int


class Heard(Struct, frozen=True):
    """The caller ended; ``words`` is what the grammar made of it, ``sure`` whether it was said."""

    at_ms: int
    words: str
    sure: bool
    score: float


class Ear:
    """
    One caller's ear. ``push(pcmu)`` any number of bytes; what was understood comes back.

    Building one takes about half a second (two models); ``reset()`` makes it fit for the next call.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "desk.gram"
            path.write_text(JSGF)
            self._grammar = Decoder(
                hmm=get_model_path("en-us/en-us"), dict=get_model_path("en-us/cmudict-en-us.dict"),
                jsgf=str(path), lm=None, bestpath=False,
                beam=1e-80, pbeam=1e-80, wbeam=1e-60, loglevel="FATAL",
            )  # fmt: skip
        self._phones = Decoder(
            hmm=get_model_path("en-us/en-us"), allphone=get_model_path("en-us/en-us-phone.lm.bin"),
            lm=None, dict=None, lw=2.0, loglevel="FATAL",
        )  # fmt: skip
        self._noise = np.random.default_rng(7)
        self._speaking = False
        self.reset()

    def reset(self) -> None:
        """Forget the last caller, also one who left in the middle of a word."""
        if self._speaking:
            for decoder in (self._grammar, self._phones):
                decoder.end_utt()
        self._endpointer = Endpointer(window=WINDOW_S, ratio=0.9, sample_rate=8000)
        self._frame_bytes = self._endpointer.frame_bytes
        self._buffer = bytearray()
        self._fed_bytes = 0
        self._up = Upsample2()
        self._speaking = False
        self._frames = 0

    def push(self, pcmu: bytes) -> list[Started | Heard]:
        """Listen to more audio."""
        self._buffer += g711.decode(pcmu).tobytes()
        found: list[Started | Heard] = []
        while len(self._buffer) >= self._frame_bytes:
            piece = self._on_a_floor(bytes(self._buffer[: self._frame_bytes]))
            del self._buffer[: self._frame_bytes]
            self._fed_bytes += self._frame_bytes
            speech = self._endpointer.process(piece)
            if speech is not None and not self._speaking:
                self._begin()
                found.append(Started(at_ms=round(self._endpointer.speech_start * 1000)))
            if speech is not None:
                self._decode(speech)
            if self._speaking and not self._endpointer.in_speech:
                found.append(self._finish())
        return found

    @property
    def at_ms(self) -> int:
        """Milliseconds of audio heard so far."""
        return self._fed_bytes // 16

    def _on_a_floor(self, piece: bytes) -> bytes:
        """Never digital silence: the endpointer would get used to it, and take the noise behind it for speech."""
        samples = np.frombuffer(piece, dtype=np.int16).astype(np.int32)
        samples += self._noise.integers(-FLOOR_LSB, FLOOR_LSB + 1, len(samples))
        return np.clip(samples, -32768, 32767).astype(np.int16).tobytes()

    def _begin(self) -> None:
        self._speaking = True
        self._frames = 0
        for decoder in (self._grammar, self._phones):
            decoder.set_cmn(CMN)
            decoder.start_utt()

    def _decode(self, speech: bytes) -> None:
        wide = self._up.push(np.frombuffer(speech, dtype=np.int16)).tobytes()
        self._frames += len(speech) // 160  # 10 ms of 16-bit 8 kHz
        self._grammar.process_raw(wide, no_search=False, full_utt=False)
        self._phones.process_raw(wide, no_search=False, full_utt=False)

    def _finish(self) -> Heard:
        self._speaking = False
        self._grammar.end_utt()
        self._phones.end_utt()
        words, loop = self._grammar.hyp(), self._phones.hyp()
        at_ms = round(self._endpointer.speech_end * 1000)
        if words is None or loop is None or not self._frames:
            return Heard(at_ms=at_ms, words="", sure=False, score=float("-inf"))
        score = (words.best_score - loop.best_score) / self._frames
        return Heard(at_ms=at_ms, words=words.hypstr, sure=score >= SURE, score=score)

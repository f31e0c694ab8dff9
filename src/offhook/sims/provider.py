"""
A simulated provider, the pure part: a voice detector on what really arrives, and a script of what it answers.

Works on any provider wire's ``Peer``. The detector decodes the agreed format, so that audio in the wrong one is
heard as what it is: noise, or nothing. Faults are dialled by name. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook.media import g711
from offhook.media.levels import loudness
from offhook.sims.provider_dial import Act, Dial
from offhook.sims.provider_scene import Answer
from offhook.wires._wire import Out, Refusal
from offhook.wires.providers import _loopback_peer, _openai_peer, _xai_peer

__all__ = ["PEERS", "Answer", "EnergyVad", "SimProvider", "first_id", "tone"]

PEERS: Mapping[str, Any] = {"openai": _openai_peer.Peer, "xai": _xai_peer.Peer, "loopback": _loopback_peer.Peer}
FRAME_MS = 20
ATTACK_MS = 60  # speech is what lasts that long
QUIET_CLASS = 7  # a peak of 128 of 32768
THRESHOLD_DBFS = -38.0
HARD_OF_HEARING_DBFS = -20.0


def first_id(n: int, port: int = 0) -> int:
    """
    Where the ids of a fake's ``n``-th session begin, from 1: a call that is handed over has two in one record, and
    the other one may be another fake's, at another ``port``.
    """
    return port * 10**9 + (n - 1) * 100_000


def tone(ms: int, hz: float = 440.0, level_dbfs: float = -20.0) -> bytes:
    """A tone as PCMU: an answer that can be told from others by its pitch."""
    n = np.arange(ms * 8)
    samples = np.sin(2 * math.pi * hz * n / 8000) * 32767 * math.sqrt(2) * 10 ** (level_dbfs / 20)
    return g711.encode(np.clip(samples, -32768, 32767).astype(np.int16))


def _decode_pcm(audio: bytes) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = np.frombuffer(audio, dtype="<i2")
    return samples


_DECODE = {"audio/pcmu": g711.decode, "audio/pcma": g711.decode_pcma, "audio/pcm": _decode_pcm}


class EnergyVad:
    """
    Speech by loudness: begins after 60 ms above the threshold, ends after ``silence_ms`` below.

    ``said`` is the turn of the caller as PCMU, as long as nobody takes it.
    """

    def __init__(self, threshold_dbfs: float = THRESHOLD_DBFS, silence_ms: int = 300, prefix_ms: int = 0) -> None:
        self.silence_ms = silence_ms
        self.prefix_ms = prefix_ms  # of audio before the speech that count as its beginning
        self.speaking = False
        self.at_ms = 0
        self.said = bytearray()
        self._threshold = 32768 * 10 ** (threshold_dbfs / 20)
        self._buffer = bytearray()
        self._format: tuple[str, int] = ("", 0)
        self._loud_ms = 0
        self._quiet_ms = 0

    def push(self, audio: bytes, given: Mapping[str, Any]) -> list[tuple[str, int]]:
        """``("started", ms)`` and ``("stopped", ms)``, on the clock of the audio received."""
        kind = str(given["type"])
        format_ = (kind, int(given.get("rate") or (24000 if kind == "audio/pcm" else 8000)))
        if format_ != self._format:  # a rest in the old format means nothing in the new one
            self._format = format_
            self._buffer.clear()
        busy = self._buffer or self.speaking or self._loud_ms
        if kind == "audio/pcmu" and len(audio) == 160 and not busy and self._is_quiet(audio):
            self.at_ms += FRAME_MS
            self._quiet_ms += FRAME_MS
            return []
        self._buffer += audio
        step = FRAME_MS * format_[1] // 1000 * (2 if kind == "audio/pcm" else 1)
        n = len(self._buffer) // step
        whole = bytes(self._buffer[: n * step])
        del self._buffer[: n * step]
        samples = _DECODE[kind](whole)
        found = []
        for frame in samples.reshape(n, -1) if n else ():
            self.at_ms += FRAME_MS
            happened = self._frame(frame)
            if happened is not None:
                found.append(happened)
        return found

    def _is_quiet(self, frame: bytes) -> bool:
        """Far below the threshold, told from a few samples: most of a call is that, and need not be decoded."""
        return loudness(frame) <= QUIET_CLASS and self._threshold > 2 << QUIET_CLASS

    def _frame(self, frame: NDArray[np.int16]) -> tuple[str, int] | None:
        if self.speaking or self._loud_ms:
            self._keep(frame)
        if float(np.sqrt(np.mean(frame.astype(np.float64) ** 2))) >= self._threshold:
            if not self.speaking and not self._loud_ms:
                self.said.clear()
                self._keep(frame)
            self._loud_ms += FRAME_MS
            self._quiet_ms = 0
            if not self.speaking and self._loud_ms >= ATTACK_MS:
                self.speaking = True
                return ("started", max(0, self.at_ms - ATTACK_MS - self.prefix_ms))
            return None
        self._quiet_ms += FRAME_MS
        if not self.speaking:
            self._loud_ms = 0
        elif self._quiet_ms >= self.silence_ms:
            self.speaking = False
            self._loud_ms = 0
            return ("stopped", self.at_ms)
        return None

    def _keep(self, frame: NDArray[np.int16]) -> None:
        at = np.linspace(0, len(frame) - 1, FRAME_MS * 8)
        self.said += g711.encode(np.interp(at, np.arange(len(frame)), frame).astype(np.int16))


class SimProvider:
    """
    One scripted session on top of a wire's Peer.

    Answers every turn of the caller with the next of ``script`` (the last one again when it runs out), the first
    request for a response with ``greeting`` and later ones with ``reply``. Where turn detection is off, or answers only
    on request, the turn's answer waits for the client's commit and request. ``think_s`` passes before each answer.
    ``faults`` are names of ``provider_faults.FAULTS``, with ``@`` and when they begin; other ``knobs`` go to the Peer.
    """

    def __init__(
        self,
        name: str,
        *,
        script: tuple[Answer, ...] = (Answer(audio=b"", transcript="ok"),),
        greeting: Answer | None = None,
        reply: Answer | None = None,
        faults: Iterable[str] = (),
        think_s: float = 0.0,
        **knobs: Any,
    ) -> None:
        self.dial = Dial(name, faults)
        self.peer: Any = PEERS[name](**{**knobs, **self.dial.knobs})
        self.dial.play(self.peer)
        self.turns = 0
        self.responses = 0  # answers given, and such as a fault kept back
        self._script = script
        self._greeting = greeting or Answer(audio=tone(600, 330), transcript="Hello.")
        self._reply = reply or self._greeting
        self._think_s = think_s
        self._vad = EnergyVad(HARD_OF_HEARING_DBFS if self.dial.has("hard-of-hearing") else THRESHOLD_DBFS)
        self._pending: list[tuple[float, Answer]] = []  # answers that are being thought about
        self._next: list[Answer] = []  # answers that wait for the end of the running response
        self.own: list[Out] = []  # what the peer answered last, before any fault and to what was really sent
        self._unasked: Answer | None = None  # to a turn that the client has to ask an answer for

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        """The HTTP refusal of a request: a dialled one, or the peer's own."""
        own: Refusal | None = self.peer.upgrade(path_and_query, headers)
        return self.dial.refusal() or own

    def opened(self, now: float) -> list[Act]:
        self.own = self.peer.opened(now)
        return self.dial.opened(self.own, now)

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Act]:
        """What the provider answers to a message, and to what was said in it."""
        self.own = []
        if self.dial.ended:
            return []
        heard = data if binary else self.dial.hears(data, now)
        out: list[Out] = [] if heard is None else self.peer.receive(heard, now, binary=binary)
        if heard is data:
            self.own = list(out)
        if self.peer.heard:
            audio = bytes(self.peer.heard)
            self.peer.heard.clear()
            out += self._listen(audio, now)
        return self.dial.says(out + self._committed(now) + self._asked(now), now)

    def _listen(self, heard: bytes, now: float) -> list[Out]:
        turn: Mapping[str, Any] | None = self.peer.turn_detection
        if turn is None:
            return []  # the client commits
        self._vad.silence_ms = int(turn.get("silence_duration_ms") or self._vad.silence_ms)
        self._vad.prefix_ms = int(turn.get("prefix_padding_ms") or 0)
        out: list[Out] = []
        for happened, at_ms in self._vad.push(heard, self.peer.format_in):
            if happened == "started":
                self._pending.clear()
                out += self.peer.user_started(at_ms, now)
                continue
            answer = self._next_answer()
            out += self.peer.user_stopped(at_ms, f"turn {self.turns}", now)
            if turn.get("create_response", True):
                out += self._answer(answer, now)
            else:
                self._unasked = answer
        return out

    def _next_answer(self) -> Answer:
        answer = self._script[min(self.turns, len(self._script) - 1)]
        self.turns += 1
        return answer

    def _committed(self, now: float) -> list[Out]:
        """Turns that the client ended by itself; their answer has to be asked for."""
        out: list[Out] = []
        for item_id in self.peer.commits:
            self._unasked = self._next_answer()
            out += self.peer.transcribe(item_id, f"turn {self.turns}", now)
        self.peer.commits.clear()
        return out

    def _asked(self, now: float) -> list[Out]:
        """What the client asked for by itself: a text to be said word for word, or a response."""
        if self.peer.response is not None or self._pending:
            return []
        if self._next:
            return self._give(self._next.pop(0), now)
        answer = self._reply if self.responses else self._greeting
        if self.peer.forced:
            said = " ".join(self.peer.forced)
            self.peer.forced.clear()
            return self._answer(Answer(audio=answer.audio, transcript=said), now)
        if not self.peer.asked:
            return []
        self.peer.asked.clear()
        if self._unasked is not None:
            answer, self._unasked = self._unasked, None
        return self._answer(answer, now)

    def _answer(self, answer: Answer, now: float) -> list[Out]:
        if self.peer.response is not None:  # the caller's speech does not interrupt: one response at a time
            self._next.append(answer)
            return []
        if self._think_s:
            self._pending.append((now + self._think_s, answer))
            return []
        return self._give(answer, now)

    def _give(self, answer: Answer, now: float) -> list[Out]:
        self.responses += 1
        changed = self.dial.replies(answer, now)
        if changed is None:
            return []
        given: list[Out]
        if changed.nothing:
            given = self.peer.speak(b"", "", now)
            return given
        calls = [(changed.tool, changed.arguments)] if changed.tool is not None else []
        calls += changed.more_calls
        audio = bytes(self._vad.said) if changed.echo else changed.audio
        if calls and not audio:
            given = self.peer.speak(b"", "", now, calls)
        else:
            given = self.peer.speak(audio or tone(400), changed.transcript, now, calls)
        return given

    def deadline(self) -> float | None:
        """When something is due: of the peer, an answer, or a fault."""
        if self.dial.ended:
            return None
        due = [self.peer.deadline(), self.dial.deadline(), *[at for at, _ in self._pending]]
        return min((at for at in due if at is not None), default=None)

    def tick(self, now: float) -> list[Act]:
        """What is due."""
        if self.dial.ended:
            return []
        out: list[Out] = self.peer.tick(now)
        thought = [answer for at, answer in self._pending if at <= now]
        self._pending = [(at, answer) for at, answer in self._pending if at > now]
        for answer in thought:
            out += self._give(answer, now)
        return [*self.dial.says(out + self._asked(now), now), *self.dial.tick(now)]

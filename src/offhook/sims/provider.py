"""
A simulated provider, the pure part: a voice detector on what really arrives, and a script of what it answers.

Works on any provider wire's ``Peer``. The detector decodes the agreed format, so that audio in the wrong one is
heard as what it is: noise, or nothing. Knows no sockets; callers pass ``now``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from offhook.media import g711
from offhook.wires._wire import Out, Refusal
from offhook.wires.providers import _openai_peer, _xai_peer, loopback

__all__ = ["PEERS", "Answer", "EnergyVad", "SimProvider", "tone"]

PEERS: Mapping[str, Any] = {"openai": _openai_peer.Peer, "xai": _xai_peer.Peer, "loopback": loopback.Peer}
FRAME_MS = 20


def tone(ms: int, hz: float = 440.0, level_dbfs: float = -20.0) -> bytes:
    """A tone as PCMU: an answer that can be told from others by its pitch."""
    n = np.arange(ms * 8)
    samples = np.sin(2 * math.pi * hz * n / 8000) * 32767 * math.sqrt(2) * 10 ** (level_dbfs / 20)
    return g711.encode(np.clip(samples, -32768, 32767).astype(np.int16))


class Answer(Struct, frozen=True):
    """One scripted response."""

    audio: bytes = b""
    transcript: str = "ok"
    tool: str | None = None  # called after the audio, or instead of it when there is none
    arguments: str = "{}"


class EnergyVad:
    """Speech by loudness: begins after 60 ms above the threshold, ends after ``silence_ms`` below."""

    def __init__(self, threshold_dbfs: float = -38.0, silence_ms: int = 300) -> None:
        self._threshold = 32768 * 10 ** (threshold_dbfs / 20)
        self._silence_ms = silence_ms
        self._buffer = bytearray()
        self._loud_ms = 0
        self._quiet_ms = 0
        self.speaking = False
        self.at_ms = 0

    def push(self, audio: bytes, given: Mapping[str, Any]) -> list[tuple[str, int]]:
        """``("started", ms)`` and ``("stopped", ms)``, on the clock of the audio received."""
        self._buffer += audio
        pcmu = given["type"] == "audio/pcmu"
        step = FRAME_MS * (8 if pcmu else 2 * int(given.get("rate", 24000)) // 1000)
        found = []
        while len(self._buffer) >= step:
            frame = bytes(self._buffer[:step])
            del self._buffer[:step]
            samples = g711.decode(frame) if pcmu else np.frombuffer(frame, dtype="<i2")
            self.at_ms += FRAME_MS
            happened = self._frame(float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))
            if happened is not None:
                found.append(happened)
        return found

    def _frame(self, rms: float) -> tuple[str, int] | None:
        if rms >= self._threshold:
            self._loud_ms += FRAME_MS
            self._quiet_ms = 0
            if not self.speaking and self._loud_ms >= 60:
                self.speaking = True
                return ("started", self.at_ms - 60)
        else:
            self._quiet_ms += FRAME_MS
            if not self.speaking:
                self._loud_ms = 0
            elif self._quiet_ms >= self._silence_ms:
                self.speaking = False
                self._loud_ms = 0
                return ("stopped", self.at_ms)
        return None


class SimProvider:
    """
    One scripted session on top of a wire's Peer.

    Answers every turn of the caller with the next of ``script`` (the last one again when it runs out), greetings and
    other requests with ``greeting``. ``knobs`` go to the Peer.
    """

    def __init__(
        self,
        name: str,
        *,
        script: tuple[Answer, ...] = (Answer(audio=b"", transcript="ok"),),
        greeting: Answer | None = None,
        **knobs: Any,
    ) -> None:
        self.peer: Any = PEERS[name](**knobs)
        self.turns = 0
        self._script = script
        self._greeting = greeting or Answer(audio=tone(600, 330), transcript="Hello.")
        self._vad = EnergyVad()

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        refusal: Refusal | None = self.peer.upgrade(path_and_query, headers)
        return refusal

    def opened(self, now: float) -> list[Out]:
        out: list[Out] = self.peer.opened(now)
        return out

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        """What the provider answers to a message, and to what was said in it."""
        out: list[Out] = self.peer.receive(data, now, binary=binary)
        if self.peer.heard:
            heard = bytes(self.peer.heard)
            self.peer.heard.clear()
            out += self._listen(heard, now)
        return out + self._asked(now)

    def _listen(self, heard: bytes, now: float) -> list[Out]:
        out: list[Out] = []
        given = getattr(self.peer, "format_in", {"type": "audio/pcmu"})
        for happened, at_ms in self._vad.push(heard, given):
            if happened == "started":
                out += self.peer.user_started(at_ms, now)
                continue
            answer = self._script[min(self.turns, len(self._script) - 1)]
            self.turns += 1
            out += self.peer.user_stopped(at_ms, f"turn {self.turns}", now)
            out += self._give(answer, now)
        return out

    def _asked(self, now: float) -> list[Out]:
        out: list[Out] = []
        wants = bool(self.peer.asked) or bool(getattr(self.peer, "forced", []))
        if wants and self.peer.response is None:
            self.peer.asked.clear()
            getattr(self.peer, "forced", []).clear()
            out += self._give(self._greeting, now)
        return out

    def _give(self, answer: Answer, now: float) -> list[Out]:
        if answer.tool is not None and not answer.audio and hasattr(self.peer, "call_tool"):
            out: list[Out] = self.peer.call_tool(answer.tool, answer.arguments, now)
            return out
        spoken: list[Out] = self.peer.speak(answer.audio or tone(400), answer.transcript, now, answer.tool)
        return spoken

    def deadline(self) -> float | None:
        due: float | None = self.peer.deadline()
        return due

    def tick(self, now: float) -> list[Out]:
        out: list[Out] = self.peer.tick(now)
        return out

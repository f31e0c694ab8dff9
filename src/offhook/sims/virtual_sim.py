"""
A simulated provider with a few more ways to go wrong than the wires' peers have: what it hears, when it answers, what
it plays.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from offhook.sims.provider import EnergyVad, SimProvider
from offhook.sims.provider_dial import Act
from offhook.wires._wire import Out, PeerClose

__all__ = ["WorldProvider"]


class WorldProvider(SimProvider):
    """
    ``answers_turns`` False: it only answers who asks. ``vad_dbfs``: its detector's threshold. ``refuse_audio``: it
    refuses the key with the first piece of audio. ``slow_transcript_s`` holds back what the caller said.
    ``greeting_pcm_hz``: its answers are a tone that PCMU could not carry.
    """

    def __init__(
        self,
        name: str,
        *,
        answers_turns: bool = True,
        vad_dbfs: float = -38.0,
        refuse_audio: bool = False,
        slow_transcript_s: float = 0.0,
        greeting_pcm_hz: float = 0.0,
        **knobs: Any,
    ) -> None:
        super().__init__(name, **knobs)
        self._vad = EnergyVad(vad_dbfs)
        self._answers_turns = answers_turns
        self._refuse_audio = refuse_audio
        self._slow_transcript_s = slow_transcript_s
        self._transcripts: list[tuple[float, bytes]] = []
        if greeting_pcm_hz:
            self._tone(greeting_pcm_hz)

    def _tone(self, hz: float) -> None:
        """Every answer is a tone at the session's own rate."""

        def render(pcmu: bytes) -> Any:
            n = np.arange(len(pcmu) * 3)
            audio = (np.sin(2 * np.pi * hz * n / 24000) * 8000).astype("<i2").tobytes()
            return (
                audio
                if hasattr(self.peer, "format_in") and self.peer.__module__.endswith("_openai_peer")
                else (audio, 48000)
            )

        self.peer._render = render

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Act]:
        if self._refuse_audio and b"input_audio_buffer.append" in data[:60] and not self.dial.ended:
            self.dial.ended = True
            error = {
                "type": "invalid_request_error",
                "code": "permission_denied",
                "message": "This key may not stream audio.",
            }
            return [json.dumps({"type": "error", "error": error}).encode(), PeerClose(4003, "permission_denied")]
        return self._late(super().receive(data, now, binary=binary), now)

    def _answer(self, answer: Any, now: float) -> list[Out]:
        if not self._answers_turns and self.turns and not self.peer.asked:
            return []
        return super()._answer(answer, now)

    def _late(self, out: list[Act], now: float) -> list[Act]:
        if not self._slow_transcript_s:
            return out
        kept: list[Act] = []
        for message in out:
            if isinstance(message, bytes) and b"input_audio_transcription" in message[:80]:
                self._transcripts.append((now + self._slow_transcript_s, message))
            else:
                kept.append(message)
        return kept

    def deadline(self) -> float | None:
        due = [at for at, _ in self._transcripts]
        own = super().deadline()
        return min([*due, *([own] if own is not None else [])], default=None)

    def tick(self, now: float) -> list[Act]:
        ripe: list[Act] = [message for at, message in self._transcripts if at <= now]
        self._transcripts = [(at, message) for at, message in self._transcripts if at > now]
        return ripe + super().tick(now)

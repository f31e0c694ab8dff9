"""
A simulated provider that can also play a tone which PCMU could not carry, to test what becomes of it on its way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offhook.sims.provider import SimProvider

__all__ = ["WorldProvider"]


class WorldProvider(SimProvider):
    """Like SimProvider; with ``pcm_tone_hz`` its answers are a tone at the rate of a PCM16 session of 24 kHz."""

    def __init__(self, name: str, *, pcm_tone_hz: float = 0.0, **knobs: Any) -> None:
        super().__init__(name, **knobs)
        if pcm_tone_hz:
            assert name == "openai", "the other peers render otherwise"

            def render(pcmu: bytes) -> bytes:
                n = np.arange(len(pcmu) * 3)
                return (np.sin(2 * np.pi * pcm_tone_hz * n / 24000) * 8000).astype("<i2").tobytes()

            self.peer._render = render

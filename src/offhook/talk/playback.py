"""
What the agent said, until it was played; marks in their places between.

May be fed from one thread and drained from another: a sound card asks on its own. Knows no clock.
"""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["QUIET", "Playback"]

SILENCE = b"\xff"
# The line's own noise: what a microphone gives when nobody speaks is not digital silence.
QUIET = bytes((0xFF, 0x7F, 0xFE, 0x7F, 0xFF, 0xFE, 0x7E, 0xFF) * 20)


class Playback:
    """PCMU in order, with the names of marks where they stand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[bytes | str] = deque()
        self._n = 0  # bytes that wait

    @property
    def waiting_ms(self) -> int:
        """How much audio waits to be played."""
        return self._n // 8

    def add(self, audio: bytes) -> None:
        with self._lock:
            self._waiting.append(audio)
            self._n += len(audio)

    def mark(self, name: str) -> None:
        with self._lock:
            self._waiting.append(name)

    def clear(self) -> list[str]:
        """Drop everything; the marks that were not reached."""
        with self._lock:
            marks = [part for part in self._waiting if isinstance(part, str)]
            self._waiting.clear()
            self._n = 0
            return marks

    def take(self, n: int) -> tuple[bytes, list[str]]:
        """The next ``n`` bytes, silence where there are no more, and the marks that were reached before them."""
        out = bytearray()
        marks: list[str] = []
        with self._lock:
            while self._waiting:
                part = self._waiting[0]
                if isinstance(part, str):
                    marks.append(part)  # all before it was taken by now
                elif len(out) < n:
                    wanted = n - len(out)
                    out += part[:wanted]
                    self._n -= min(wanted, len(part))
                    if len(part) > wanted:
                        self._waiting[0] = part[wanted:]
                        break
                else:
                    break
                self._waiting.popleft()
        return bytes(out) + SILENCE * (n - len(out)), marks

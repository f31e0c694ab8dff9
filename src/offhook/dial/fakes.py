"""
What reached a fake provider that a foreign server was told of, and how much was said each way. Never raises.
"""

from __future__ import annotations

import binascii
from typing import Any

import msgspec
from msgspec import Struct

from offhook.net.server import UpgradeRequest
from offhook.sims.provider import SimProvider
from offhook.sims.run_provider import Watch, Watcher
from offhook.wires._wire import Out, Refusal

__all__ = ["FakeSeen", "FakeWatch"]

_DELTAS = ("response.output_audio.delta", "response.audio.delta")


class FakeSeen(Struct):
    """One fake's view of the server under test."""

    dialled: int = 0
    refused: list[str] = []  # status and reason of each
    strayed: list[str] = []  # requests that are no WebSocket's
    asked_for_session: int = 0
    heard_ms: float = 0.0  # of the caller
    spoken_ms: float = 0.0  # by the agent, in full whatever became of it
    closed: list[str] = []

    def __str__(self) -> str:
        if not self.dialled:
            return "never dialled" + (f" ({self.strayed[0]})" if self.strayed else "")
        refused = f", refused: {self.refused[0]}" if self.refused else ""
        return f"dialled {self.dialled} times, heard {self.heard_ms:.0f} ms, spoke {self.spoken_ms:.0f} ms{refused}"


class FakeWatch:
    """Looks at everything that reaches one fake; ``also`` is told the same."""

    def __init__(self, also: Watch | None = None) -> None:
        self.seen = FakeSeen()
        self._also = also

    def asked(self, request: UpgradeRequest, session: SimProvider, refusal: Refusal | None) -> _Watcher:
        self.seen.dialled += 1
        if refusal is not None:
            self.seen.refused.append(f"{refusal.status} {refusal.why}")
        return _Watcher(self.seen, self._also.asked(request, session, refusal) if self._also is not None else None)

    def strayed(self, method: str, path: str) -> None:
        self.seen.strayed.append(f"{method} {path}")
        if self._also is not None:
            self._also.strayed(method, path)


class _Watcher:
    """One session: how much audio went each way, in the formats that were agreed."""

    def __init__(self, seen: FakeSeen, also: Watcher | None) -> None:
        self._seen = seen
        self._also = also
        self._per_ms = {"input": 48, "output": 48}  # bytes: PCM16 at 24 kHz until the session says otherwise

    def opened(self, own: list[Out], now: float) -> None:
        if self._also is not None:
            self._also.opened(own, now)

    def received(self, data: bytes, binary: bool, own: list[Out], now: float) -> None:
        if self._also is not None:
            self._also.received(data, binary, own, now)
        message = _json(data)
        kind = message.get("type")
        if kind == "session.update":
            self._seen.asked_for_session += 1
        elif kind == "input_audio_buffer.append":
            self._seen.heard_ms += _size(message.get("audio")) / self._per_ms["input"]

    def sent(self, message: Any, now: float) -> None:
        if self._also is not None:
            self._also.sent(message, now)
        if not isinstance(message, bytes):
            return
        data = _json(message)
        if data.get("type") in _DELTAS:
            self._seen.spoken_ms += _size(data.get("delta")) / self._per_ms["output"]
        elif data.get("type") in ("session.created", "session.updated"):
            self._agree(data.get("session"))

    def _agree(self, session: Any) -> None:
        audio = session.get("audio") if isinstance(session, dict) else None
        for side in self._per_ms:
            given = (audio.get(side) or {}).get("format") if isinstance(audio, dict) else None
            if isinstance(given, dict):
                rate = given.get("rate") or 24000
                self._per_ms[side] = 8 if given.get("type") in ("audio/pcmu", "audio/pcma") else int(rate) // 500

    def closed(self, code: int | None, reason: str, by: str, now: float) -> None:
        if self._also is not None:
            self._also.closed(code, reason, by, now)
        who = {"us": "the fake", "them": "the server"}.get(by, "nobody")
        self._seen.closed.append(f"{code} by {who}")


def _json(data: bytes) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _size(given: Any) -> int:
    if not isinstance(given, str):
        return 0
    try:
        return len(binascii.a2b_base64(given))
    except (binascii.Error, ValueError):
        return 0

"""
The provider's side of a recording, played: answers when it is asked, speaks when it spoke. Knows no sockets.

Whoever runs it tells ``stream_started`` and gives ``audio`` for what the record does not keep.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from offhook.replay.cues import BYTES_PER_MS, Cue, Session
from offhook.wires import _judge
from offhook.wires._wire import Out, PeerClose, Refusal

__all__ = ["Player"]

POLL_S = 0.02  # how often it looks whether the stream has started


class Player:
    """One session. ``audio(ms, at_ms)`` is PCMU, of an answer that nobody recorded: so much, from there on."""

    def __init__(self, session: Session, audio: Callable[[int, int], bytes]) -> None:
        self.stream_at: float | None = None
        self.unsent: list[tuple[int, Cue]] = list(enumerate(session.cues))
        self._session = session
        self._audio = audio
        self._said_ms = 0
        self._format: Mapping[str, Any] = {"type": "audio/pcmu"}
        self._opened_at = 0.0
        self._sent_at: dict[int, float] = {}
        self._came: dict[str, int] = {}
        self._came_at: dict[tuple[str, int], float] = {}
        self._now = 0.0
        self._closed = False
        self._next: float | None = None
        self._new = True  # something happened that others may wait for
        self._asked: Any = None

    def upgrade(self, path_and_query: str, headers: Mapping[str, str]) -> Refusal | None:
        if self._session.status is None:
            return None
        return Refusal(self._session.status, self._session.body, "as recorded")

    def opened(self, now: float) -> list[Out]:
        self._opened_at = now
        return self.tick(now)

    def receive(self, data: bytes, now: float, *, binary: bool = False) -> list[Out]:
        kind = _type(data)
        if kind is not None and kind != "input_audio_buffer.append":
            n = self._came[kind] = self._came.get(kind, 0) + 1
            self._came_at[kind, n] = now
            self._new = True
            if kind == "session.update":
                self._agree(data)
        return self.tick(now)

    def start_stream(self, now: float) -> None:
        """The carrier's stream began: what the provider did by itself goes by this clock."""
        self.stream_at = now
        self._new = True

    def _agree(self, data: bytes) -> None:
        """The format that our side asks for is the one it gets: audio is put in, not repeated."""
        try:
            self._asked = msgspec.json.decode(data)["session"]
            given = self._asked["audio"]["output"]["format"]
        except (msgspec.MsgspecError, KeyError, TypeError):
            return
        if isinstance(given, dict):
            self._format = given

    def deadline(self) -> float | None:
        """When it has to be looked at again."""
        if self._closed:
            return None
        if self._new:
            self._next, self._new = self._earliest(), False
        if self.stream_at is None and (self.unsent or self._session.close is not None):
            return self._now + POLL_S if self._next is None else min(self._next, self._now + POLL_S)
        return self._next

    def _earliest(self) -> float | None:
        due = [at for _, cue in self.unsent if (at := self._due(cue)) is not None]
        end = self._close_due()
        if end is not None:
            due.append(end)
        return min(due, default=None)

    def _due(self, cue: Cue) -> float | None:
        at = self._at(cue.base)
        return None if at is None else at + cue.delay_s

    def _at(self, base: str) -> float | None:
        kind, _, rest = base.partition(" ")
        if kind == "open":
            return self._opened_at
        if kind == "stream":
            return self.stream_at
        if kind == "cue":
            return self._sent_at.get(int(rest))
        name, _, n = rest.rpartition(" ")
        return self._came_at.get((name, int(n)))

    def _close_due(self) -> float | None:
        close = self._session.close
        at = self._at(close[2]) if close is not None else None
        return at + close[3] if close is not None and at is not None else None

    def tick(self, now: float) -> list[Out]:
        self._now = now
        if self._closed or (not self._new and (self._next is None or now < self._next)):
            return []
        self._new = True
        out: list[Out] = []
        while True:
            ripe = [
                (at, number, cue) for number, cue in self.unsent if (at := self._due(cue)) is not None and at <= now
            ]
            if not ripe:
                break
            for at, number, cue in sorted(ripe, key=lambda found: found[:2]):
                self._sent_at[number] = at
                self.unsent.remove((number, cue))
                out.append(msgspec.json.encode(self._message(cue)))
        end = self._close_due()
        if end is not None and end <= now:
            self._closed = True
            close = self._session.close
            assert close is not None
            out.append(PeerClose(close[0], close[1]))
        return out

    def _echo(self, message: dict[str, Any]) -> dict[str, Any]:
        """
        The echo of what is asked for now, where the echo was that of what was asked then; what differed, differs.

        A record keeps long texts short, so the recorded echo would differ from any request.
        """
        echo, then = message.get("session"), self._session.asked
        if not isinstance(echo, dict) or not isinstance(self._asked, dict) or then is None:
            return message
        made = _merged(echo, self._asked)
        for found in _judge.differences(then, echo):
            if found.got is not None:
                _put(made, found.field, _get(echo, found.field))
        return {**message, "session": made}

    def _message(self, cue: Cue) -> dict[str, Any]:
        if not cue.audio_ms:
            return self._echo(cue.message) if cue.message.get("type") == "session.updated" else cue.message
        ms = round(cue.audio_ms)
        pcmu = self._audio(ms, self._said_ms)
        self._said_ms += ms
        if BYTES_PER_MS.get(str(self._format.get("type")), 8) == 48:
            import numpy as np

            from offhook.media import g711

            pcmu = np.repeat(g711.decode(pcmu), 3).astype("<i2").tobytes()
        return {**cue.message, "delta": base64.b64encode(pcmu).decode()}


def _merged(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{name: _merged(under.get(name), value) for name, value in over.items()}}
    return over


def _put(node: dict[str, Any], path: str, value: Any) -> None:
    *above, name = path.split(".")
    for part in above:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            return
    node[name] = value


def _get(node: Any, path: str) -> Any:
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _type(data: bytes) -> str | None:
    try:
        kind = msgspec.json.decode(data)["type"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return kind if isinstance(kind, str) else None

"""
What the naive bridge sends to the carrier: envelopes, marks, clear, pacing.
"""

from __future__ import annotations

import base64
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

if TYPE_CHECKING:
    from offhook.sims.foreign_call import ForeignCall

__all__ = ["Writer"]

FRAME = 160


class Writer:
    """The downlink of one call."""

    def __init__(self, call: ForeignCall) -> None:
        self._call = call
        self._k = call.knobs
        self._queue: deque[bytes] = deque()
        self._rest = b""
        self._pacing = False
        self._pace_began = 0.0
        self._paced = 0
        self._began = call.now()
        self._marks = 0
        self.marks_open = 0
        self.plays_until = call.now()
        self._item_began: dict[str, float] = {}
        self._item_ms: dict[str, float] = {}
        self.item: tuple[str, int, str] | None = None

    # ------------------------------------------------------------------------------------ what is known

    def ahead_s(self) -> float:
        return max(0.0, self.plays_until - self._call.now()) + len(self._queue) * 0.02

    def playing(self) -> bool:
        return self.ahead_s() > 0.05

    def heard_ms(self) -> int:
        """Of the item that plays, by the playback clock."""
        if self.item is None:
            return 0
        began = self._item_began.get(self.item[0], self._call.now())
        return max(0, min(int((self._call.now() - began) * 1000), int(self._item_ms.get(self.item[0], 0))))

    def wall_ms(self) -> int:
        """Since the stream began: the mistake."""
        return int((self._call.now() - self._began) * 1000)

    # ---------------------------------------------------------------------------------------- writing

    def raw(self, data: bytes) -> None:
        if self._call.end is not None:
            self._call.end.send(data)

    def play(self, audio: bytes) -> None:
        k = self._k
        if self.item is not None and self.item[0] not in self._item_began:
            self._item_began[self.item[0]] = max(self._call.now(), self.plays_until)
        if self.item is not None:
            self._item_ms[self.item[0]] = self._item_ms.get(self.item[0], 0.0) + len(audio) / 8
        if k.pace == "burst":
            size = k.chunk or len(audio)
            for at in range(0, len(audio), size):
                self._media(audio[at : at + size])
            self._mark()
            return
        whole = self._rest + audio
        n = len(whole) // FRAME * FRAME
        self._queue.extend(whole[at : at + FRAME] for at in range(0, n, FRAME))
        self._rest = whole[n:]
        if not self._pacing:
            self._pacing, self._pace_began, self._paced = True, self._call.now(), 0
            self._next()

    def _next(self) -> None:
        """One frame, then wait: until its time by an absolute clock, or 20 ms more by a naive one."""
        if not self._queue or self._call.over:
            self._pacing = False
            if self._queue or not self._call.over:
                self._mark()
            return
        self._media(self._queue.popleft())
        self._paced += 1
        k = self._k
        at = self._pace_began + self._paced * 0.02 if k.pace == "absolute" else self._call.now() + 0.02 + k.send_cost_s
        self._call.bridge.process.call_at(at, self._next)

    def _media(self, audio: bytes) -> None:
        k = self._k
        self.plays_until = max(self.plays_until, self._call.now()) + len(audio) / 8000
        body: Any = base64.b64encode(audio).decode()
        if k.payload == "twice":
            body = base64.b64encode(body.encode()).decode()
        elif k.payload == "urlsafe":
            body = base64.urlsafe_b64encode(audio).decode()
        elif k.payload == "data:":
            body = "data:audio/pcmu;base64," + body
        elif k.payload == "list":
            body = list(audio)
        self._send("media", media={"payload": body})

    def _mark(self) -> None:
        if not self._k.marks:
            return
        self._marks += 1
        self.marks_open += 1
        if self._k.mark_shape == "no name":
            self._send("mark")
        else:
            self._send("mark", mark={"name": f"p{self._marks}"})

    def mark_back(self, name: str) -> None:
        self.marks_open = max(0, self.marks_open - 1)
        if not self.marks_open:
            self._call.tools.all_played()

    def clear(self) -> None:
        self._queue.clear()
        self._rest = b""
        self.plays_until = self._call.now()
        self._send("clear")

    def _send(self, event: str, **body: Any) -> None:
        k, call = self._k, self._call
        if call.end is None:
            return
        sid = call.sid
        if k.sid == "other call":
            sid = call.bridge.shared_sid
        elif k.sid == "null":
            sid = None
        message = _encode({"event": event, k.sid_field: sid, **body})
        call.end.send(message, binary=k.binary)

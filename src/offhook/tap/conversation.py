"""
One tapped connection as what it means: requests with their answers, then the messages of a WebSocket, then its end.

Reads both directions as they go by and tells a ``Leg``; changes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, Protocol

from offhook.tap.frames import FrameReader, Passed
from offhook.tap.heads import Request, Requests, Response, Responses, header
from offhook.tap.pipe import Side

__all__ = ["Conversation", "End", "Leg"]

By = Literal["near", "far", "nobody"]


class End:
    """How a WebSocket ended: the first close frame and whose it was, or who let go of TCP."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.reason = ""
        self.by: By = "nobody"
        self.tcp_by: Side | None = None  # who ended TCP first
        self.reset = False


class Leg(Protocol):
    """Who is told about one connection."""

    def exchanged(self, request: Request, response: Response, now: float) -> None: ...
    def upgraded(self, request: Request, response: Response, now: float) -> None: ...
    def message(self, side: Side, passed: Passed, now: float) -> None: ...
    def unreadable(self, side: Side, why: str, now: float) -> None: ...
    def unanswered(self, request: Request | None, phase: str, cause: str, now: float) -> None: ...
    def ended(self, end: End, now: float) -> None: ...


class Conversation:
    """The ``Looker`` of one connection."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._waiting: deque[Request] = deque()
        self._requests = Requests(self._waiting.append)
        self._responses = Responses(self._answered)
        self._early = bytearray()  # what the client sent behind an upgrade that is not answered yet
        self._upgrading = False
        self._near_frames: FrameReader | None = None
        self._far_frames: FrameReader | None = None
        self._end = End()
        self._now = 0.0
        self._said: set[Side] = set()

    # ------------------------------------------------------------------------------ the pipe's callbacks

    def connected(self, now: float, ms: float) -> None:
        """The upstream was reached."""

    def near(self, data: bytes, now: float) -> None:
        if self._near_frames is not None:
            self._frames("near", self._near_frames, data, now)
            return
        if self._upgrading:
            self._early += data
            return
        rest = self._requests.feed(data, now)
        if self._requests.broken is not None:
            self._say("near", self._requests.broken, now)
        if rest is not None:
            self._upgrading = True
            self._early += rest

    def far(self, data: bytes, now: float) -> None:
        if self._far_frames is not None:
            self._frames("far", self._far_frames, data, now)
            return
        self._now = now
        rest = self._responses.feed(data, now)
        if self._responses.broken is not None:
            self._say("far", self._responses.broken, now)
        if self._far_frames is None and self._upgrading and not self._waiting:
            self._back_to_http(now)
        elif rest and self._far_frames is not None:
            self._frames("far", self._far_frames, rest, now)

    def failed(self, phase: str, cause: str, now: float) -> None:
        self._leg.unanswered(self._waiting[0] if self._waiting else None, phase, cause, now)

    def ended(self, by: Side, reset: bool, now: float) -> None:
        if self._end.tcp_by is None:
            self._end.tcp_by, self._end.reset = by, reset
        for request in self._waiting:
            self._leg.unanswered(request, "http", f"the connection was closed by the {by} side before an answer", now)
        self._waiting.clear()
        self._leg.ended(self._end, now)

    # ---------------------------------------------------------------------------------------- the inside

    def _answered(self, response: Response) -> None:
        if not self._waiting:
            return
        request = self._waiting.popleft()
        if response.status == 101 and request.upgrade:
            agreed = header(response.headers, "Sec-WebSocket-Extensions") or ""
            self._near_frames, self._far_frames = FrameReader(agreed, "client"), FrameReader(agreed, "server")
            self._leg.upgraded(request, response, self._now)
            early, self._early = bytes(self._early), bytearray()
            if early:
                self._frames("near", self._near_frames, early, self._now)
        else:
            self._leg.exchanged(request, response, self._now)

    def _back_to_http(self, now: float) -> None:
        """An upgrade was refused: what followed it was another request."""
        self._upgrading = False
        early, self._early = bytes(self._early), bytearray()
        self._requests = Requests(self._waiting.append)
        if early:
            self.near(early, now)

    def _frames(self, side: Side, reader: FrameReader, data: bytes, now: float) -> None:
        for passed in reader.feed(data):
            if passed.kind == "close" and self._end.by == "nobody":
                self._end.by, self._end.code, self._end.reason = side, passed.code, passed.reason
            self._leg.message(side, passed, now)
        if reader.broken is not None:
            self._say(side, reader.broken, now)

    def _say(self, side: Side, why: str, now: float) -> None:
        if side not in self._said:
            self._said.add(side)
            self._leg.unreadable(side, why, now)

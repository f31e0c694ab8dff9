"""
A talk's stream from this side: speaks the browser's wire (``docs/talk.md``) for a terminal, or for a test.

Twenty milliseconds at a time it sends what its source gives and lets what came be played. Knows no sound card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from offhook.net import client
from offhook.net.sockets import Socket
from offhook.talk.playback import QUIET, Playback
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers._browser_peer import Cleared, Marked, Peer, Played, Shown

__all__ = ["TalkStream"]

FRAME_S = 0.02
FRAME = 160


class TalkStream:
    """
    One talk. ``source(n)`` gives the caller's audio; ``shown(who, text)`` hears what was said.

    What comes is played by the clock, into ``heard``; after ``speak`` by whoever has the speakers.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        source: Callable[[int], bytes] = lambda n: QUIET[:n],
        shown: Callable[[str, str], None] = lambda who, text: None,
    ) -> None:
        self.peer = peer
        self.playback = Playback()
        self.heard = bytearray()  # what was played, when the clock plays
        self.cleared = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.words_at = 0.0  # when the agent last said something
        self._source = source
        self._shown = shown
        self._speakers = False
        self._socket: Socket | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def begin(self, url: str) -> None:
        """Open the stream. Raises client.DialError."""
        await client.dial(ConnectRequest(url=url, headers=()), self, timeout_s=10.0)

    # ------------------------------------------------------------------------------------- what is done

    def speak(self, source: Callable[[int], bytes]) -> None:
        """``source`` is a microphone; its owner drains ``playback`` and calls ``reached`` with the marks."""
        self._source, self._speakers = source, True

    def fall_silent(self) -> None:
        """There is no sound any more: what comes is played by the clock, and nothing is said."""
        self._source, self._speakers = (lambda n: QUIET[:n]), False

    def type(self, text: str) -> None:
        self._send(self.peer.text(text))

    def press(self, digit: str) -> None:
        self._send(self.peer.dtmf(digit))

    def reached(self, marks: list[str]) -> None:
        """Marks that were played."""
        for name in marks:
            self._send(self.peer.mark(name))

    def stop(self) -> None:
        """Hang up."""
        self._send(self.peer.stop())

    def _send(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send(data)

    # ----------------------------------------------------------------------------------- the socket's side

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        socket.send(self.peer.start())
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="talk")

    def text(self, data: bytes) -> None:
        match self.peer.receive(data):
            case Played(audio=audio):
                self.playback.add(audio)
            case Marked(name=name):
                self.playback.mark(name)
            case Cleared():
                self.cleared += 1
                for name in self.playback.clear():
                    self._send(self.peer.mark(name, flushed=True))
            case Shown(who=who, text=text):
                if who == "agent":
                    self.words_at = asyncio.get_running_loop().time()
                self._shown(who, text)

    def binary(self, data: bytes) -> None:
        self.peer.receive(data, binary=True)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._socket = None
        self.playback.clear()
        if self._ticking is not None:
            self._ticking.cancel()
        if not self.over.done():
            self.over.set_result("" if code in (1000, 1001) else reason or "the line is cut")

    def paused(self, n_bytes: int) -> None:
        """Twenty milliseconds are small: the socket's own limit ends a server that does not read."""

    def resumed(self) -> None:
        """See ``paused``."""

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._socket is not None:
            self._send(self.peer.media(self._source(FRAME)))
            if not self._speakers:
                audio, marks = self.playback.take(FRAME)
                self.heard += audio
                self.reached(marks)
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - loop.time()))

"""
A connection that C reads (native/poll.c), without a loop: who would be told that it is readable is called by hand.
"""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from typing import Any

from tests.net.kit import frame

from offhook.net.hot import hot


class Loop:
    """What a Poll needs of a loop: the one reader, and somebody to complain to."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}
        self.complaints: list[dict[str, Any]] = []

    def add_reader(self, fd: int, run: Callable[[], None]) -> None:
        assert fd not in self.readers
        self.readers[fd] = run

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)

    def turn(self) -> None:
        for run in list(self.readers.values()):
            run()


class Picows:
    """picows' place: keeps what it is given, and tells of whole messages."""

    def __init__(self, masked: bool, text: Callable[[bytes], None]) -> None:
        self.masked = masked
        self.got = b""
        self.n_bytes = 0
        self.lost: list[Exception | None] = []
        self._text = text
        self._room = bytearray(4096)

    def get_buffer(self, hint: int) -> memoryview:
        return memoryview(self._room)

    def buffer_updated(self, n: int) -> None:
        self.n_bytes += n
        self.got += self._room[:n]
        while (found := first_frame(self.got)) is not None:
            opcode, payload, end = found
            self.got = self.got[end:]
            if opcode == 1:
                self._text(payload)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


def first_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """The first frame of ``data`` (RFC 6455, 5.2): its opcode, its payload and where it ends."""
    if len(data) < 2:
        return None
    n, at = data[1] & 127, 2
    if n > 125:
        size = 2 if n == 126 else 8
        n, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    key = bytes(4)
    if data[1] & 128:
        key, at = data[at : at + 4], at + 4
    if len(data) < at + n:
        return None
    return data[0] & 15, bytes(byte ^ key[i % 4] for i, byte in enumerate(data[at : at + n])), at + n


class Line:
    """One connection: our end with its Ear and transport, and the peer's end, ``there``."""

    def __init__(self, loop: Loop, *, masked: bool = True, text: Callable[[bytes], None] = lambda data: None) -> None:
        self.loop = loop
        self.here, self.there = socket.socketpair()
        weakref.finalize(self, lambda *ends: [end.close() for end in ends], self.here, self.there)
        self.here.setblocking(False)
        self.there.setblocking(False)
        self.masked = masked
        self.picows = Picows(masked, text)
        self.ear = hot.Ear(self.picows, masked)
        self.ear.belongs_to(self)
        self.reading = True
        self.aborted = False
        self.closing = False
        self.errors: list[Exception] = []
        self.sent = b""  # what the peer has got

    # as a transport

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None:
        self.here.sendall(data)

    def waiting(self) -> int:
        return 0

    # as a Socket

    def closes(self) -> bool:
        return self.closing

    def defect(self, error: Exception) -> None:
        self.errors.append(error)

    # for a test

    def attach(self, way: Any, downwards: bool = False) -> bool:
        self.ear.attach(way, downwards)
        return bool(self.ear.reads(self.loop, self, self.here.fileno()))

    def say(self, data: bytes) -> None:
        """The peer writes a text message."""
        self.there.sendall(frame(1, data, mask=self.masked))

    def turn(self) -> None:
        """One turn of the loop: C reads, or the transport does."""
        if not self.reading:
            self.loop.turn()
            return
        view = memoryview(self.ear.get_buffer(-1))
        n = self.here.recv_into(view)
        view.release()
        self.ear.buffer_updated(n)

    def read_by_peer(self) -> list[bytes]:
        """The messages that have come out at the peer's end since the last time."""
        try:
            while data := self.there.recv(1 << 17):
                self.sent += data
        except BlockingIOError:
            pass
        found = []
        while (one := first_frame(self.sent)) is not None:
            found.append(one[1])
            self.sent = self.sent[one[2] :]
        return found

    def end(self) -> None:
        """The connection is lost, as the transport tells it."""
        self.ear.connection_lost(None)
        self.here.close()
        self.there.close()

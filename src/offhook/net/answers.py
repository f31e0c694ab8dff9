"""
The answer to an upgrade request, read whole before picows sees it.

picows gives up at the end of the head, and a provider's reason ("invalid_api_key") usually comes in the next
TLS record. So the first bytes are read here: a 101 and all that follows goes to picows, of any other answer
the body is waited for, a moment and up to a limit. Knows nothing of who asked.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from msgspec import Struct

from offhook.net.picows_seam import begin

__all__ = ["Answer", "AnswerSniffer"]

HEAD_BYTES = 16 * 1024
BODY_BYTES = 8 * 1024  # of an error; the first 200 are shown
BODY_WAIT_S = 0.5
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|$)")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")


class Answer(Struct, frozen=True):
    """A peer's answer to an upgrade request; ``status`` None when it is no HTTP, ``body`` then what it is."""

    status: int | None
    body: bytes = b""


class AnswerSniffer(asyncio.Protocol):
    """
    Stands before ``protocol`` (picows, client side) until the answer is there.

    ``answer`` becomes the Answer, or None when the peer closed without one. With 101 the connection is
    ``protocol``'s by then.
    """

    def __init__(self, protocol: Any, compiled: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer | None] = self._loop.create_future()
        self._protocol = protocol
        self._compiled = compiled
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._status: int | None = None
        self._body_at = 0
        self._wanted = BODY_BYTES
        self._chunked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._protocol.connection_made(transport)  # which sends the request

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._data += data
        if self._timer is None and not self._read_head():
            return
        over = self._chunked and self._data.endswith(b"\r\n0\r\n\r\n")
        if over or len(self._data) - self._body_at >= self._wanted:
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            if self._timer is not None:
                self._settle()
            else:
                self.answer.set_result(self._no_http() if self._data else None)
        if self._transport is not None:
            self._protocol.connection_lost(exc)

    def _read_head(self) -> bool:
        """Whether the head of a refusal is complete, and its body is wanted now."""
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > HEAD_BYTES or not b"HTTP/1.".startswith(self._data[:7]):
                self.answer.set_result(self._no_http())
            return False
        found = _STATUS.match(self._data)
        if found is None or end > HEAD_BYTES:
            self.answer.set_result(self._no_http())
            return False
        self._status = int(found[1])
        if self._status == 101:
            self._give_away(end + 4)
            return False
        self._body_at = end + 4
        length = _LENGTH.search(self._data, 0, end + 2)
        self._wanted = min(int(length[1]), BODY_BYTES) if length else BODY_BYTES
        self._chunked = _CHUNKED.search(self._data, 0, end + 2) is not None
        self._timer = self._loop.call_later(BODY_WAIT_S, self._settle)
        return True

    def _settle(self) -> None:
        """What has come of the body is enough."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.answer.done():
            body = bytes(self._data[self._body_at :][:BODY_BYTES])
            self.answer.set_result(Answer(self._status, _joined(body) if self._chunked else body))

    def _no_http(self) -> Answer:
        return Answer(None, bytes(self._data[:200]))

    def _give_away(self, end: int) -> None:
        transport = self._transport
        assert transport is not None
        self.answer.set_result(Answer(101))
        data = bytes(self._data)
        self._data.clear()
        begin(self._protocol, transport, data[:end], data[end:], masked=False, compiled=self._compiled)


def _joined(body: bytes) -> bytes:
    """The chunks of a body (RFC 9112, 7.1), as far as they have come."""
    parts: list[bytes] = []
    at = 0
    while (head := _CHUNK_HEAD.match(body, at)) is not None:
        size = int(head[1], 16)
        parts.append(body[head.end() : head.end() + size])
        at = head.end() + size + 2
        if size == 0:
            break
    return b"".join(parts)

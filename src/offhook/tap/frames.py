"""
Reading WebSocket frames that go by, of one direction, without touching them (RFC 6455, 5; RFC 7692 for compression).

A reader that cannot make sense of what comes says so once and reads no more; whoever forwards the bytes goes on.
"""

from __future__ import annotations

import zlib

from msgspec import Struct

__all__ = ["FrameReader", "Passed"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_KINDS = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_TAIL = b"\x00\x00\xff\xff"  # RFC 7692, 7.2.2


class Passed(Struct, frozen=True):
    """One whole message, or a control frame, that went by."""

    kind: str  # text, binary, close, ping, pong
    data: bytes
    frames: int = 1

    @property
    def code(self) -> int | None:
        """The code of a close frame; None where it has none."""
        return int.from_bytes(self.data[:2], "big") if len(self.data) >= 2 else None

    @property
    def reason(self) -> str:
        return self.data[2:].decode(errors="replace")


class FrameReader:
    """
    ``feed`` returns what became whole. ``extensions`` is the agreed Sec-WebSocket-Extensions, ``side`` whose frames.

    ``broken`` says why nothing more is read.
    """

    def __init__(self, extensions: str = "", side: str = "client") -> None:
        self.broken: str | None = None
        self._buffer = bytearray()
        self._parts = bytearray()
        self._kind = 0
        self._n = 0
        self._compressed = False
        offered = extensions.lower()
        self._deflate = "permessage-deflate" in offered
        self._forget = f"{side}_no_context_takeover" in offered
        self._inflater = zlib.decompressobj(-15) if self._deflate else None

    def feed(self, data: bytes) -> list[Passed]:
        """The messages that ``data`` completed. Never raises."""
        if self.broken is not None:
            return []
        buffer = self._buffer
        buffer += data
        found: list[Passed] = []
        while self.broken is None:
            taken = self._frame(found)
            if not taken:
                break
            del buffer[:taken]
        if self.broken is not None:
            buffer.clear()
            self._parts.clear()
        return found

    def _frame(self, found: list[Passed]) -> int:
        """Read the first frame of the buffer; how many bytes it took, 0 when it is not whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return 0
        first, second = buffer[0], buffer[1]
        size, at = second & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(buffer) < 2 + wide:
                return 0
            size, at = int.from_bytes(buffer[2 : 2 + wide], "big"), 2 + wide
        if size > MAX_MESSAGE_BYTES:
            self.broken = f"a frame of {size} bytes"
            return 0
        mask = b""
        if second & 0x80:
            mask, at = bytes(buffer[at : at + 4]), at + 4
        if len(buffer) < at + size:
            return 0
        payload = bytes(buffer[at : at + size])
        self._take(first, _unmasked(payload, mask) if mask else payload, found)
        return at + size

    def _take(self, first: int, payload: bytes, found: list[Passed]) -> None:
        opcode, fin = first & 0x0F, first & 0x80
        if first & 0x30 or (first & 0x40 and not self._deflate):
            self.broken = "reserved bits that no agreed extension explains"
        elif opcode >= 8:
            if opcode not in _KINDS or not fin:
                self.broken = f"a control frame with opcode {opcode}"
            else:
                found.append(Passed(_KINDS[opcode], payload))
        elif (opcode == 0) != bool(self._kind) or opcode not in (0, 1, 2):
            self.broken = f"a frame with opcode {opcode} out of place"
        else:
            if opcode:
                self._kind, self._n, self._compressed = opcode, 0, bool(first & 0x40)
            self._n += 1
            if len(self._parts) + len(payload) > MAX_MESSAGE_BYTES:
                self.broken = f"a message over {MAX_MESSAGE_BYTES} bytes"
                return
            if fin and self._n == 1 and not self._compressed:
                found.append(Passed(_KINDS[self._kind], payload))
                self._kind = 0
                return
            self._parts += payload
            if fin:
                self._finish(found)

    def _finish(self, found: list[Passed]) -> None:
        data = bytes(self._parts)
        self._parts.clear()
        kind, self._kind = self._kind, 0
        if self._compressed:
            assert self._inflater is not None
            try:
                data = self._inflater.decompress(data + _TAIL, MAX_MESSAGE_BYTES)
            except zlib.error as error:
                self.broken = f"compressed data that cannot be read ({error})"
                return
            if self._forget:
                self._inflater = zlib.decompressobj(-15)
        found.append(Passed(_KINDS[kind], data, self._n))


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    n = len(payload)
    key = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")

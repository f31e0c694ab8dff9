"""
WebSockets as the rest of Offhook sees them: whole messages in, whole messages out, one account of the end.

An adapter over picows for both directions. It reassembles fragments up to a limit, refuses reserved bits,
answers pings and closes, bounds what piles up unsent, and says who ended a connection. Knows no wire.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal, Protocol, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from offhook.net.clock import Handle

__all__ = ["By", "Limits", "Listener", "Socket"]

By = Literal["us", "them", "nobody"]

# RFC 6455, 7.1.1: after both close frames TCP is closed; a peer that does not answer ours gets this long.
CLOSE_GRACE_S = 1.0
_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY


class Limits:
    """What one connection may do."""

    def __init__(
        self,
        *,
        max_message_bytes: int,
        max_buffered_bytes: int = 4 * 1024 * 1024,
        ping_every_s: float = 20.0,
        dead_after_s: float | None = None,
    ) -> None:
        self.max_message_bytes = max_message_bytes
        self.max_buffered_bytes = max_buffered_bytes
        self.ping_every_s = ping_every_s  # only while nothing comes
        self.dead_after_s = dead_after_s  # nothing at all came for so long, pongs included; None: never


def _head(data: bytes) -> bytes:
    """The frame header of an unmasked text message (RFC 6455, 5.2)."""
    n = len(data)
    if n < 126:
        return bytes((0x81, n))
    if n < 65536:
        return bytes((0x81, 126, n >> 8, n & 255))
    return b"\x81\x7f" + n.to_bytes(8, "big")


class Listener(Protocol):
    """Who is told what happens on a socket. None of these may block."""

    def opened(self, socket: Socket) -> None: ...
    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...
    def closed(self, code: int | None, reason: str, by: By) -> None: ...
    def paused(self, n_bytes: int) -> None: ...
    def resumed(self) -> None: ...


class Socket(WSListener):
    """
    One open WebSocket.

    ``send(data)`` writes a text message; it never blocks, and what the peer does not read piles up to
    ``Limits.max_buffered_bytes``, then the connection is dropped by name.
    """

    def __init__(self, listener: Listener, limits: Limits) -> None:
        self._listener = listener
        self._limits = limits
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._parts_type = _TEXT
        self._parts_bytes = 0
        self._by: By | None = None
        self._code: int | None = None
        self._reason = ""
        self._closing: Handle | None = None
        self._watch: Handle | None = None
        self._silent_s = 0.0
        self._seen = False
        self.fragments = 0  # messages that came in pieces
        self.send = self._unsendable

    # ------------------------------------------------------------------------------------- for its users

    def send_both(self, first: bytes, second: bytes) -> None:
        """
        Write two text messages as one write: one call into the kernel, and they arrive together.

        Only for a server's socket, whose frames are not masked.
        """
        transport = self._transport
        if transport is not None and self._by is None:
            transport.underlying_transport.write(_head(first) + first + _head(second) + second)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake; ``closed`` follows, at the latest after a second."""
        transport = self._transport
        if transport is None or self._by is not None:
            return
        self._by = "us"
        self._code, self._reason = code, reason
        self.send = self._unsendable
        # a control frame holds 125 bytes, two of them the code
        transport.send_close(cast(WSCloseCode, code), reason.encode()[:123].decode(errors="ignore"))
        self._closing = asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self._drop)

    def abort(self, code: int, reason: str) -> None:
        """Drop the connection now, without the peer's consent."""
        if self._by is None:
            self._by = "us"
            self._code, self._reason = code, reason
        self.send = self._unsendable
        self._drop()

    @property
    def buffered_bytes(self) -> int:
        """Bytes written but not yet taken by the operating system."""
        if self._transport is None:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    def _unsendable(self, data: bytes) -> None:
        """Writing to a socket that is not open, or no longer, does nothing: its end is told by ``closed``."""

    # ---------------------------------------------------------------------------- for picows, per message

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._seen = True
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and not self._parts and not frame.rsv1:
            self._listener.text(frame.get_payload_as_bytes())
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._refuse(1002, "reserved bits set without an extension")
        elif kind in (_TEXT, _BINARY, WSMsgType.CONTINUATION):
            self._piece(kind, frame)
        elif kind is WSMsgType.PING:
            self._ping(transport, frame)
        elif kind is WSMsgType.CLOSE:
            self._peer_closes(frame)

    def _piece(self, kind: WSMsgType, frame: WSFrame) -> None:
        if self._by is not None:
            return
        if (kind is WSMsgType.CONTINUATION) != bool(self._parts):
            self._refuse(1002, "continuation out of place")
            return
        if not self._parts:
            self._parts_type = kind
            self._parts_bytes = 0
        data = frame.get_payload_as_bytes()
        self._parts_bytes += len(data)
        if self._parts_bytes > self._limits.max_message_bytes:
            self._refuse(1009, f"message over {self._limits.max_message_bytes} bytes")
            return
        self._parts.append(data)
        if not frame.fin:
            return
        if len(self._parts) > 1:
            self.fragments += 1
        whole = b"".join(self._parts)
        self._parts.clear()
        if self._parts_type is _TEXT:
            self._listener.text(whole)
        else:
            self._listener.binary(whole)

    def _ping(self, transport: WSTransport, frame: WSFrame) -> None:
        data = frame.get_payload_as_bytes()
        if len(data) > 125 or not frame.fin:
            self._refuse(1002, "control frame fragmented or over 125 bytes")
        elif self._by is None:
            transport.send_pong(data)

    def _peer_closes(self, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        transport = self._transport
        assert transport is not None
        if self._by is None:
            self._by = "them"
            self._code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self._reason = payload[2:].decode(errors="replace")
            # echo the code (RFC 6455, 5.5.1); 1005 stands for "none" and is never sent
            transport.send_close(cast(WSCloseCode, self._code if len(payload) >= 2 else 1000), "")
        self.send = self._unsendable
        self._drop(gracefully=True)

    def _refuse(self, code: int, why: str) -> None:
        self._parts.clear()
        self.close(code, why)

    # --------------------------------------------------------------------------- for picows, a connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.send = partial(transport.send, _TEXT)
        self._keep_watch()
        self._listener.opened(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for handle in (self._closing, self._watch):
            if handle is not None:
                handle.cancel()
        self._closing = self._watch = None
        self.send = self._unsendable
        self._transport = None
        if self._by is None:
            handshake = transport.close_handshake
            if handshake is not None and handshake.sent is not None:
                # picows itself refused the frame (masking, size): the fault is the peer's, the close ours
                self._by = "us"
                self._code, self._reason = cast(int, handshake.sent.code), handshake.sent.reason or ""
            else:
                self._by = "nobody"
        self._listener.closed(self._code, self._reason, self._by)

    def pause_writing(self) -> None:
        self._listener.paused(self.buffered_bytes)
        if self.buffered_bytes > self._limits.max_buffered_bytes:
            self.abort(1006, "peer stopped reading")

    def resume_writing(self) -> None:
        self._listener.resumed()

    def _drop(self, gracefully: bool = False) -> None:
        if self._transport is not None:
            self._transport.disconnect(gracefully)

    # ------------------------------------------------------------------------------------------ keepalive

    def _keep_watch(self) -> None:
        """
        Look every ``ping_every_s`` whether anything came; ping when not.

        A missing pong alone ends nothing: what counts is that nothing at all came for ``dead_after_s``.
        """
        every = self._limits.ping_every_s
        self._watch = asyncio.get_running_loop().call_later(every, self._look)

    def _look(self) -> None:
        if self._transport is None:
            return
        if self.buffered_bytes > self._limits.max_buffered_bytes:
            self.abort(1006, "peer stopped reading")
            return
        if self._seen:
            self._seen = False
            self._silent_s = 0.0
        else:
            self._silent_s += self._limits.ping_every_s
            dead = self._limits.dead_after_s
            if dead is not None and self._silent_s >= dead:
                self.abort(1006, f"nothing came for {self._silent_s:.0f} s, no pong either")
                return
            if self._by is None:
                self._transport.send_ping(b"")
        self._keep_watch()

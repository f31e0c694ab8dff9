"""
WebSockets as the rest of Offhook sees them: whole messages in, whole messages out, one account of the end.

An adapter over picows for both directions. It reassembles fragments up to a limit, refuses reserved bits,
answers pings and closes, bounds what piles up unsent, and says who ended a connection. Knows no wire.

Text is handed on as the bytes that came. It is not checked for UTF-8 here: RFC 6455 (8.1) would have the
connection failed with 1007, but a call is worth more than a message, and the wires' JSON decoder refuses
such a message and names it. A close reason that is no UTF-8 does end the connection with 1007.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol, cast

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport

from offhook.net.clock import Handle
from offhook.net.hot import hot
from offhook.net.picows_seam import Ear

__all__ = ["TEXT", "By", "Limits", "Listener", "Socket"]

log = logging.getLogger("offhook")

By = Literal["us", "them", "nobody"]

# RFC 6455, 7.1.1: after both close frames TCP is closed; a peer that does not answer ours gets this long.
CLOSE_GRACE_S = 1.0
TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY


class Limits:
    """What one connection may do."""

    __slots__ = ("close_grace_s", "compiled", "dead_after_s", "max_buffered_bytes", "max_message_bytes", "ping_every_s")

    def __init__(
        self,
        *,
        max_message_bytes: int,
        max_buffered_bytes: int = 4 * 1024 * 1024,
        ping_every_s: float = 20.0,
        dead_after_s: float | None = None,
        close_grace_s: float = CLOSE_GRACE_S,
        compiled: bool = True,
    ) -> None:
        self.max_message_bytes = max_message_bytes
        self.max_buffered_bytes = max_buffered_bytes
        self.ping_every_s = ping_every_s  # only while nothing comes
        self.dead_after_s = dead_after_s  # nothing at all came for so long, pongs included; None: never
        self.close_grace_s = close_grace_s
        self.compiled = compiled  # frames may go the compiled way, where there is one


class Listener(Protocol):
    """Who is told what happens on a socket. None of these may block; one that raises ends its connection."""

    def opened(self, socket: Socket) -> None: ...
    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...
    def closed(self, code: int | None, reason: str, by: By) -> None: ...
    def paused(self, n_bytes: int) -> None: ...
    def resumed(self) -> None: ...


class _Nobody:
    """The listener of a connection that is not listened to any more."""

    def opened(self, socket: Socket) -> None: ...
    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...
    def closed(self, code: int | None, reason: str, by: By) -> None: ...
    def paused(self, n_bytes: int) -> None: ...
    def resumed(self) -> None: ...


_NOBODY = _Nobody()


def _unsendable(data: bytes) -> None:
    """Writing to a socket that is not open, or no longer, does nothing: its end is told by ``closed``."""


def _unwritable(kind: WSMsgType, data: bytes) -> None:
    """The same for ``writer``."""


def _sendable(code: int) -> bool:
    """Whether ``code`` may stand in a close frame: the rest are words for what happened without one."""
    return 1000 <= code <= 4999 and code not in (1004, 1005, 1006, 1015)


def _head(data: bytes) -> bytes:
    """The frame header of an unmasked text message (RFC 6455, 5.2)."""
    n = len(data)
    if n < 126:
        return bytes((0x81, n))
    if n < 65536:
        return bytes((0x81, 126, n >> 8, n & 255))
    return b"\x81\x7f" + n.to_bytes(8, "big")


class Socket(WSListener):
    """
    One open WebSocket.

    ``send(data)`` writes a text message; it never blocks, and what the peer does not read piles up to
    ``Limits.max_buffered_bytes``, then the connection is dropped by name. Messages that come after our own
    ``close`` are still told until the connection is gone; after the peer's close, or a refusal, nothing is.
    """

    __slots__ = (
        "_by", "_closing", "_code", "_ear", "_ears", "_limits", "_listener", "_parts", "_parts_type", "_paused", "_pen",
        "_reason", "_refused", "_seen", "_silent_s", "_text", "_transport", "_watch", "fragments", "on_pong",
        "pong_after_s", "send",
    )  # fmt: skip

    send: Callable[[bytes], None]

    def __init__(self, listener: Listener, limits: Limits) -> None:
        self._listener: Listener = listener
        self._ears: Listener = listener  # who hears messages
        self._text: Callable[[bytes], None] = _NOBODY.text  # who hears whole text messages
        self._limits = limits
        self._transport: WSTransport | None = None
        self._parts: bytearray | None = None  # of a message whose last frame has not come
        self._parts_type = TEXT
        self._ear: Ear | None = None
        self._pen: Any = None
        self._by: By | None = None
        self._code: int | None = None
        self._reason = ""
        self._closing: Handle | None = None
        self._watch: Handle | None = None
        self._silent_s = 0.0
        self._seen = False
        self._refused = False  # a frame was told after picows had refused the one behind it
        self._paused = False
        self.fragments = 0  # messages that came in pieces
        self.pong_after_s = 0.0  # set by simulated peers that answer pings late
        self.on_pong: Callable[[], None] | None = None  # set by them to know how far the other side has read
        self.send = _unsendable

    # ------------------------------------------------------------------------------------- for its users

    def send_both(self, first: bytes, second: bytes) -> None:
        """
        Write two text messages, by a server as one write: one call into the kernel, and they arrive together.
        """
        transport = self._transport
        if transport is None or self._by is not None or transport.is_close_frame_sent:
            return
        if transport.is_client_side:  # its frames are masked, which is picows' work
            self.send(first)
            self.send(second)
            return
        self._write_beside()
        transport.underlying_transport.write(_head(first) + first + _head(second) + second)
        if self._paused:
            self._bound_buffer()

    def send_binary(self, data: bytes) -> None:
        """Write a binary message: no wire of ours has one, simulated peers and foreign wires do."""
        transport = self._transport
        if transport is not None and self._by is None:
            self._write_beside()
            transport.send(_BINARY, data)

    def pause_reading(self) -> None:
        """Let what comes pile up at the peer until ``resume_reading``."""
        if self._ear is not None:
            self._ear.leave()
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def hand_to(self, listener: Listener) -> None:
        """From now on another listener is told; ``opened`` is not said again."""
        if self._ears is self._listener:  # else nothing is heard any more
            self._ears = listener
            self._text = listener.text
        self._listener = listener

    def hear(self, text: Callable[[bytes], None]) -> None:
        """Give whole text messages to ``text`` from now on; all else still goes to the listener."""
        if self._ears is not _NOBODY:
            self._text = text

    def writer(self) -> Callable[[WSMsgType, bytes], None]:
        """What ``send`` comes to while the peer reads: takes ``TEXT`` and the message. Not for use while ``paused``."""
        return _unwritable if self._transport is None else self._transport.send

    def attach(self, way: Any, *, downwards: bool = False) -> bool:
        """
        Let a compiled ``way`` have first sight of whole text messages; None ends that. False where there is no Ear.

        ``downwards``: they are the provider's.
        """
        if self._ear is None or self._ears is _NOBODY:
            return False
        self._ear.attach(way, downwards)
        self._write_beside()  # whoever got a ``writer`` may have used it
        transport = self._transport
        if way is not None and transport is not None and not transport.is_secure:
            below = transport.underlying_transport
            self._ear.reads(asyncio.get_running_loop(), below, below.get_extra_info("socket").fileno())
        return True

    def pen(self) -> Any:
        """What a compiled way writes with: the same as ``send``, while the peer reads; None where there is no Ear."""
        transport = self._transport
        if self._pen is None and self._ear is not None and transport is not None:
            below = transport.underlying_transport
            fd = -1 if transport.is_secure else below.get_extra_info("socket").fileno()
            self._pen = hot.Pen(below.write, below.get_write_buffer_size, fd, transport.is_client_side)
            if self._by is None and not self._paused:
                self.send = self._sender(transport)
        return self._pen

    def _write_beside(self) -> None:
        """Before every write that is not the pen's: the pen does not ask each time whether the transport is empty."""
        if self._pen is not None:
            self._pen.beside()

    def _sender(self, transport: WSTransport) -> Callable[[bytes], None]:
        """``send`` while the peer reads."""
        return partial(transport.send, TEXT) if self._pen is None else partial(_send_beside, self._pen, transport)

    def closes(self) -> bool:
        """Whether a close is under way, ours, theirs or one that picows began: nothing may be written behind it."""
        if self._by is None and self._transport is not None:
            if not self._transport.is_close_frame_sent:
                return False
            self._refused = True  # an Ear hands frames on one by one: what stood before was told
        self._lay_down_pen()
        return True

    def defect(self, error: Exception) -> None:
        """What a compiled way met in our own code: see ``_defect``."""
        log.error("defect in a socket's listener", exc_info=error, extra={"where": "message"})
        self._deafen()
        self.close(1011, "internal error")

    def _lay_down_pen(self) -> None:
        if self._pen is not None:
            self._pen.shut()

    def _deafen(self) -> None:
        self._ears = _NOBODY
        self._text = _NOBODY.text
        if self._ear is not None:
            self._ear.attach(None)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Begin the closing handshake; ``closed`` follows, at the latest after ``Limits.close_grace_s``.

        Raises ValueError for a code that RFC 6455 (7.4) does not let anybody send.
        """
        if not _sendable(code):
            raise ValueError(f"close code {code} may not be sent")
        transport = self._transport
        if transport is None or self._by is not None:
            return
        self._by = "us"
        self._code, self._reason = code, reason
        self.send = _unsendable
        self._lay_down_pen()
        # a control frame holds 125 bytes, two of them the code
        transport.send_close(cast(WSCloseCode, code), reason.encode()[:123].decode(errors="ignore"))
        self._drop_later()

    def abort(self, code: int | None, reason: str) -> None:
        """Drop the connection now, without the peer's consent."""
        if self._by is None:
            self._by = "us"
            self._code, self._reason = code, reason
        self.send = _unsendable
        self._lay_down_pen()
        self._drop()

    @property
    def buffered_bytes(self) -> int:
        """Bytes written but not yet taken by the operating system."""
        if self._transport is None:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    # ---------------------------------------------------------------------------- for picows, per message

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._seen = True
        kind = frame.msg_type  # 85 ns, the dearest line here
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._refuse(1002, "reserved bits set without an extension")
            elif transport.is_close_frame_sent and self._by is None and not self._came_before(frame):
                pass  # picows has refused a frame, and reads on behind a close that it refused
            elif kind is TEXT and frame.fin and self._parts is None:
                self._text(frame.get_payload_as_bytes())
            elif kind is WSMsgType.PING:
                self._answer_ping(transport, frame)
            elif kind is WSMsgType.CLOSE:
                self._peer_closes(transport, frame)
            elif kind is WSMsgType.PONG:
                if self.on_pong is not None:
                    self.on_pong()
            elif self._ears is not _NOBODY:
                self._piece(kind, frame)
        except Exception:
            self._defect("message")

    def _came_before(self, frame: WSFrame) -> bool:
        """
        Whether ``frame`` stood before the one that picows refused.

        It parses one frame ahead, so of two that came in one read it refuses the second before it tells of the first.
        A stream's ``start`` in front of an oversized message would otherwise never be heard.
        """
        first, self._refused = not self._refused, True
        return first and bool(frame.last_in_buffer) and frame.payload_size <= self._limits.max_message_bytes

    def _piece(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A frame that is not a whole text message."""
        parts = self._parts
        if (kind is WSMsgType.CONTINUATION) != (parts is not None):
            self._refuse(1002, "continuation out of place")
            return
        if parts is None:
            if frame.fin:
                self._ears.binary(frame.get_payload_as_bytes())
                return
            parts = self._parts = bytearray()
            self._parts_type = kind
        if len(parts) + frame.payload_size > self._limits.max_message_bytes:
            self._refuse(1009, f"message over {self._limits.max_message_bytes} bytes")
            return
        parts += frame.get_payload_as_memoryview()
        if not frame.fin:
            return
        self._parts = None
        self.fragments += 1
        if self._parts_type is TEXT:
            self._text(bytes(parts))
        else:
            self._ears.binary(bytes(parts))

    def _answer_ping(self, transport: WSTransport, frame: WSFrame) -> None:
        # not while the peer does not read: a pong for the latest ping is enough (RFC 6455, 5.5.3)
        if self._by is not None or self._paused:
            return
        payload = frame.get_payload_as_bytes()
        if self.pong_after_s:
            asyncio.get_running_loop().call_later(self.pong_after_s, self._late_pong, payload)
        else:
            self._write_beside()
            transport.send_pong(payload)

    def ping(self) -> None:
        """Ask for a pong: it comes when all that was sent before has been read."""
        if self._transport is not None and self._by is None:
            self._write_beside()
            self._transport.send_ping(b"")

    def _late_pong(self, payload: bytes) -> None:
        if self._transport is not None and self._by is None:
            self._write_beside()
            self._transport.send_pong(payload)

    def _peer_closes(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        if payload and not _sendable(code):
            self._refuse(1002, f"close code {code} may not be sent")
            return
        if self._by is None:
            self._by = "them"
            self._code = code
            self._reason = payload[2:].decode()  # picows has refused what is no UTF-8
            # echo the code (RFC 6455, 5.5.1); 1005 stands for "none" and is never sent
            transport.send_close(cast(WSCloseCode, code if payload else 1000), "")
            self._drop_later()  # a peer that does not read would hold a graceful close for ever
        self._lay_down_pen()
        self._deafen()
        self.send = _unsendable
        self._drop(gracefully=True)

    def _refuse(self, code: int, why: str) -> None:
        """The peer broke the protocol: say so, and hear nothing more (RFC 6455, 7.1.7)."""
        self._deafen()
        self._parts = None
        self.close(code, why)

    def _defect(self, where: str) -> None:
        """A listener raised: the connection ends by name, the process goes on."""
        log.exception("defect in a socket's listener", extra={"where": where})
        self._deafen()
        self.close(1011, "internal error")

    # --------------------------------------------------------------------------- for picows, a connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        ear = transport.underlying_transport.get_protocol()
        if isinstance(ear, Ear):
            self._ear = ear
            ear.belongs_to(self)
        self._text = self._ears.text
        self.send = self._sender(transport)
        self._keep_watch()
        try:
            self._listener.opened(self)
        except Exception:
            self._defect("opened")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for handle in (self._closing, self._watch):
            if handle is not None:
                handle.cancel()
        self._closing = self._watch = None
        self.send = _unsendable
        self._lay_down_pen()
        self._transport = None
        if self._by is None:
            self._by = "nobody"
            handshake = transport.close_handshake
            if handshake is not None and handshake.sent is not None:
                # picows itself refused a frame (masking, opcode, size): the fault is the peer's, the close ours
                self._by = "us"
                self._code, self._reason = cast(int, handshake.sent.code), handshake.sent.reason or ""
                asyncio.ensure_future(_look_at(transport))
        listener, self._listener = self._listener, _NOBODY
        self._deafen()
        try:
            listener.closed(self._code, self._reason, self._by)
        except Exception:
            log.exception("defect in a socket's listener", extra={"where": "closed"})

    def pause_writing(self) -> None:
        if self._by is not None:
            return
        self._paused = True
        self.send = partial(_send_bounded, self)
        try:
            self._listener.paused(self.buffered_bytes)
        except Exception:
            self._defect("paused")
        self._bound_buffer()

    def resume_writing(self) -> None:
        self._paused = False
        if self._by is not None or self._transport is None:
            return
        self.send = self._sender(self._transport)
        try:
            self._listener.resumed()
        except Exception:
            self._defect("resumed")

    def _bound_buffer(self) -> None:
        if self.buffered_bytes > self._limits.max_buffered_bytes:
            self.abort(1006, f"peer stopped reading: over {self._limits.max_buffered_bytes} bytes unsent")

    def _drop(self, gracefully: bool = False) -> None:
        if self._ear is not None:
            self._ear.attach(None)  # the transport reads again, so it is the one that stops
        if self._transport is not None:
            self._transport.disconnect(gracefully)

    def _drop_later(self) -> None:
        self._closing = asyncio.get_running_loop().call_later(self._limits.close_grace_s, self._drop)

    # ------------------------------------------------------------------------------------------ keepalive

    def _keep_watch(self) -> None:
        """
        Look every ``ping_every_s`` whether anything came; ping when not.

        A missing pong alone ends nothing: what counts is that nothing at all came for ``dead_after_s``.
        """
        every = self._limits.ping_every_s
        self._watch = asyncio.get_running_loop().call_later(every, self._look)

    def _look(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._by is None and transport.is_close_frame_sent:
            self._drop()  # picows refused a frame, and waits for a peer that does not read
            return
        if self._seen or (self._ear is not None and self._ear.took()):
            self._seen = False
            self._silent_s = 0.0
        else:
            self._silent_s += self._limits.ping_every_s
            dead = self._limits.dead_after_s
            if dead is not None and self._silent_s >= dead:
                self.abort(1006, f"nothing came for {self._silent_s:g} s, no pong either")
                return
            if not self._paused:
                self.ping()
        self._keep_watch()


def _send_bounded(socket: Socket, data: bytes) -> None:
    """``Socket.send`` while the peer does not read: every message is counted against the limit."""
    transport = socket._transport
    if transport is not None:
        socket._write_beside()
        transport.send(TEXT, data)
        socket._bound_buffer()


def _send_beside(pen: Any, transport: WSTransport, data: bytes) -> None:
    """``Socket.send`` where a compiled way may write too."""
    pen.beside()
    transport.send(TEXT, data)


async def _look_at(transport: WSTransport) -> None:
    """Take notice of the error that picows keeps for a caller of ``wait_disconnected``: ``closed`` tells it."""
    try:
        await transport.wait_disconnected()
    except WSError as error:
        log.debug("websocket refused", extra={"why": str(error)})

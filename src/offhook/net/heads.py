"""
Request heads under limits: whose connection is it, and does its peer get on with it.

A connection starts as a ``HeadSniffer``; it becomes a WebSocket, or an ``Http`` connection, whose later
requests stand under the same limits and may still become a WebSocket. Knows uvicorn's HTTP protocol, decides
nothing about who is let in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httptools
import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from offhook.net.server import Server

__all__ = ["HTTP_LIMITS", "HeadSniffer", "HttpLimits", "wants_upgrade"]


class HttpLimits(Struct, frozen=True):
    """What one HTTP connection may take of us."""

    head_bytes: int = 16 * 1024  # a carrier's is under 2 kB, a browser's with cookies under 8
    head_s: float = 5.0
    request_s: float = 10.0  # head and body: a carrier gives a webhook 15 s in all, its form is 1 kB
    keep_alive_s: int = 15


HTTP_LIMITS = HttpLimits()
_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_SLOW = b"408 Request Timeout"


def _refuse(transport: asyncio.Transport, status: bytes) -> None:
    transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    transport.close()


class HeadSniffer(asyncio.Protocol):
    """Reads one request head and decides whose connection it is."""

    owner: Server

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._made = (config, server_state, app_state, _loop)
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        if self.owner.full:
            self._refuse(b"503 Service Unavailable")
            return
        self.owner.sniffing.add(self)
        self._timer = asyncio.get_running_loop().call_later(self.owner.http_limits.head_s, self._refuse, _TOO_SLOW)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        seen = max(0, len(self._data) - 3)  # the blank line may have come in two pieces
        self._data += data
        end = self._data.find(b"\r\n\r\n", seen)
        most = self.owner.http_limits.head_bytes
        if end + 4 > most or (end < 0 and len(self._data) > most):
            self._refuse(_TOO_LARGE)
        elif end >= 0:
            self._settle(bytes(self._data[: end + 4]), bytes(self._data[end + 4 :]))
        elif not self._data[:1].isalpha():
            self._settle(bytes(self._data), b"")  # not HTTP (a TLS hello, say): uvicorn answers 400

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()

    def abort(self) -> None:
        """Drop the connection."""
        transport = self._done()
        if transport is not None:
            transport.abort()

    def _settle(self, head: bytes, early: bytes) -> None:
        transport = self._done()
        assert transport is not None
        if wants_upgrade(head):
            self.owner.take(head, early, transport)
            return
        config, server_state, app_state, loop = self._made
        protocol = Http(config, server_state, app_state, loop, self.owner)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(head + early)

    def _refuse(self, status: bytes) -> None:
        transport = self._done()
        if transport is not None:
            _refuse(transport, status)

    def _done(self) -> asyncio.Transport | None:
        """Sniff no more; the transport, if it was still ours."""
        self.owner.sniffing.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport, self._transport = self._transport, None
        self._data.clear()
        return transport


class Http(HttpToolsProtocol):
    """uvicorn's HTTP protocol under limits, with upgrades of later requests given to the server's fast path."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, loop: Any, owner: Server) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state, _loop=loop)
        self._owner = owner
        self._due: asyncio.TimerHandle | None = None  # set while a request is on its way to us
        self._in_head = True
        self._head_bytes = 0

    # ------------------------------------------------------------------------------- uvicorn's callbacks

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._due is None:
            self._watch()
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._unwatch()
            if self._should_upgrade():
                self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._unwatch()
            if not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")
        else:
            if self._in_head and self._head_bytes > self._owner.http_limits.head_bytes:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._in_head = True
        if self._due is None:  # the first bytes of this request came behind the last one's
            self._watch()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._owner.http_limits.head_bytes:
            self._refuse(_TOO_LARGE)
            raise ValueError("head too large")  # the one way to stop the parser
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._unwatch()
        self._in_head = True  # of the next request
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        return bool(self._get_upgrade() == b"websocket")

    # ------------------------------------------------------------------------------------------- limits

    def _watch(self) -> None:
        limits = self._owner.http_limits
        self._due = self.loop.call_later(limits.head_s, self._look, limits.request_s - limits.head_s)

    def _unwatch(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look(self, more_s: float) -> None:
        """The time for a head is over; a body may take longer."""
        if self._in_head or more_s <= 0:
            self._refuse(_TOO_SLOW)
        else:
            self._due = self.loop.call_later(more_s, self._look, 0.0)

    def _refuse(self, status: bytes) -> None:
        self._unwatch()
        if self.transport.is_closing():
            return
        if self._answering():
            self.transport.abort()  # a second answer inside the first would be garbage
        else:
            _refuse(self.transport, status)

    def _answering(self) -> bool:
        """Whether an answer has begun and is not complete."""
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    # ------------------------------------------------------------------------------------------ upgrades

    def _hand_over(self, early: bytes) -> None:
        """Write the head anew (the parser consumed it) and let the fast path read it."""
        self.connections.discard(self)
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # sent before the answer to the request before it was out: no client does that
            return
        lines = [self.scope["method"].encode() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.scope["headers"]]
        self._owner.take(b"\r\n".join(lines) + b"\r\n\r\n", early, self.transport)


def wants_upgrade(head: bytes) -> bool:
    """Whether a request head asks for a WebSocket."""
    lines = head.split(b"\r\n")
    if not lines[0].startswith(b"GET "):
        return False
    fields = {
        name.strip().lower(): value.strip().lower()
        for name, colon, value in (line.partition(b":") for line in lines[1:])
        if colon
    }
    return b"websocket" in fields.get(b"upgrade", b"") and b"upgrade" in fields.get(b"connection", b"")

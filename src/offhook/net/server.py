"""
One port for HTTP and WebSockets.

uvicorn owns the listening socket and HTTP. Every connection first meets a head sniffer, which reads one
request head under a size and a time limit: an upgrade goes to the fast WebSocket path with every byte that
came, everything else to uvicorn's own HTTP protocol. An upgrade that is a *later* request of a kept-alive
connection (a reverse proxy does that) is handed over from there. Knows no wire, installs no signal handlers.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

import httptools
import uvicorn
from msgspec import Struct
from picows import WSUpgradeResponse, WSUpgradeResponseWithListener
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offhook.net.picows_seam import server_protocol
from offhook.net.sockets import Limits, Listener, Socket
from offhook.wires._wire import Refusal

__all__ = ["CARRIER_LIMITS", "Server", "UpgradeRequest"]

log = logging.getLogger("offhook")

# A carrier's message is 330 bytes; 1 MiB leaves room for any custom parameters.
CARRIER_LIMITS = Limits(max_message_bytes=1024 * 1024)
HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 5.0


class UpgradeRequest(Struct, frozen=True):
    """A request to become a WebSocket, before it was answered."""

    path: str  # as sent, percent-encoding kept
    path_qs: str  # with the query, if one came
    headers: tuple[tuple[str, str], ...]
    client: str

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


Upgrade = Callable[[UpgradeRequest], Refusal | Listener]


class Server:
    """
    ``app`` (ASGI) and WebSockets on one port.

    ``upgrade`` decides about each WebSocket before it is accepted; it must not block.
    """

    def __init__(
        self,
        app: Any,
        upgrade: Upgrade,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_sockets: int = 2000,
        limits: Limits = CARRIER_LIMITS,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self._open: set[Socket] = set()
        self._sniffing: set[asyncio.Transport] = set()
        self._upgrade = upgrade
        self._limits = limits
        self._max_sockets = max_sockets
        self._host = host
        self._wanted_port = port
        self._sock: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=self._protocol_class(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,  # a signature covers the configured origin, never a forwarded one
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        self._uvicorn = _Uvicorn(config)

    @property
    def port(self) -> int:
        assert self._sock is not None, "not started"
        return int(self._sock.getsockname()[1])

    @property
    def open_sockets(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Listen; returns when connections are taken. Raises OSError when the address is not to be had."""
        self._sock = _listen(self._host, self._wanted_port)
        self._uvicorn.config.load()
        self._uvicorn.lifespan = self._uvicorn.config.lifespan_class(self._uvicorn.config)
        await self._uvicorn.startup(sockets=[self._sock])
        self._task = asyncio.create_task(self._uvicorn.main_loop(), name="http")

    async def stop(self) -> None:
        """Close the port and every connection; whoever wants a polite end brings it about before."""
        self._uvicorn.should_exit = True
        if self._task is not None:
            await self._task
        await self._uvicorn.shutdown(sockets=[self._sock] if self._sock else None)
        for _ in range(4):  # a connection that was just accepted shows itself a turn of the loop later
            for left in list(self._open):
                left.abort(1001, "server stops")
            for transport in list(self._sniffing):
                transport.abort()
            await asyncio.sleep(0)

    # --------------------------------------------------------------------------------------- connections

    def _protocol_class(self) -> type[asyncio.Protocol]:
        server = self

        class Connection(_HeadSniffer):
            owner = server

        return Connection

    def take(self, head: bytes, early: bytes, transport: asyncio.Transport) -> None:
        """Give a connection whose request ``head`` asks for a WebSocket to the fast path."""

        def decide(request: Any) -> Any:
            return self._decide(request, transport)

        protocol = server_protocol(decide, max_frame_bytes=self._limits.max_message_bytes)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        data = memoryview(head + early)
        while data:
            buffer = protocol.get_buffer(-1)
            n = min(len(buffer), len(data))
            buffer[:n] = data[:n]
            protocol.buffer_updated(n)
            data = data[n:]

    def _decide(self, request: Any, transport: asyncio.Transport) -> Any:
        peer = transport.get_extra_info("peername")
        target = request.path.decode("latin-1")
        asked = UpgradeRequest(
            path=target.partition("?")[0],
            path_qs=target,
            headers=tuple((str(name), str(value)) for name, value in request.headers.items()),
            client=str(peer[0]) if peer else "",
        )
        if asked.header("Sec-WebSocket-Version") != "13":
            text = f"WebSocket version {asked.header('Sec-WebSocket-Version')!r}: this server speaks 13\n"
            return _refusal(Refusal(426, text, "version"), {"Sec-WebSocket-Version": "13"})
        if self.open_sockets >= self._max_sockets:
            return _refusal(Refusal(503, "too many open sockets\n", "sockets"))
        answer = self._upgrade(asked)
        if isinstance(answer, Refusal):
            return _refusal(answer)
        return _Counted(answer, self._limits, self)


class _Counted(Socket):
    """A socket that the server counts while it is open."""

    def __init__(self, listener: Listener, limits: Limits, server: Server) -> None:
        super().__init__(listener, limits)
        self._open = server._open
        self._open.add(self)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._open.discard(self)
        super().on_ws_disconnected(transport)


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: the process that serves decides when to stop."""

    def install_signal_handlers(self) -> None:
        pass


class _HeadSniffer(asyncio.Protocol):
    """Reads one request head and decides whose connection it is."""

    owner: Server

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._made: tuple[uvicorn.Config, Any, dict[str, Any], asyncio.AbstractEventLoop | None] = (
            config, server_state, app_state, _loop,
        )  # fmt: skip
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.owner._sniffing.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT_S, self._too_slow)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end >= 0:
            self._settle(bytes(self._data[: end + 4]), bytes(self._data[end + 4 :]))
        elif len(self._data) > HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif not self._data[:1].isalpha():
            self._settle(bytes(self._data), b"")  # not HTTP (a TLS hello, say): uvicorn answers 400

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()

    def _settle(self, head: bytes, early: bytes) -> None:
        transport = self._transport
        assert transport is not None
        self._done()
        if len(head) > HEAD_BYTES:
            self._transport = transport
            self._refuse(b"431 Request Header Fields Too Large")
        elif wants_upgrade(head):
            self.owner.take(head, early, transport)
        else:
            config, server_state, app_state, loop = self._made
            protocol = _Http(config, server_state, app_state, loop, self.owner)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(head + early)

    def _too_slow(self) -> None:
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        transport = self._transport
        self._done()
        if transport is not None:
            transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            transport.close()

    def _done(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self.owner._sniffing.discard(self._transport)
        self._transport = None


class _Http(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with upgrades of later requests given to the server's fast path."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, loop: Any, owner: Server) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state, _loop=loop)
        self._owner = owner

    def _should_upgrade(self) -> bool:
        return bool(self._get_upgrade() == b"websocket")

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._hand_over(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _hand_over(self, early: bytes) -> None:
        """Write the head anew (the parser consumed it) and let the fast path read it."""
        lines = [self.scope["method"].encode() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.scope["headers"]]
        self.connections.discard(self)
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


def _refusal(refusal: Refusal, headers: dict[str, str] | None = None) -> Any:
    response = WSUpgradeResponse.create_error_response(refusal.status, refusal.body.encode(), headers)
    return WSUpgradeResponseWithListener(response, None)


def _listen(host: str, port: int) -> socket.socket:
    if host in ("", "*", "::"):  # every address of both families; asyncio alone would bind v6 only
        sock = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=4096)
    sock.setblocking(False)
    return sock


def header_pairs(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """ASGI's header list as text."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]

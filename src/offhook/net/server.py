"""
One port for HTTP and WebSockets.

uvicorn owns the listening socket and HTTP. Every connection first meets a head sniffer, which reads one
request head under a size and a time limit: an upgrade goes to the fast WebSocket path with every byte that
came, everything else to uvicorn's own HTTP protocol. An upgrade that is a *later* request of a kept-alive
connection (a reverse proxy does that) is handed over from there. Knows no wire, installs no signal handlers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from msgspec import Struct
from picows import WSUpgradeResponse, WSUpgradeResponseWithListener

from offhook.net import heads
from offhook.net.heads import HeadSniffer
from offhook.net.picows_seam import begin, server_protocol
from offhook.net.sockets import Limits, Listener, Socket
from offhook.wires._wire import Refusal

__all__ = ["CARRIER_LIMITS", "Server", "UpgradeRequest"]

log = logging.getLogger("offhook")

# A carrier's message is 330 bytes; 1 MiB leaves room for any custom parameters.
CARRIER_LIMITS = Limits(max_message_bytes=1024 * 1024)


BACKLOG = 4096
# What an HTTP answer that was begun may still take when the server stops: a webhook's takes milliseconds.
ANSWER_S = 5.0


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

    ``upgrade`` decides about each WebSocket before it is accepted; it must not block. Whoever it lets in is
    accepted, so it may count. ``max_connections`` bounds everything that is open, idle HTTP included.
    """

    def __init__(
        self,
        app: Any,
        upgrade: Upgrade,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_sockets: int = 2000,
        max_connections: int | None = None,
        limits: Limits = CARRIER_LIMITS,
        http_limits: heads.HttpLimits = heads.HTTP_LIMITS,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self.http_limits = http_limits
        self.sniffing: set[HeadSniffer] = set()  # connections whose first head has not come whole
        self._sockets: set[Socket] = set()
        self._upgrade = upgrade
        self._limits = limits
        self._max_sockets = max_sockets
        self._max_connections = max_connections if max_connections is not None else max_sockets + 512
        self._host = host
        self._wanted_port = port
        self._port: int | None = None
        self._listening: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=self._protocol_class(),
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="error",  # what the application raised must be seen
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,  # a signature covers the configured origin, never a forwarded one
            timeout_keep_alive=http_limits.keep_alive_s,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        self._uvicorn = uvicorn.Server(config)  # its signal handlers come with serve(), which is not called

    @property
    def port(self) -> int:
        assert self._port is not None, "not started"
        return self._port

    @property
    def open_sockets(self) -> int:
        """WebSockets that are open now."""
        return len(self._sockets)

    @property
    def full(self) -> bool:
        """Whether no further connection is taken."""
        state = self._uvicorn.server_state
        return len(self.sniffing) + len(state.connections) + len(self._sockets) >= self._max_connections

    async def start(self) -> None:
        """Listen; returns when connections are taken. Raises OSError when an address or a TLS file is not to be had."""
        config = self._uvicorn.config
        config.load()
        sock = _listen(self._host, self._wanted_port)
        self._port = int(sock.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: config.http_protocol_class(config, self._uvicorn.server_state, {}, loop),  # type: ignore[call-arg]
            sock=sock,
            ssl=config.ssl,
            ssl_handshake_timeout=self.http_limits.head_s if config.ssl else None,  # uvicorn's own would be 60 s
            backlog=BACKLOG,
        )
        self._task = asyncio.create_task(self._uvicorn.main_loop(), name="http")

    async def stop(self) -> None:
        """
        Close the port, idle HTTP connections, and WebSockets that are left (1001).

        Requests that are being answered get ANSWER_S. Whoever wants WebSockets to end politely ends them before.
        """
        if self._task is None:
            return
        ticking, self._task = self._task, None
        ticking.cancel()
        await asyncio.wait({ticking})
        if self._listening is not None:
            self._listening.close()
        for sniffer in list(self.sniffing):
            sniffer.abort()
        for left in list(self._sockets):
            left.close(1001, "server stops")
        state = self._uvicorn.server_state
        for connection in list(state.connections):
            connection.shutdown()  # at once, or after the answer that is on its way
        if state.tasks:
            _, late = await asyncio.wait(state.tasks, timeout=ANSWER_S)
            for task in late:
                task.cancel()
        for left in list(self._sockets):
            left.abort(None, "server stops")

    # --------------------------------------------------------------------------------------- connections

    def _protocol_class(self) -> type[asyncio.Protocol]:
        server = self

        class Connection(HeadSniffer):
            owner = server

        return Connection

    def take(self, head: bytes, early: bytes, transport: asyncio.Transport) -> None:
        """Give a connection whose request ``head`` asks for a WebSocket to the fast path."""

        def decide(request: Any) -> Any:
            return self._decide(request, transport)

        protocol = server_protocol(decide, max_frame_bytes=self._limits.max_message_bytes)
        protocol.connection_made(transport)
        begin(protocol, transport, head, early, masked=True, compiled=self._limits.compiled)

    def _decide(self, request: Any, transport: asyncio.Transport) -> Any:
        """The answer to one upgrade, as picows wants it."""
        target = request.path.decode("latin-1")
        peer = transport.get_extra_info("peername")
        asked = UpgradeRequest(
            path=target.partition("?")[0],
            path_qs=target,
            headers=tuple((str(name), _latin(value)) for name, value in request.headers.items()),
            client=str(peer[0]) if peer else "",
        )
        refusal = _unusable(asked)
        if refusal is not None:
            return _response(refusal, {"Sec-WebSocket-Version": "13"} if refusal.status == 426 else None)
        if len(self._sockets) >= self._max_sockets:
            return _response(Refusal(503, "too many open sockets\n", "sockets"))
        # "keep-alive, Upgrade" is as good (RFC 6455, 4.2.1), and picows wants the one word
        request.headers["Connection"] = "Upgrade"
        request.headers["Upgrade"] = "websocket"
        try:
            answer = self._upgrade(asked)
        except Exception:  # a defect of ours; the peer learns no more than that
            log.exception("defect while deciding about an upgrade", extra={"path": asked.path})
            return _response(Refusal(500, "internal error\n", "defect"))
        if isinstance(answer, Refusal):
            return _response(answer)
        return _Counted(answer, self._limits, self._sockets)


class _Counted(Socket):
    """A socket that its server knows of while it is open."""

    __slots__ = ("_among",)

    def __init__(self, listener: Listener, limits: Limits, among: set[Socket]) -> None:
        super().__init__(listener, limits)
        self._among = among

    def on_ws_connected(self, transport: Any) -> None:
        self._among.add(self)
        super().on_ws_connected(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        self._among.discard(self)
        super().on_ws_disconnected(transport)


def _latin(value: str) -> str:
    """A header value as ASGI shows it: one character a byte."""
    return value if value.isascii() else value.encode("ascii", "surrogateescape").decode("latin-1")


def _unusable(asked: UpgradeRequest) -> Refusal | None:
    """Why no WebSocket can come of this request, whatever it asks for (RFC 6455, 4.2.1)."""
    version = asked.header("Sec-WebSocket-Version")
    if version != "13":
        return Refusal(426, f"WebSocket version {version!r}: this server speaks 13\n", "version")
    key = asked.header("Sec-WebSocket-Key") or ""
    try:
        nonce = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != 16:
        return Refusal(400, f"Sec-WebSocket-Key {key[:40]!r}: wanted 16 bytes in base64\n", "key")
    return None


def _response(refusal: Refusal, headers: dict[str, str] | None = None) -> Any:
    """A refusal as picows sends it."""
    more = {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
    if refusal.location is not None:
        moved = WSUpgradeResponse.create_redirect_response(refusal.status, refusal.location, more)
        return WSUpgradeResponseWithListener(moved, cast(Any, None))
    response = WSUpgradeResponse.create_error_response(refusal.status, refusal.body.encode(), more)
    return WSUpgradeResponseWithListener(response, cast(Any, None))


def _listen(host: str, port: int) -> socket.socket:
    every = host in ("", "*", "::")
    if every and socket.has_dualstack_ipv6():  # asyncio alone would bind v6 only
        sock = socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    else:
        family = socket.AF_INET6 if ":" in host and not every else socket.AF_INET
        sock = socket.create_server(("0.0.0.0" if every else host, port), family=family, backlog=BACKLOG)
    sock.setblocking(False)
    return sock

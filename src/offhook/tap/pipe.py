"""
The tap's bytes: whoever connects is joined to one upstream, and everything is passed on as it came, the way it came.

Bytes are written to the other side before anyone looks at them, and looking waits for whatever else has to be passed
on; so what is seen costs the calls little. Knows TCP and TLS; what the bytes mean is the ``Looker``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol, cast

from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from offhook.net.client import default_tls
from offhook.tap.heads import HeadChanger

__all__ = ["Looker", "Side", "Tapped", "Upstream"]

CONNECT_S = 10.0
LOOKS = 4  # at a time; then whatever came meanwhile is passed on first
MAX_UNSEEN = 20_000
Side = Literal["near", "far"]  # near: who connected to us; far: whom they meant
_RESET = struct.pack("ii", 1, 0)


class Looker(Protocol):
    """Who looks at one connection. What it raises is told to ``defect`` of the tap and ends nothing."""

    def near(self, data: bytes, now: float) -> None: ...
    def far(self, data: bytes, now: float) -> None: ...
    def connected(self, now: float, ms: float) -> None: ...
    def failed(self, phase: str, cause: str, now: float) -> None: ...
    def ended(self, by: Side, reset: bool, now: float) -> None: ...


class Upstream:
    """Where connections are passed on to."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        secure: bool = False,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
        lines: dict[bytes, bytes] | None = None,
        body: Callable[[bytes, bytes], bytes | None] | None = None,
    ) -> None:
        self.host, self.port, self.secure, self.proxy = host, port, secure, proxy
        self.tls = tls
        self.lines = lines or {}  # of requests, see HeadChanger
        self.body = body  # of answers

    async def connect(self, make: Callable[[], asyncio.Protocol]) -> None:
        """Raises OSError, ProxyError or TimeoutError."""
        loop = asyncio.get_running_loop()
        extra: dict[str, Any] = {}
        if self.secure:
            extra = {"ssl": self.tls or default_tls(), "server_hostname": self.host}
        async with asyncio.timeout(CONNECT_S):
            if self.proxy is None:
                await loop.create_connection(make, self.host, self.port, **extra)
                return
            sock = await Proxy.from_url(self.proxy).connect(dest_host=self.host, dest_port=self.port)
            await loop.create_connection(make, sock=sock, **extra)


class Tapped:
    """One listening address and its upstream."""

    def __init__(
        self,
        upstream: Upstream,
        look: Callable[[str], Looker],
        defect: Callable[[BaseException], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,  # a loop's own clock may stand still for a millisecond
    ) -> None:
        self.now = now
        self.upstream = upstream
        self.look = look
        self.defect = defect
        self.joints: set[_Joint] = set()
        self._host, self._wanted, self._tls = host, port, tls
        self._server: asyncio.Server | None = None
        self._unseen: deque[Callable[[], None]] = deque()

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Joint(self).near, self._host or None, self._wanted, ssl=self._tls, backlog=1024
        )

    async def stop(self) -> None:
        """Take no more, and end what is open."""
        if self._server is not None:
            self._server.close()
        for joint in list(self.joints):
            joint.drop()
        await asyncio.sleep(0)
        self._look(len(self._unseen))

    def later(self, what: Callable[[], None]) -> None:
        """Let somebody look, in the order of what happened."""
        self._unseen.append(what)
        if len(self._unseen) == 1:
            asyncio.get_running_loop().call_soon(self._look)
        elif (
            len(self._unseen) > MAX_UNSEEN
        ):  # the machine is too slow for both: from here on looking holds up the calls
            self._look(1)

    def _look(self, n: int = LOOKS) -> None:
        unseen = self._unseen
        for _ in range(min(n, len(unseen))):
            try:
                unseen[0]()
            except Exception as error:  # whoever looks must never end a call
                self.defect(error)
            unseen.popleft()
        if unseen:
            asyncio.get_running_loop().call_soon(self._look)


class _End(asyncio.Protocol):
    """One side of a joint."""

    def __init__(self, joint: _Joint, side: Side) -> None:
        self.joint = joint
        self.side: Side = side
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.joint.made(self)

    def data_received(self, data: bytes) -> None:
        self.joint.passed(self, data)

    def eof_received(self) -> bool:
        return self.joint.half_closed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.joint.lost(self, exc)

    def pause_writing(self) -> None:
        other = self.joint.other(self).transport
        if other is not None and not other.is_closing():
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self.joint.other(self).transport
        if other is not None and not other.is_closing():
            other.resume_reading()


class _Joint:
    """A connection of somebody, and the one that was made for it."""

    def __init__(self, tapped: Tapped) -> None:
        self.near = _End(self, "near")
        self.far = _End(self, "far")
        self._tapped = tapped
        self._now = tapped.now
        self._early = bytearray()  # came before there was anybody to pass it on to
        self._looker: Looker | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ended = False
        up = tapped.upstream
        self._change_near = HeadChanger(up.lines).feed if up.lines else None
        self._change_far = HeadChanger({}, up.body).feed if up.body is not None else None

    def other(self, end: _End) -> _End:
        return self.far if end is self.near else self.near

    def made(self, end: _End) -> None:
        transport = end.transport
        assert transport is not None
        if end is self.near:
            self._tapped.joints.add(self)
            peer = transport.get_extra_info("peername")
            self._looker = self._tapped.look(str(peer[0]) if peer else "")
            transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(), name="tap: upstream")
        elif self.near.transport is None or self.near.transport.is_closing():
            transport.abort()
        else:
            if self._early:
                transport.write(self._early)
            self.near.transport.resume_reading()

    async def _connect(self) -> None:
        began = self._now()
        try:
            await self._tapped.upstream.connect(lambda: self.far)
        except (OSError, ProxyError, TimeoutError, ssl.SSLError) as error:
            self._refuse(error)
        else:
            now = self._now()
            self._tell(lambda looker: looker.connected(now, (now - began) * 1000))

    def _refuse(self, error: BaseException) -> None:
        """The upstream is not to be had: whoever came is told in HTTP, as proxies do."""
        up = self._tapped.upstream
        phase = _phase(error)
        cause = f"{phase}: {up.host}:{up.port}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
        now = self._now()
        self._tell(lambda looker: looker.failed(phase, cause, now))
        transport = self.near.transport
        if transport is not None:
            text = f"offhook tap: {cause}\n".encode()
            head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
            transport.write(head.encode() + b"Connection: close\r\n\r\n" + text)
            transport.close()

    def passed(self, end: _End, data: bytes) -> None:
        near = end is self.near
        change = self._change_near if near else self._change_far
        other = (self.far if near else self.near).transport
        out = data if change is None else change(data)
        if other is not None:
            other.write(out)
        elif near:
            self._early += out
        looker = self._looker
        if looker is not None:
            self._tapped.later(partial(looker.near if near else looker.far, data, self._now()))

    def half_closed(self, end: _End) -> bool:
        """One side has said all it has to say; the other may go on, where its transport can (TLS cannot)."""
        self._over(end, reset=False)
        other = self.other(end).transport
        if other is None or other.is_closing():
            return False
        if other.can_write_eof():
            other.write_eof()
            return end.transport is not None and end.transport.can_write_eof()
        other.close()
        return False

    def lost(self, end: _End, exc: Exception | None) -> None:
        self._over(end, reset=exc is not None)
        self._tapped.joints.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        other = self.other(end).transport
        if other is None or other.is_closing():
            return
        if exc is None:
            other.close()
        else:  # a reset is passed on as one
            _reset(other)

    def drop(self) -> None:
        """End both sides now."""
        for end in (self.near, self.far):
            if end.transport is not None:
                end.transport.abort()
        if self._connecting is not None:
            self._connecting.cancel()

    def _over(self, end: _End, *, reset: bool) -> None:
        if not self._ended:
            self._ended = True
            now = self._now()
            self._tell(lambda looker: looker.ended(end.side, reset, now))

    def _tell(self, what: Callable[[Looker], None]) -> None:
        if self._looker is not None:
            self._tapped.later(partial(what, self._looker))


def _reset(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def _phase(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ProxyError):
        return "proxy"
    return "tls" if isinstance(error, ssl.SSLError) else "tcp"

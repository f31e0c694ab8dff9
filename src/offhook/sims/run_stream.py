"""
The sockets of one simulated media stream: dialling it as the carrier does, and moving what ``line.py`` makes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

from offhook.net.client import DialError, default_tls, dial
from offhook.net.clock import Clock, Handle
from offhook.net.sockets import Limits, Socket
from offhook.sims.line import Binary, Message, SimCarrier
from offhook.sims.run_webhook import Route
from offhook.wires._wire import ConnectRequest

__all__ = ["OnFrame", "Stream", "StreamFailed", "code_of"]

OnFrame = Callable[[bool, bytes, float, bool], None]  # to the server?, message, now, binary
DIAL_S = 10.0  # the carrier's own limit is not documented
MAX_UNSENT_BYTES = 64 * 1024  # what the carrier keeps of audio that the server does not take, before it drops (31930)
STOPPED_GRACE_S = 5.0  # after a stop whose close never comes


class StreamFailed(Exception):
    """The stream did not come about."""

    def __init__(self, code: str, why: str, status: int | None) -> None:
        super().__init__(code, why)
        self.code, self.why, self.status = code, why, status


class Stream:
    """One media stream over a real socket."""

    def __init__(
        self,
        carrier: SimCarrier,
        clock: Clock,
        *,
        on_frame: OnFrame,
        on_closed: Callable[[Stream, int | None, str, str], None],
        on_wanted: Callable[[float, str], None],
        on_code: Callable[[str], None],
    ) -> None:
        self.carrier = carrier
        self.open = False
        self.dial_ms = 0.0
        self.opened_at = 0.0
        self.age_s = 0.0
        self.dropped_frames = 0  # the server did not read: what the carrier logs as 31930
        self.max_unsent = 0
        self.broke_protocol = ""  # the server broke RFC 6455: why we failed the connection
        self.after_stop = 0  # messages that were sent when our stop had been read
        self._clock = clock
        self._on_frame, self._on_closed, self._on_wanted, self._on_code = on_frame, on_closed, on_wanted, on_code
        self._socket: Socket | None = None
        self._timer: Handle | None = None
        self._resume: Handle | None = None
        self._grace: Handle | None = None
        self._codes = 0
        self._aborted = False
        self._stop_read = False
        self._gone = asyncio.Event()

    async def dial(
        self, url: str, route: Route, headers: Sequence[tuple[str, str]], *, strip_upgrade: bool = False
    ) -> None:
        """Open the WebSocket, with the headers that captures show. Raises StreamFailed."""
        began = self._clock.now()
        parts = urlsplit(url)
        address = route.address(url)
        given = [("User-Agent", "Twilio.TmeWs/1.0"), *headers, ("Host", parts.netloc)]
        if strip_upgrade:
            await self._without_upgrade(url, route, given)
        dialled = parts._replace(scheme="ws").geturl() if route.plain(url) else url
        limits = Limits(max_message_bytes=16 * 1024 * 1024, max_buffered_bytes=64 * 1024 * 1024)
        try:
            self._socket = await dial(
                ConnectRequest(url=dialled, headers=tuple(given)), self, connect_to=address, limits=limits,
                tls=route.tls, timeout_s=DIAL_S,
            )  # fmt: skip
        except DialError as error:
            raise StreamFailed(code_of(error), str(error), error.status) from None
        finally:
            self.dial_ms = round((self._clock.now() - began) * 1000, 1)
        self.open = True
        self.opened_at = self._clock.now()
        self.write(self.carrier.opened(self.opened_at))

    async def _without_upgrade(self, url: str, route: Route, headers: Sequence[tuple[str, str]]) -> None:
        """The request as a proxy sends it on that drops Upgrade and Connection; what answers is no WebSocket."""
        import httpx2

        parts = urlsplit(url)
        secure = parts.scheme == "wss" and not route.plain(url)
        host, port = route.address(url) or (parts.hostname or "", parts.port or (443 if secure else 80))
        target = parts._replace(scheme="https" if secure else "http", netloc=f"{host}:{port}").geturl()
        key = [("Sec-WebSocket-Key", "b2ZmaG9vay1vZmZob29rLQ=="), ("Sec-WebSocket-Version", "13")]
        verify = route.tls or default_tls()
        try:
            async with httpx2.AsyncClient(timeout=DIAL_S, trust_env=False, verify=verify) as http:
                got = await http.get(target, headers=[*headers, *key])
        except httpx2.HTTPError as error:
            raise StreamFailed("31920", f"upgrade: {type(error).__name__}: {error}", None) from None
        raise StreamFailed(
            "31920", f"upgrade: {parts.hostname} answered {got.status_code} instead of 101", got.status_code
        )

    # -------------------------------------------------------------------------- what the carrier does

    def write(self, messages: Sequence[Message]) -> None:
        """Send what the carrier made, then wait for its next moment."""
        now = self._clock.now()
        for message in messages:
            if self._socket is None:
                break
            if isinstance(message, bytes):
                self._send(message, now)
            elif isinstance(message, Binary):
                self._socket.send_binary(message.data)
                self._on_frame(True, message.data, now, True)
            elif message.code is None:
                self._socket.abort(1006, "dropped")
            else:
                self._socket.close(message.code, message.reason)
        for at, why in self.carrier.streams_wanted:
            self._on_wanted(at, why)
        self.carrier.streams_wanted.clear()
        self._arm()

    def _send(self, message: bytes, now: float) -> None:
        assert self._socket is not None
        unsent = self._socket.buffered_bytes
        self.max_unsent = max(self.max_unsent, unsent)
        if unsent > MAX_UNSENT_BYTES and b'"event":"media"' in message[:40]:
            self.dropped_frames += 1
            if self.dropped_frames == 1:
                self._on_code("31930")
            return
        self._socket.send(message)
        self._on_frame(True, message, now, False)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is None:
            return
        due = self.carrier.deadline()
        if due is not None:
            self._timer = self._clock.call_at(due, self._tick)
        elif self.carrier.ended and self._grace is None:
            self._grace = self._clock.call_at(self._clock.now() + STOPPED_GRACE_S, self.abort)
            self._socket.on_pong = self._read_stop
            self._socket.ping()  # the real carrier closes; what was on its way until the pong is nobody's fault
        if self.carrier.reads_bytes_s(self._clock.now()) == 0:
            self._socket.pause_reading()

    def _read_stop(self) -> None:
        self._stop_read = True

    def _tick(self) -> None:
        self._timer = None
        self.write(self.carrier.tick(self._clock.now()))

    def abort(self) -> None:
        """TCP is gone without a word."""
        self._aborted = True
        if self._socket is not None:
            self._socket.abort(1006, "dropped")

    async def gone(self) -> None:
        """Drop what is still open and wait until it is closed."""
        if self.open:
            self.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), 2)

    # -------------------------------------------------------------------------- the socket's callbacks

    def opened(self, socket: Socket) -> None:
        """The dialler returns the socket as well."""

    def text(self, data: bytes) -> None:
        self._received(data, False)

    def binary(self, data: bytes) -> None:
        self._received(data, True)

    def _received(self, data: bytes, binary: bool) -> None:
        now = self._clock.now()
        self.after_stop += self._stop_read
        self._on_frame(False, data, now, binary)
        self.write(self.carrier.receive(data, now, binary=binary))
        logged = self.carrier.peer.logged
        while self._codes < len(logged):
            self._on_code(logged[self._codes])
            self._codes += 1
        rate = self.carrier.reads_bytes_s(now)
        if rate is not None and self._socket is not None:
            self._socket.pause_reading()
            if rate > 0:
                self._resume = self._clock.call_at(now + len(data) / rate, self._read_on)

    def _read_on(self) -> None:
        if self._socket is not None:
            self._socket.resume_reading()

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        now = self._clock.now()
        for handle in (self._timer, self._resume, self._grace):
            if handle is not None:
                handle.cancel()
        self._socket = None
        was_open, self.open = self.open, False
        self.age_s = round(now - self.opened_at, 3) if was_open else 0.0
        if was_open and by == "us" and not self.carrier.ended and not self._aborted:
            self.broke_protocol = f"{code}: {reason}" if reason else str(code)
        self.carrier.closed(now)
        self._gone.set()
        if was_open:
            self._on_closed(self, code, reason, by)

    def paused(self, n_bytes: int) -> None:
        """The server reads slowly: audio is dropped in ``_send`` when too much of it waits."""

    def resumed(self) -> None:
        """The server reads again."""


def code_of(error: DialError) -> str:
    """What the carrier's debugger shows for a failed stream connection."""
    if error.phase == "tls":
        return "31910"
    if error.phase == "upgrade":
        return "31920" if error.status is not None else "31910"
    if error.phase == "url":
        return "31923"
    refused = "refused" in str(error).lower()
    return {"dns": "31904", "tcp": "31902" if refused else "31901"}.get(error.phase, "31901")

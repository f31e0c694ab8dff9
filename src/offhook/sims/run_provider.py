"""
Simulated providers as WebSocket servers on a loopback address, for any client.

Knows what a socket is and when; what is said stands in ``provider.py`` and in the wires' peers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from offhook.net.clock import Clock, Handle, LoopClock
from offhook.net.server import Server, UpgradeRequest
from offhook.net.sockets import Limits, Listener, Socket
from offhook.sims.provider import SimProvider, first_id
from offhook.sims.provider_dial import Act
from offhook.sims.provider_faults import FAULTS
from offhook.sims.provider_scene import Binary, LatePongs, StopReading
from offhook.wires._wire import Out, PeerClose, Refusal

__all__ = ["FakeProvider", "Watch", "Watcher"]


class Watcher(Protocol):
    """
    Who looks at one session. Told before anything is sent; none of these may raise.

    ``own`` is what the strict peer answers by itself, before any dialled fault: a client is judged by that. ``sent`` is
    told what really goes out.
    """

    def opened(self, own: list[Out], now: float) -> None: ...
    def received(self, data: bytes, binary: bool, own: list[Out], now: float) -> None: ...
    def sent(self, message: Act, now: float) -> None: ...
    def closed(self, code: int | None, reason: str, by: str, now: float) -> None: ...


class Watch(Protocol):
    """Who looks at everything that reaches a fake provider."""

    def asked(self, request: UpgradeRequest, session: SimProvider, refusal: Refusal | None) -> Watcher | None: ...
    def strayed(self, method: str, path: str) -> None:
        """A request that is no WebSocket's."""
        ...


class FakeProvider:
    """
    A provider that refuses what the real one refuses: ``async with FakeProvider("openai") as fake: fake.url``.

    Each connection gets a SimProvider of its own, made with ``knobs``; ``sessions`` keeps them for who looks later.
    ``faults`` among the knobs are those of ``provider_faults.FAULTS``.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        path: str = "/v1/realtime",
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[str, str] | None = None,
        watch: Watch | None = None,
        make: Callable[[int], Any] | None = None,
        **knobs: Any,
    ) -> None:
        dial = SimProvider(name, **knobs).dial  # what cannot be played is said here, not to the first client
        slow, many = dial.has("slow-upgrade"), dial.has("too-many")
        self._upgrade_s = slow.amount if slow else 0.0
        self._at_once = int(many.amount) if many else None
        self.sessions: list[SimProvider] = []
        self.refused: list[Refusal] = []
        self.open = 0
        self.requests: list[UpgradeRequest] = []
        self._name = name
        self._knobs = knobs
        self._make = make or self._session
        self._clock = clock
        self._path = path
        self._host = host
        self._port = port
        self._tls = tls
        self.watch = watch
        self._server: Server | None = None
        self._door: _SlowDoor | None = None

    @property
    def url(self) -> str:
        assert self._server is not None, "not started"
        port = self._door.port if self._door is not None else self._server.port
        host = "127.0.0.1" if self._host in ("", "0.0.0.0") else f"[{self._host}]" if ":" in self._host else self._host
        return f"{'wss' if self._tls else 'ws'}://{host}:{port}{self._path}"

    @property
    def http_url(self) -> str:
        """For clients that turn http into ws."""
        return "http" + self.url.removeprefix("ws").removesuffix("/realtime")

    async def __aenter__(self) -> FakeProvider:
        self._loop_clock: Clock = self._clock or LoopClock(asyncio.get_running_loop())
        self._server = Server(
            self._http,
            self._decide,
            host=self._host,
            port=0 if self._upgrade_s else self._port,
            tls=self._tls,
            # a fault may say much to a client that does not read
            limits=Limits(max_message_bytes=32 * 1024 * 1024, max_buffered_bytes=64 * 1024 * 1024),
        )
        await self._server.start()
        if self._upgrade_s:
            self._door = _SlowDoor(self._host, self._server.port, self._upgrade_s)
            await self._door.start(self._port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        if self._door is not None:
            await self._door.stop()
        await self._server.stop()

    def _session(self, n: int) -> SimProvider:
        """One that knows what time it is, where its wire tells it, and shares no id with those before it."""
        port = self._server.port if self._server is not None else 0
        now = {"unix_s": time.time() - self._loop_clock.now()} if self._name == "openai" else {}
        return SimProvider(self._name, **{**now, "first_id": first_id(n, port), **self._knobs})

    def _decide(self, request: UpgradeRequest) -> Refusal | Listener:
        self.requests.append(request)
        session = self._make(len(self.requests))
        refusal = session.upgrade(request.path_qs, dict(request.headers))
        if refusal is None and self._at_once is not None and self.open >= self._at_once:
            refuses = FAULTS["refuse-429"].refuses
            refusal = refuses(self._name) if refuses is not None else None
        watcher = self.watch.asked(request, session, refusal) if self.watch is not None else None
        if refusal is not None:
            self.refused.append(refusal)
            return refusal
        self.sessions.append(session)
        return _Session(self, session, self._loop_clock, watcher)

    async def _http(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """A provider's socket path answers nothing else."""
        if scope["type"] == "http":
            if self.watch is not None:
                self.watch.strayed(scope["method"], scope["path"])
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"not found\n"})


class _SlowDoor:
    """Takes TCP connections at once and lets them through late, so the answer to the upgrade is late."""

    def __init__(self, host: str, to_port: int, seconds: float) -> None:
        self.port = 0
        self._host = host
        self._to_port = to_port
        self._seconds = seconds
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._let_in, self._host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = [writer]
        try:
            await asyncio.sleep(self._seconds)
            there_reader, there_writer = await asyncio.open_connection(self._host, self._to_port)
            writers.append(there_writer)
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        except (asyncio.CancelledError, ConnectionError):
            pass  # the client has gone, or the fake is closed: nothing is left to pass on
        finally:
            for one in writers:
                one.close()
            await asyncio.gather(*(one.wait_closed() for one in writers), return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


class _Session:
    """One connection."""

    def __init__(self, fake: FakeProvider, session: SimProvider, clock: Clock, watcher: Watcher | None) -> None:
        self._watcher = watcher
        self._fake = fake
        self._session = session
        self._clock = clock
        self._socket: Socket | None = None
        self._timer: Handle | None = None

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._fake.open += 1
        now = self._clock.now()
        acts = self._session.opened(now)
        if self._watcher is not None:
            self._watcher.opened(self._session.own, now)
        self._do(acts)

    def text(self, data: bytes) -> None:
        self._take(data, False)

    def binary(self, data: bytes) -> None:
        self._take(data, True)

    def _take(self, data: bytes, binary: bool) -> None:
        now = self._clock.now()
        acts = self._session.receive(data, now, binary=binary)
        if self._watcher is not None:
            self._watcher.received(data, binary, self._session.own, now)
        self._do(acts)

    def closed(self, code: int | None, reason: str, by: str) -> None:
        self._socket = None
        self._fake.open -= 1
        if self._watcher is not None:
            self._watcher.closed(code, reason, by, self._clock.now())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def paused(self, n_bytes: int) -> None:
        """A simulated provider never stops speaking for its listener's sake."""

    def resumed(self) -> None:
        """See ``paused``."""

    def _do(self, acts: list[Act]) -> None:
        for act in acts:
            socket = self._socket
            if socket is None:
                return
            if self._watcher is not None:
                self._watcher.sent(act, self._clock.now())
            match act:
                case bytes():
                    socket.send(act)
                case Binary(data=data):
                    socket.send_binary(data)
                case StopReading():
                    socket.pause_reading()
                case LatePongs(seconds=seconds):
                    socket.pong_after_s = seconds
                case PeerClose(code=None):
                    socket.abort(1006, "")
                case PeerClose(code=int(code), reason=reason):
                    socket.close(code, reason)
        self._arm()

    def _arm(self) -> None:
        due = self._session.deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and self._socket is not None:
            self._timer = self._clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._do(self._session.tick(self._clock.now()))

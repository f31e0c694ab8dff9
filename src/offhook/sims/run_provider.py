"""
Simulated providers as WebSocket servers on a loopback address, for any client.

Knows what a socket is and when; what is said stands in ``provider.py`` and in the wires' peers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from offhook.net.clock import Clock, Handle, LoopClock
from offhook.net.server import Server, UpgradeRequest
from offhook.net.sockets import Limits, Listener, Socket
from offhook.sims.provider import SimProvider
from offhook.wires._wire import Out, Refusal

__all__ = ["PHASES", "FakeProvider", "Watch", "Watcher"]

PHASES = ("greeting", "updated")


class Watcher(Protocol):
    """Who looks at one session. Told before anything is sent; none of these may raise."""

    def opened(self, out: list[Out], now: float) -> None: ...
    def received(self, data: bytes, binary: bool, out: list[Out], now: float) -> None: ...
    def sent(self, message: Out, now: float) -> None: ...
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
    ``delays_s`` holds back the phases of PHASES, and what follows them; ``think_s`` among the knobs holds back answers.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        delays_s: dict[str, float] | None = None,
        path: str = "/v1/realtime",
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[str, str] | None = None,
        watch: Watch | None = None,
        **knobs: Any,
    ) -> None:
        unknown = set(delays_s or ()) - set(PHASES)
        if unknown:
            raise ValueError(f"no phase {sorted(unknown)[0]!r}; there are {', '.join(PHASES)}")
        SimProvider(name, **knobs)  # what cannot be played is said here, not to the first client
        self.sessions: list[SimProvider] = []
        self.refused: list[Refusal] = []
        self.open = 0
        self.requests: list[UpgradeRequest] = []
        self._name = name
        self._knobs = knobs
        self._clock = clock
        self._delays = delays_s or {}
        self._path = path
        self._host = host
        self._port = port
        self._tls = tls
        self.watch = watch
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None, "not started"
        host = "127.0.0.1" if self._host in ("", "0.0.0.0") else f"[{self._host}]" if ":" in self._host else self._host
        return f"{'wss' if self._tls else 'ws'}://{host}:{self._server.port}{self._path}"

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
            port=self._port,
            tls=self._tls,
            limits=Limits(max_message_bytes=32 * 1024 * 1024),
        )
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        await self._server.stop()

    def _decide(self, request: UpgradeRequest) -> Refusal | Listener:
        self.requests.append(request)
        session = SimProvider(self._name, **self._knobs)
        refusal = session.upgrade(request.path_qs, dict(request.headers))
        watcher = self.watch.asked(request, session, refusal) if self.watch is not None else None
        if refusal is not None:
            self.refused.append(refusal)
            return refusal
        self.sessions.append(session)
        return _Session(self, session, self._loop_clock, self._delays, watcher)

    async def _http(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """A provider's socket path answers nothing else."""
        if scope["type"] == "http":
            if self.watch is not None:
                self.watch.strayed(scope["method"], scope["path"])
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"not found\n"})


class _Session:
    """One connection."""

    def __init__(
        self,
        fake: FakeProvider,
        session: SimProvider,
        clock: Clock,
        delays: dict[str, float],
        watcher: Watcher | None,
    ) -> None:
        self._watcher = watcher
        self._fake = fake
        self._session = session
        self._clock = clock
        self._delays = delays
        self._socket: Socket | None = None
        self._timer: Handle | None = None
        self._held: list[Out] = []
        self._free_at = 0.0
        self._release: Handle | None = None

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._fake.open += 1
        now = self._clock.now()
        out = self._session.opened(now)
        if self._watcher is not None:
            self._watcher.opened(out, now)
        self._answer("greeting", out)

    def text(self, data: bytes) -> None:
        self._take(data, "updated" if b'"session.update"' in data[:200] else "", False)

    def binary(self, data: bytes) -> None:
        self._take(data, "", True)

    def _take(self, data: bytes, phase: str, binary: bool) -> None:
        now = self._clock.now()
        out = self._session.receive(data, now, binary=binary)
        if self._watcher is not None:
            self._watcher.received(data, binary, out, now)
        self._answer(phase, out)

    def closed(self, code: int | None, reason: str, by: str) -> None:
        self._socket = None
        self._fake.open -= 1
        if self._watcher is not None:
            self._watcher.closed(code, reason, by, self._clock.now())
        for handle in (self._timer, self._release):
            if handle is not None:
                handle.cancel()
        self._timer = self._release = None

    def paused(self, n_bytes: int) -> None:
        """A simulated provider never stops speaking for its listener's sake."""

    def resumed(self) -> None:
        """See ``paused``."""

    def _answer(self, phase: str, out: list[Out]) -> None:
        """Send, unless the phase is held back; nothing overtakes what is."""
        if phase in self._delays:
            self._free_at = max(self._free_at, self._clock.now() + self._delays[phase])
        self._held += out
        self._send_held()
        self._arm()

    def _send_held(self) -> None:
        if self._clock.now() < self._free_at:
            if self._release is None and self._socket is not None:
                self._release = self._clock.call_at(self._free_at, self._free)
            return
        held, self._held = self._held, []
        for message in held:
            if self._socket is None:
                return
            if self._watcher is not None:
                self._watcher.sent(message, self._clock.now())
            if isinstance(message, bytes):
                self._socket.send(message)
            elif message.code is None:
                self._socket.abort(1006, "")
            else:
                self._socket.close(message.code, message.reason)

    def _free(self) -> None:
        self._release = None
        self._send_held()

    def _arm(self) -> None:
        due = self._session.deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and self._socket is not None:
            self._timer = self._clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._answer("", self._session.tick(self._clock.now()))

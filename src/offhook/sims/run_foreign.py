"""
The naive bridge over real sockets: a server with the same knobs, for whoever tests a dialler, a tap, or an explanation.

``python -m offhook.sims.run_foreign --port 8080 sid_field=stream_sid url=ws://127.0.0.1:9000/v1/realtime``

Without ``url`` and ``key`` it takes what ``offhook dial --fakes`` puts into the environment, as others' servers do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from offhook.net import client
from offhook.net.server import Server, UpgradeRequest
from offhook.net.sockets import Limits, Socket
from offhook.sims.foreign import Foreign
from offhook.sims.foreign_knobs import Knobs
from offhook.sims.virtual import By, Ear, Process
from offhook.sims.virtual_http import Reply, Request
from offhook.sims.virtual_provider import DialFailure
from offhook.wires._wire import ConnectRequest, Refusal

__all__ = ["ForeignServer", "knobs_of"]


class _World:
    """The real clock, with the manners of the virtual one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.random = random.Random()

    def call_at(self, when: float, fn: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        return self.loop.call_at(when, fn, *args)

    def after(self, seconds: float, fn: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, fn, *args)


class _End:
    """A real socket as the naive bridge knows its ends; what is written before it is open waits."""

    def __init__(self, ear: Ear, on_open: Callable[[_End], None] = lambda end: None) -> None:
        self.ear = ear
        self._on_open = on_open  # before any message is told
        self.by: By | None = None
        self._socket: Socket | None = None
        self._early: list[tuple[bytes, bool]] = []

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        for data, binary in self._early:
            self.send(data, binary)
        self._early.clear()
        self._on_open(self)

    def send(self, data: bytes, binary: bool = False) -> None:
        if self._socket is None:
            self._early.append((data, binary))
        elif binary:
            self._socket.send_binary(data)
        else:
            self._socket.send(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.by = self.by or "us"
        if self._socket is not None:
            self._socket.close(code, reason)

    def abort(self, code: int | None, reason: str) -> None:
        self.by = self.by or "us"
        if self._socket is not None:
            self._socket.abort(1006, reason)

    def ping(self, pong: Callable[[], None]) -> None:
        """The socket keeps itself alive; the knob of a wrong keepalive is for virtual time."""
        pong()

    # what net/sockets.py tells

    def text(self, data: bytes) -> None:
        self.ear.text(data)

    def binary(self, data: bytes) -> None:
        self.ear.binary(data)

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self.by = self.by or by
        self.ear.closed(code, reason, by)

    def paused(self, n_bytes: int) -> None: ...

    def resumed(self) -> None: ...


class _Net:
    """Dials for real; a proxy that was asked for is one that refuses, as in the virtual world."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(
        self, process: Process, request: ConnectRequest, ear: Ear, *, opened: Callable[[Any], None],
        failed: Callable[[DialFailure], None], on_phase: Callable[[str, float], None], timeout_s: float = 10.0,
        proxy: str | None = None, observer: Any = None,
    ) -> None:  # fmt: skip
        async def dial() -> None:
            try:
                await client.dial(request, _End(ear, opened), timeout_s=timeout_s, on_phase=on_phase, proxy=proxy)
            except client.DialError as error:
                failed(DialFailure(error.phase, str(error), error.status, error.body))

        task = asyncio.get_running_loop().create_task(dial())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class ForeignServer:
    """``async with ForeignServer(Knobs(sid_field="stream_sid")) as server: server.port``."""

    def __init__(self, knobs: Knobs, *, port: int = 0, public_url: str = "") -> None:
        if knobs.accepts != "at once":
            raise ValueError(f"accepts={knobs.accepts!r}: this server answers upgrades at once; use the virtual world")
        self._knobs, self._port, self._public = knobs, port, public_url
        self._server: Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return self._server.port

    async def __aenter__(self) -> ForeignServer:
        self._server = Server(self._http, self._decide, port=self._port, limits=Limits(max_message_bytes=1 << 24))
        await self._server.start()
        base = self._public or f"http://127.0.0.1:{self._server.port}"
        stream = base.replace("http", "ws", 1) + "/media"
        if self._knobs.stream_url == Knobs().stream_url:
            self._knobs = msgspec.structs.replace(self._knobs, stream_url=stream)
        self._base = base
        world: Any = _World(asyncio.get_running_loop())
        net: Any = _Net()
        self._bridge = Foreign(world, net, self._knobs)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        await self._server.stop()

    def _decide(self, asked: UpgradeRequest) -> Any:
        decided: list[Any] = []

        def accept(ear: Ear) -> Any:
            decided.append(_End(ear))
            return decided[-1]

        request = Request("GET", self._base.replace("http", "ws", 1) + asked.path_qs, asked.headers)
        self._bridge.upgrade(request, accept, lambda status, why: decided.append(Refusal(status, why, why)))
        return decided[0]

    async def _http(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        query = scope["query_string"].decode()
        url = self._base + scope["path"] + (f"?{query}" if query else "")
        headers = tuple((name.decode(), value.decode()) for name, value in scope["headers"])
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._bridge.http(Request(scope["method"], url, headers, body), answer.set_result)
        reply = await answer
        kind = [(b"content-type", reply.content_type.encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": kind})
        await send({"type": "http.response.body", "body": reply.body})


def knobs_of(words: Sequence[str], environment: Mapping[str, str] = {}) -> Knobs:
    """``name=value`` each, and what the environment says of the provider; raises ValueError that says what there is."""
    fields = {field.name: field for field in msgspec.structs.fields(Knobs)}
    given: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in fields:
            raise ValueError(f"no knob {name!r}; there are {', '.join(fields)}")
        try:
            given[name] = msgspec.convert(text, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}={text!r}: {error}") from None
    vendor = given.get("provider", Knobs().provider).upper()
    for name, variable in (("url", f"{vendor}_REALTIME_URL"), ("key", f"{vendor}_API_KEY")):
        if variable in environment:
            given.setdefault(name, environment[variable])
    return Knobs(**given)


async def _main(port: int, knobs: Knobs, public_url: str) -> None:
    async with ForeignServer(knobs, port=port, public_url=public_url) as server:
        sys.stdout.write(
            f"listening on 127.0.0.1:{server.port}: POST {knobs.hook_path}, WebSocket {knobs.media_path}\n"
        )
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--public-url", default="")
    parser.add_argument("knobs", nargs="*", help="name=value; see foreign_knobs.py")
    options = parser.parse_args()
    try:
        wanted = knobs_of(options.knobs, os.environ)
    except ValueError as error:
        sys.exit(f"run_foreign: {error}")
    import aiofastnet

    with asyncio.Runner(loop_factory=lambda: aiofastnet.patch_loop(asyncio.new_event_loop())) as runner:
        runner.run(_main(options.port, wanted, options.public_url))

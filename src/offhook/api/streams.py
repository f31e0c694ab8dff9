"""The live stream, as Server-Sent Events and as a WebSocket: the same events, in the same words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from offhook.api.access import Asked, Denied, host_allowed
from offhook.api.answers import PROBLEMS, Reads, the_world
from offhook.api.live import LEVELS_PER_S, Event, Hub, Subscriber, TooMany
from offhook.api.problems import Problem
from offhook.api.world import World
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import By, Listener, Socket
from offhook.wires._wire import Refusal

__all__ = ["PATH", "Watcher", "router", "upgrade"]

log = logging.getLogger("offhook")

router = APIRouter(tags=["live"], responses=PROBLEMS)

PATH = "/api/live"
QUIET_S = 15.0  # without an event: a comment, so that proxies keep the connection and a dead one is noticed
MOST_BUFFERED = 256 * 1024  # written to one watcher and not taken: it waits, and loses from its own queue


@router.get(
    "/live",
    response_class=StreamingResponse,
    responses={200: {"description": "text/event-stream",
                     "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def live(
    request: Request,
    who: Reads,
    call: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{0,128}$", description="of this call only")] = "",
    levels: Annotated[int, Query(ge=0, le=LEVELS_PER_S, description="levels a second; 0: none")] = 0,
    after: Annotated[str, Query(max_length=64, description="go on behind the event with this id")] = "",
    for_s: Annotated[float, Query(ge=0, le=86_400, description="end after; 0: never")] = 0,
    last_event_id: Annotated[str, Header(max_length=64)] = "",
) -> Response:
    """
    What happens in calls, as it happens: Server-Sent Events, or a WebSocket at the same address.

    The first event is `hello` with the calls that run. Who reads slowly gets `lost` with the number of events.
    """
    world = the_world(request)
    try:
        subscriber = world.hub.subscribe(_call(world, call), after=last_event_id or after, levels=levels)
    except TooMany:
        raise Problem(503, "as many watch as this server lets", kind="full", fix="close one of the others",
                      headers={"Retry-After": "5"}) from None  # fmt: skip
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(subscriber, for_s), media_type="text/event-stream", headers=headers)


def _call(world: World, name: str) -> str:
    """The carrier's name of a running call that is called by its record."""
    return next((one.call for one in world.hub.calls.values() if one.record == name), name)


async def _events(subscriber: Subscriber, for_s: float) -> AsyncIterator[bytes]:
    until = asyncio.get_running_loop().time() + for_s if for_s else float("inf")
    try:
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(min(QUIET_S, left)):
                    event = await subscriber.next()
            except TimeoutError:
                yield b": quiet\n\n"
            else:
                if event is None:
                    return
                yield _framed(event)
    finally:
        subscriber.close()


def _framed(event: Event) -> bytes:
    id_ = b"id: " + event.id.encode() + b"\n" if event.id else b""
    return id_ + b"event: " + event.kind.encode() + b"\ndata: " + event.json + b"\n\n"


# --------------------------------------------------------------------------------------------- WebSocket


class Watcher:
    """One WebSocket of the live stream: proven first, then told event after event. What it sends is not read."""

    def __init__(self, world: World, asked: Asked, call: str, levels: int, after: str) -> None:
        self._world = world
        self._asked = asked
        self._wishes = (call, levels, after)
        self._socket: Socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._flows = asyncio.Event()
        self._flows.set()

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._task = asyncio.get_running_loop().create_task(self._run(socket))

    def text(self, data: bytes) -> None: ...
    def binary(self, data: bytes) -> None: ...

    def closed(self, code: int | None, reason: str, by: By) -> None:
        if self._task is not None:
            self._task.cancel()

    def paused(self, n_bytes: int) -> None:
        self._flows.clear()

    def resumed(self) -> None:
        self._flows.set()

    async def _run(self, socket: Socket) -> None:
        hub: Hub = self._world.hub
        try:
            who = await self._world.access.who(self._asked)
            if not who.may("read"):
                raise Denied(403, "this needs the scope read", "make a token with it")
            call, levels, after = self._wishes
            subscriber = hub.subscribe(_call(self._world, call), after=after, levels=levels)
        except Denied as error:
            socket.close(4401 if error.status == 401 else 4403, f"{error.why}; {error.fix}")
            return
        except TooMany:
            socket.close(1013, "as many watch as this server lets")
            return
        try:
            while (event := await subscriber.next()) is not None:
                await self._flows.wait()
                socket.send(event.json)
            socket.close(1001, "the server stops")
        finally:
            subscriber.close()


def upgrade(world: World, request: UpgradeRequest) -> Refusal | Listener:
    """Take a WebSocket that wants to watch; its token is looked at once it is open."""
    headers = {name.lower(): value for name, value in request.headers}
    if not host_allowed(headers.get("host", ""), world.hosts()):
        return Refusal(421, f"no server of the name {headers.get('host', '')[:80]!r}\n", "host")
    if request.path != PATH:
        return Refusal(404, f"no WebSocket at {request.path}; the live stream is at {PATH}\n", "path")
    query = {name: values[-1] for name, values in parse_qs(request.path_qs.partition("?")[2]).items()}
    levels = query.get("levels", "0")
    if not levels.isdecimal() or int(levels) > LEVELS_PER_S:
        return Refusal(400, f"levels: got {levels[:20]!r}, wanted 0 to {LEVELS_PER_S}\n", "levels")
    asked = Asked("GET", request.client, headers)
    return Watcher(world, asked, query.get("call", ""), int(levels), query.get("after", ""))

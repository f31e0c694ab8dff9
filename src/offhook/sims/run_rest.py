"""
The carrier's REST interface on a loopback address, for the calls that a simulated carrier places.

Whoever places a call says so with ``expect``; what the server under test then asks for is answered by
``carrier_rest.py``, told, and done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from offhook.net.server import Server
from offhook.sims.carrier_faults import Fault
from offhook.sims.carrier_rest import BASE, RestAnswer, answer
from offhook.wires._wire import Refusal

__all__ = ["Asked", "RestDesk"]

MAX_BODY = 64 * 1024


class Asked(Struct, frozen=True):
    """One request of the server under test; no credential of it."""

    method: str
    path: str
    answer: RestAnswer


class _Expected(Struct):
    ends: Callable[[], None]
    on_asked: Callable[[Asked], None]
    faults: Sequence[Fault]
    token: str


class RestDesk:
    """``async with RestDesk(port) as desk``: ``desk.url`` stands for ``https://api.twilio.com/2010-04-01``."""

    def __init__(self, port: int = 0) -> None:
        self.strays: list[Asked] = []  # requests that belong to no call of ours
        self._calls: dict[str, _Expected] = {}
        self._server = Server(self._app, lambda request: Refusal(404, "not found\n", "path"), port=port)
        self._hanging = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}{BASE}"

    async def __aenter__(self) -> RestDesk:
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._hanging.set()
        await self._server.stop()

    def expect(
        self, call_sid: str, *, ends: Callable[[], None], on_asked: Callable[[Asked], None],
        faults: Sequence[Fault] = (), token: str = "",
    ) -> None:  # fmt: skip
        """A call is running: ``ends()`` when a request ended it, ``on_asked`` for each request about it."""
        self._calls[call_sid] = _Expected(ends, on_asked, faults, token)

    def forget(self, call_sid: str) -> None:
        """The call is over."""
        self._calls.pop(call_sid, None)

    async def _app(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while len(body) <= MAX_BODY:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        expected = next((one for sid, one in self._calls.items() if sid in path), None)
        made = answer(
            scope["method"], path, headers.get("authorization", ""), body, calls=tuple(self._calls),
            faults=expected.faults if expected else (), token=expected.token if expected else "",
        )  # fmt: skip
        asked = Asked(scope["method"], path, made)
        if expected is None:
            self.strays.append(asked)
        else:
            expected.on_asked(asked)
        if made.status == 0:
            await self._hanging.wait()
            return
        kind = [(b"content-type", made.kind.encode())]
        await send({"type": "http.response.start", "status": made.status, "headers": kind})
        await send({"type": "http.response.body", "body": made.body.encode()})
        if made.ends and expected is not None:
            expected.ends()

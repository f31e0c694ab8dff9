"""
The application under ``/api``: its routes, and what stands before all of them.

Every request is looked at before a route is: the name it came under, its size, who asks. Work that reads or judges runs
on a few threads; on the calls' loop only ready bytes are sent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Send

from offhook.api import acting, calls, figures, queueing, server, sessions, streams, talking
from offhook.api.access import Asked, Denied, host_allowed
from offhook.api.checking import Checking
from offhook.api.fetching import Fetched
from offhook.api.giving_way import giving_way
from offhook.api.problems import install, problem_response
from offhook.api.records import Records
from offhook.api.standing import Standing
from offhook.api.world import World
from offhook.store.state import StoreError

__all__ = ["make_api", "schema"]

log = logging.getLogger("offhook")

MOST_BODY_BYTES = 64 * 1024
THREADS = 3  # that read and judge: more would only take the interpreter from the calls
DOCS = Path(__file__).with_name("docs")
_OPEN = frozenset(("/api/docs", "/api/openapi.json", "/api/login"))  # what nobody needs a token for
# The page of the docs is Swagger UI, which sets styles and shows images of its own making.
_DOCS_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_POLICY = "default-src 'none'; frame-ancestors 'none'"

DESCRIPTION = """\
Calls that run and calls that were, acting on them, placing them, and watching them.

Send `Authorization: Bearer TOKEN`; `offhook token create NAME --scope read` makes one. A mistake is answered with
`application/problem+json`: what was got, wanted, where, and the fix. Times are milliseconds; `..._at` since 1970,
else of the call. Phone numbers are masked.
"""


def make_api(world: World) -> Any:
    """The ASGI application; every path of it begins with ``/api``."""
    app = _application(world.version)
    app.state.world = world
    app.state.fetched = Fetched(world.directory, world.reader, world.fetch)
    app.state.records = Records(
        world.directory, world.project, _named(world), lambda name: world.host.calls.find(name) is not None,
        app.state.fetched.path,
    )  # fmt: skip
    app.state.checking = Checking(world.check, world.hub)
    app.state.asking = set()
    world.hub.watch = Standing(world.hub, world.directory).look
    return _Front(app, world)


def schema(version: str) -> dict[str, Any]:
    """The API's OpenAPI document."""
    return _application(version).openapi()


def _application(version: str) -> FastAPI:
    app = FastAPI(
        title="Offhook", version=version, description=DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url=None, redirect_slashes=False,
    )  # fmt: skip
    install(app)
    for part in (calls, figures, acting, queueing, talking, streams, server, sessions):
        app.include_router(part.router, prefix="/api")
    _docs(app)
    _describe_access(app)
    return app


def _named(world: World) -> Callable[[str], str]:
    """The record of a call, by the store."""

    def named(call: str) -> str:
        try:
            reader = world.reader()
            row = reader.call(call) if reader is not None else None
        except StoreError:
            return ""  # the directory is looked through instead
        return str(row["id"]) if row is not None and call in (row["id"], row["call"]) else ""

    return named


def _describe_access(app: FastAPI) -> None:
    """Say in the schema how one is let in, and which routes nobody needs to be let in for."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemes = {
            "token": {"type": "http", "scheme": "bearer", "description": "offhook token create NAME --scope read"},
            "session": {"type": "apiKey", "in": "cookie", "name": "offhook_session", "description": "POST /api/login"},
        }
        document.setdefault("components", {})["securitySchemes"] = schemes
        document["security"] = [{"token": []}, {"session": []}]
        document["paths"]["/api/login"]["post"]["security"] = []
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _docs(app: FastAPI) -> None:
    """The page that shows the schema, from files of our own: it asks no other host."""

    making = threading.Lock()

    @app.get("/api/openapi.json", include_in_schema=False)
    def document() -> Response:
        # On a thread, and when somebody first asks: it takes a quarter of a second, which no call may wait for.
        with making, giving_way():
            return Response(msgspec.json.encode(app.openapi()), media_type="application/json")

    @app.get("/api/docs", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse((DOCS / "index.html").read_bytes(), headers={"Content-Security-Policy": _DOCS_POLICY})

    @app.get("/api/docs/{name}", include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        kinds = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "start.js": "text/javascript"}
        if name not in kinds:
            return problem_response(404, "no such file")
        return FileResponse(DOCS / name, media_type=kinds[name], headers={"Content-Security-Policy": _DOCS_POLICY})


class _Front:
    """What stands before the routes."""

    def __init__(self, app: FastAPI, world: World) -> None:
        self.app = app
        self._world = world
        self._limited = False

    async def stop(self) -> None:
        """End what runs beside the requests."""
        await self.app.state.checking.stop()
        self.app.state.fetched.clear()
        self._world.hub.stop()

    def upgrade(self, request: Any) -> Any:
        return streams.upgrade(self._world, request)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if not self._limited:
            self._limited = True
            anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        began, status = time.monotonic(), 500

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                own = [
                    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
                    (b"cache-control", b"no-store"), (b"content-security-policy", _POLICY.encode()),
                    (b"cross-origin-resource-policy", b"same-origin"),
                ]  # fmt: skip
                message["headers"] = [*message["headers"], *(one for one in own if one[0] not in given)]
            await send(message)

        try:
            answer = await self._before(scope)
            if answer is not None:
                await answer(scope, receive, sending)
            else:
                await self.app(scope, _bounded(receive), sending)
        finally:
            path = str(getattr(scope.get("route"), "path", "none"))
            if path != "none" and not path.startswith("/api"):
                path = "/api" + path  # a router knows its paths without what it was included under
            self._world.metrics.api(scope["method"], path, status, time.monotonic() - began)

    async def _before(self, scope: dict[str, Any]) -> Response | None:
        """Why a request goes no further, or None."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        asked = Asked(scope["method"], str(client[0]) if client else "", headers)
        host = headers.get("host", "")
        if not host_allowed(host, self._world.hosts()):
            error = {"field": "Host", "got": host[:60], "wanted": "a name of this server", "where": "header",
                     "fix": "set server.public_url, or name it in api.hosts"}  # fmt: skip
            return problem_response(421, "asked under a name that is not this server's", kind="host", errors=[error])
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 12 or int(length) > MOST_BODY_BYTES:
            return _too_long(length)
        state = scope.setdefault("state", {})
        state["asked"] = asked
        path = scope["path"]
        if path in _OPEN or path.startswith("/api/docs/"):
            return None
        try:
            state["who"] = await self._world.access.who(asked)
        except Denied as error:
            problem = sessions.denied(error)
            return problem_response(
                problem.status, problem.detail, kind=problem.kind, errors=problem.errors, headers=problem.headers
            )
        return None


def _too_long(got: str) -> Response:
    error = {"field": "Content-Length", "got": got[:20], "wanted": f"at most {MOST_BODY_BYTES}", "where": "header",
             "fix": "send less"}  # fmt: skip
    return problem_response(413, "the body is too long", kind="too-long", errors=[error])


def _bounded(receive: Receive) -> Receive:
    """``receive``, which ends a body that is longer than any request of ours."""
    size = 0

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return receiving

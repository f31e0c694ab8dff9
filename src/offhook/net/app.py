"""
The HTTP face of a host: webhooks, health and metrics, on the port that the streams share.

Bodies are read raw and whole (a signature covers them) up to the carrier's own limit. Answers no
redirects: a carrier that is redirected signs another address. Knows no wire.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from offhook.net.gate import Answer
from offhook.net.host import Host

__all__ = ["Paths", "make_app", "under", "with_api"]

API = "/api"
OWN_WEBHOOK = "/twilio/voice"
MAX_BODY_BYTES = 64 * 1024  # a webhook's form is about 1 kB; Twilio documents 64 kB for its own answers

Handler = Callable[[str, str, Sequence[tuple[str, str]], bytes], Answer]


class Paths:
    """Where the carrier finds what; as written into its documents."""

    def __init__(self, webhook: str, media: str, status: str, after: str, call: str = "/twilio/call") -> None:
        self.webhook = webhook
        self.webhooks = tuple({webhook, OWN_WEBHOOK})  # a number that points at our own path is answered all the same
        self.media = media
        self.status = status
        self.after = after
        self.call = call  # and what of it, as a last part


def make_app(host: Host, paths: Paths, detail: Callable[[], Mapping[str, Any]] = dict) -> Starlette:
    """The ASGI application of ``host``; ``detail`` is what else /readyz tells, whether it takes calls or not."""
    process = secrets.token_hex(4)  # tells `offhook check public` which process it reached; no secret

    def carrier(handler: Handler) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            body = await _body(request)
            if body is None:
                return PlainTextResponse(f"body over {MAX_BODY_BYTES} bytes\n", 413)
            path_qs = request.scope["raw_path"].decode("latin-1")
            if request.scope["query_string"]:
                path_qs += "?" + request.scope["query_string"].decode("latin-1")
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
            answer = handler(request.method, path_qs, headers, body)
            return Response(answer.body, answer.status, media_type=answer.content_type)

        return endpoint

    async def media(request: Request) -> Response:
        text = "this is a media stream: it wants a WebSocket upgrade (GET with Upgrade: websocket)\n"
        return PlainTextResponse(text, 426, {"Upgrade": "websocket", "Connection": "Upgrade"})

    async def healthz(request: Request) -> Response:
        return JSONResponse({"ok": True, "process": process, "calls": len(host.calls)})

    async def readyz(request: Request) -> Response:
        draining = host.calls.draining
        return JSONResponse({"ready": not draining, "calls": len(host.calls), **detail()}, 503 if draining else 200)

    async def metrics(request: Request) -> Response:
        return Response(host.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def missed(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        query = request.scope["query_string"].decode("latin-1")
        path_qs = request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        host.gate.missed(request.method, path_qs, headers, status)
        return PlainTextResponse("not served\n", status, getattr(error, "headers", None))

    both = ["GET", "POST"]
    app = Starlette(
        routes=[
            *(Route(path, carrier(host.webhooks.voice), methods=both) for path in paths.webhooks),
            Route(paths.status, carrier(host.webhooks.status), methods=both),
            Route(paths.after, carrier(host.webhooks.after), methods=both),
            *(
                Route(f"{paths.call}/{what}", carrier(partial(host.webhooks.about_call, what)), methods=both)
                for what in ("transfer", "leg", "status", "machine")
            ),
            Route(paths.media, media, methods=["GET", "POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
    app.router.redirect_slashes = False
    app.add_exception_handler(404, missed)
    app.add_exception_handler(405, missed)
    return app


def under(prefix: str, core: Any) -> Any:
    """``core`` also under the public URL's ``prefix``, for a proxy that does not take it away."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{prefix}/"):
            scope = {**scope, "path": scope["path"].removeprefix(prefix)}  # raw_path stays: it is what was signed
        await core(scope, receive, send)

    return app if prefix else core


def with_api(core: Starlette, api: Callable[[], Awaitable[Any]]) -> Any:
    """``core``, and what ``api`` gives for every path under /api: it may still be on its way when the port opens."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == API or path.startswith(API + "/")):
            await (await api())(scope, receive, send)
        else:
            await core(scope, receive, send)

    return app


async def _body(request: Request) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY_BYTES:
                return None
            parts.append(part)
    except ClientDisconnect:
        return b""
    return b"".join(parts)

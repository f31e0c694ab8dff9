"""
Serves the console's built files under ``/console/``; knows nothing of calls.

All addresses in them are relative, so they work behind any path prefix that a proxy takes away. What they may do is
said by the content security policy: this server alone, no inline script or style, in nobody's frame.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from offhook.api.access import host_allowed

__all__ = ["DIST", "with_console"]

DIST = Path(__file__).with_name("dist")
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_KINDS = {
    ".html": b"text/html; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}  # fmt: skip
_ALWAYS = (
    (b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"), (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"), (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)  # fmt: skip
_TEXT = b"text/plain; charset=utf-8"

App = Callable[[Any, Any, Any], Awaitable[None]]


def with_console(core: App, hosts: Callable[[], Sequence[str]]) -> App:
    """``core``, and the console for browsers that ask for it by a name of ``hosts`` or of this machine."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        ours = path == "/console" or path.startswith("/console/") or (path == "/" and _wants_page(scope))
        if scope["type"] != "http" or not ours:
            await core(scope, receive, send)
            return
        status, headers, body = _answer(scope, path, hosts())
        own = [*headers, *_ALWAYS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": own})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def _answer(scope: Any, path: str, hosts: Sequence[str]) -> Answer:
    host = _header(scope, b"host")
    if not host_allowed(host, hosts):
        # Else a page elsewhere whose name resolves to this machine could read what this one shows.
        told = f"no server of the name {host[:80]!r}; set server.public_url, or name it in api.hosts\n"
        return 421, [(b"content-type", _TEXT)], told.encode()
    if scope["method"] not in ("GET", "HEAD"):
        return 405, [(b"content-type", _TEXT), (b"allow", b"GET, HEAD")], b"GET or HEAD\n"
    if path in ("/", "/console"):
        return 307, [(b"location", b"console/"), (b"content-type", _TEXT)], b"console/\n"  # relative: see above
    found = _files().get(path.removeprefix("/console/") or "index.html")
    if found is None:
        return 404, [(b"content-type", _TEXT)], b"the console has no such file; it begins at /console/\n"
    kind, plain, packed, keep = found
    headers = [(b"content-type", kind), (b"cache-control", keep), (b"vary", b"accept-encoding")]
    if "gzip" in _header(scope, b"accept-encoding"):
        return 200, [*headers, (b"content-encoding", b"gzip")], packed
    return 200, headers, plain


@cache
def _files() -> dict[str, tuple[bytes, bytes, bytes, bytes]]:
    """Every file by its name: kind, bytes, the same packed, and how long it may be kept. 200 kB in all."""
    files = {}
    for path in sorted(DIST.rglob("*")):
        if path.suffix in _KINDS:
            name, plain = path.relative_to(DIST).as_posix(), path.read_bytes()
            # a built file's name is made of what is in it
            keep = b"public, max-age=31536000, immutable" if name.startswith("assets/") else b"no-cache"
            files[name] = (_KINDS[path.suffix], plain, gzip.compress(plain, 9, mtime=0), keep)
    return files


def _header(scope: Any, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _wants_page(scope: Any) -> bool:
    """A browser that was given the bare address; a carrier's request for ``/`` stays the carrier's."""
    return scope.get("method") in ("GET", "HEAD") and "text/html" in _header(scope, b"accept")

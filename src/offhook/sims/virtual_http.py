"""
Requests, answers and what stands between a carrier and a server, in the virtual world.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from offhook.sims.virtual import Ear, End, Process

__all__ = ["Reply", "Request", "Route", "Server", "url_parts"]


class Request(Struct, frozen=True):
    """An HTTP request as it arrives at a server, or an upgrade."""

    method: str
    url: str  # as the carrier dials it
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    call: str = ""  # whose it is; not part of the request, for who writes it down

    @property
    def path_qs(self) -> str:
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class Reply(Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/xml"
    location: str = ""


class Server(Protocol):
    """A program that answers the carrier. Either callback may be called later."""

    process: Process

    def http(self, request: Request, reply: Callable[[Reply], None]) -> None: ...

    def upgrade(self, request: Request, accept: Callable[[Ear], End], refuse: Callable[[int, str], None]) -> None: ...


class Route:
    """
    What stands between the carrier and the server: by default nothing.

    Either function may answer itself (a ``Reply``), name the phase that fails (dns, tcp, tls, timeout), or give the
    request as the server gets it.
    """

    def __init__(
        self,
        webhook: Callable[[Request], Request | Reply | str] = lambda request: request,
        stream: Callable[[Request], Request | Reply | str] = lambda request: request,
    ) -> None:
        self.webhook = webhook
        self.stream = stream


def url_parts(url: str) -> dict[str, Any]:
    """A URL as a record keeps it: no query's values."""
    parts = urlsplit(url)
    keys = [pair.partition("=")[0] for pair in parts.query.split("&") if pair]
    return {"scheme": parts.scheme, "host": parts.hostname or "", "port": parts.port, "path": parts.path,
            "query_keys": keys}  # fmt: skip

"""
HTTP/1.1 on one connection that is passed on: reading it as it goes by, and the few changes that may be asked for.

A reader changes nothing; a ``HeadChanger`` changes the lines it is told to and leaves case and order of all others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httptools
from msgspec import Struct

__all__ = [
    "HeadChanger", "Request", "Requests", "Response", "Responses", "can_be_changed", "form_of", "header", "plain_body",
]  # fmt: skip

KEPT_BODY = 64 * 1024
MAX_HEAD = 64 * 1024
Headers = list[tuple[str, str]]


class Request(Struct):
    """One request that went by; ``at`` is when its head was whole."""

    method: str
    target: str
    headers: Headers
    at: float
    body: bytearray
    size: int = 0
    upgrade: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


class Response(Struct):
    """One answer that went by."""

    status: int
    headers: Headers
    at: float
    body: bytearray
    size: int = 0


def header(headers: Headers, name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def form_of(request: Request) -> dict[str, str]:
    raw = request.query if request.method in ("GET", "HEAD") else bytes(request.body).decode("utf-8", "replace")
    return dict(parse_qsl(raw, keep_blank_values=True))


def can_be_changed(response: Response) -> bool:
    """What ``HeadChanger`` changes: a document of known length that is not compressed."""
    return (
        header(response.headers, "Content-Encoding") is None and header(response.headers, "Content-Length") is not None
    )


def plain_body(response: Response) -> bytes | None:
    """An answer's body as it was before it was compressed; None where that cannot be told."""
    body = bytes(response.body)
    if response.size > len(body):  # longer than is kept, and than any carrier takes
        return body + b" "
    encoding = (header(response.headers, "Content-Encoding") or "identity").strip().lower()
    if encoding in ("gzip", "deflate"):
        try:
            return zlib.decompressobj(47 if encoding == "gzip" else 15).decompress(body, 2 * KEPT_BODY)
        except zlib.error:
            return None
    return body if encoding == "identity" else None


class _Reader:
    """What both directions have in common: the parser's callbacks."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self._headers: Headers = []
        self._body = bytearray()
        self._size = 0
        self._now = 0.0
        self._parser: Any = None

    def on_message_begin(self) -> None:
        self._headers, self._body, self._size = [], bytearray(), 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if len(self._body) < KEPT_BODY:
            self._body += data[: KEPT_BODY - len(self._body)]

    def feed(self, data: bytes, now: float) -> bytes | None:
        """Read on; what stands behind an upgrade, or None when it is HTTP still. Never raises."""
        if self.broken is not None:
            return None
        self._now = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self.broken = f"no HTTP: {type(error).__name__}"
        return None


class Requests(_Reader):
    """The client's direction. ``take`` gets each request when it is whole."""

    def __init__(self, take: Callable[[Request], None]) -> None:
        super().__init__()
        self._parser = httptools.HttpRequestParser(self)
        self._take = take
        self._target = bytearray()
        self._request: Request | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._target = bytearray()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_headers_complete(self) -> None:
        self._request = Request(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            at=self._now,
            body=self._body,
            upgrade=bool(self._parser.should_upgrade()),
        )

    def on_message_complete(self) -> None:
        if self._request is not None:
            self._request.size = self._size
            self._take(self._request)


class Responses(_Reader):
    """The server's direction."""

    def __init__(self, take: Callable[[Response], None]) -> None:
        super().__init__()
        self._parser = httptools.HttpResponseParser(self)
        self._take = take
        self._response: Response | None = None

    def on_headers_complete(self) -> None:
        self._response = Response(self._parser.get_status_code(), self._headers, self._now, self._body)

    def on_message_complete(self) -> None:
        if self._response is not None and not 100 <= self._response.status < 101:
            self._response.size = self._size
            self._take(self._response)


class HeadChanger:
    """
    Changes header lines of every message of one direction, and passes everything else on as it came.

    ``lines`` are new values by lower-case name; a name that is not there is added behind the others. ``body`` may give
    an answer's body another text, which is then held back until it is whole. Stops changing behind an upgrade, and
    behind a message whose end it cannot see.
    """

    def __init__(self, lines: dict[bytes, bytes], body: Callable[[bytes, bytes], bytes | None] | None = None) -> None:
        self._lines = lines
        self._body = body
        self._held = bytearray()
        self._left = 0  # bytes of a body that are on their way
        self._through = False

    def feed(self, data: bytes) -> bytes:
        if self._through:
            return data
        self._held += data
        out = bytearray()
        while self._held and not self._through:
            if self._left:
                n = min(self._left, len(self._held))
                out += self._held[:n]
                del self._held[:n]
                self._left -= n
                continue
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                self._through = len(self._held) > MAX_HEAD
                break
            if not self._message(end, out):
                break
        if self._through:
            out += self._held
            self._held.clear()
        return bytes(out)

    def _message(self, end: int, out: bytearray) -> bool:
        """Pass one head on, changed; False while its body has to be waited for."""
        head = bytes(self._held[:end])
        fields = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
            if colon
        }
        length = fields.get(b"content-length", b"0")
        size = int(length) if length.isdigit() else 0
        chunked = b"transfer-encoding" in fields
        lines = dict(self._lines)
        if self._body is not None and not chunked and 0 < size <= KEPT_BODY and b"content-encoding" not in fields:
            if len(self._held) < end + 4 + size:
                return False
            body = bytes(self._held[end + 4 : end + 4 + size])
            changed = self._body(fields.get(b"content-type", b""), body)
            if changed is not None:
                del self._held[: end + 4 + size]
                out += _with(head, {**lines, b"content-length": b"%d" % len(changed)}) + b"\r\n\r\n" + changed
                return True
        del self._held[: end + 4]
        out += _with(head, lines) + b"\r\n\r\n"
        self._left = size
        self._through = chunked or b"upgrade" in fields or _open_ended(head, length)
        return True


def _open_ended(head: bytes, length: bytes) -> bool:
    """Whether an answer lasts until its connection is closed (RFC 9112, 6.3)."""
    if not head.startswith(b"HTTP/") or length != b"0":
        return False
    status = head.split(b" ", 2)[1:2]
    return status not in ([b"204"], [b"304"]) and b"content-length" not in head.lower()


def _with(head: bytes, lines: dict[bytes, bytes]) -> bytes:
    """``head`` with the values of ``lines``; names keep the case they came in."""
    todo = dict(lines)
    out: list[bytes] = []
    for line in head.split(b"\r\n"):
        name, colon, _ = line.partition(b":")
        key = name.strip().lower()
        out.append(name + b": " + todo.pop(key) if colon and out and key in todo else line)
    return b"\r\n".join([*out, *(name.title() + b": " + value for name, value in todo.items())])

"""
Dialling a WebSocket, phase by phase, each with its own name in the error: dns, tcp, proxy, tls, upgrade.

Redirects are never followed (the Authorization header would go to the new host), a connection that the peer
drops before its answer is a failure and not a silence, and no error carries a header's value. Knows no wire.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import aiofastnet
from msgspec import Struct
from picows import WSError, WSHandshakeError
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from offhook.net.addresses import first_to_answer
from offhook.net.answers import Answer, AnswerSniffer
from offhook.net.picows_seam import client_protocol
from offhook.net.sockets import Limits, Listener, Socket
from offhook.proxies import choose_proxy
from offhook.wires._wire import ConnectRequest

__all__ = ["PROVIDER_LIMITS", "DialError", "choose_proxy", "default_tls", "dial", "provider_limits"]

# A provider's largest message is a delta of a few hundred ms or a session echo; OpenAI takes 15 MiB itself.
# 60 s without a byte, pongs included, is a dead path: OpenAI itself pings every 20 s.


def provider_limits(compiled: bool) -> Limits:
    """What a provider's connection may do."""
    return Limits(max_message_bytes=16 * 1024 * 1024, dead_after_s=60.0, compiled=compiled)


PROVIDER_LIMITS = provider_limits(compiled=True)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KEYS = re.compile(r"\b(?:sk|xai|ek)-[\w-]{4,}|Bearer\s+\S+", re.IGNORECASE)


class DialError(Exception):
    """
    A connection that did not come about.

    ``phase`` is one of url, dns, tcp, proxy, tls, upgrade; ``status`` and ``body`` are those of the HTTP
    answer, when there was one. Local or remote is told by the phase: only ``url`` is ours.
    """

    def __init__(
        self,
        phase: str,
        cause: str,
        *,
        status: int | None = None,
        body: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(phase, cause)
        self.phase = phase
        self.cause = cause
        self.status = status
        self.body = body
        self.retryable = retryable

    def __str__(self) -> str:
        return self.cause


@functools.cache
def default_tls() -> ssl.SSLContext:
    """
    This machine's trusted certificates, loaded once a process.

    Loading takes some 10 ms, in which no call would get its audio, and every context keeps its own half megabyte.
    """
    return ssl.create_default_context()


async def dial(
    request: ConnectRequest,
    listener: Listener,
    *,
    timeout_s: float = 10.0,
    on_phase: Callable[[str, float], None] | None = None,
    limits: Limits = PROVIDER_LIMITS,
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
    connect_to: tuple[str, int] | None = None,
) -> Socket:
    """
    Open the WebSocket that ``request`` describes, within ``timeout_s`` in all.

    ``on_phase(name, ms)`` is called as each phase ends well. ``connect_to`` replaces the address that is
    dialled, not the names that are sent. Raises DialError.
    """
    attempt = _Attempt(request, listener, on_phase, limits, tls, proxy, connect_to)
    try:
        async with asyncio.timeout(timeout_s):
            return await attempt.run()
    except TimeoutError:
        attempt.abandon()
        raise DialError(attempt.phase, f"{attempt.phase}: no answer within {timeout_s:g} s", retryable=True) from None
    except BaseException:
        attempt.abandon()
        raise


class _Target(Struct, frozen=True):
    """What a URL and headers come to."""

    host: str
    port: int
    secure: bool
    path: str  # with the query
    authority: str  # for the Host header
    headers: tuple[tuple[str, str], ...]


class _Attempt:
    """One dial, and what has to be closed when it fails."""

    def __init__(
        self,
        request: ConnectRequest,
        listener: Listener,
        on_phase: Callable[[str, float], None] | None,
        limits: Limits,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        connect_to: tuple[str, int] | None,
    ) -> None:
        self.phase = "url"
        self._request = request
        self._listener = listener
        self._on_phase = on_phase
        self._limits = limits
        self._tls = tls
        self._proxy = proxy
        self._connect_to = connect_to
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sock: socket.socket | None = None
        self._transport: asyncio.BaseTransport | None = None

    async def run(self) -> Socket:
        target = _target(self._request)
        if self._proxy is not None and self._connect_to is None:
            await self._through_proxy(self._proxy, target)
        else:
            await self._connect(*(self._connect_to or (target.host, target.port)))
        return await self._upgrade(target)

    def abandon(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # type: ignore[attr-defined]
        elif self._sock is not None:
            self._sock.close()

    def _begin(self, phase: str) -> None:
        self.phase = phase
        self._began = self._loop.time()

    def _done(self) -> None:
        if self._on_phase is not None:
            self._on_phase(self.phase, (self._loop.time() - self._began) * 1000)

    async def _connect(self, host: str, port: int) -> None:
        self._begin("dns")
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise DialError("dns", f"dns: {host}: {error.strerror}", retryable=True) from None
        except UnicodeError:
            raise DialError("dns", f"dns: {host}: not a host name") from None
        self._done()
        self._begin("tcp")
        try:
            self._sock = await first_to_answer(self._loop, found)
        except OSError as error:
            # asyncio words it with the address, which dns has no part in; the number says it plainly
            why = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
            raise DialError("tcp", f"tcp: {host}:{port}: {why}", retryable=True) from None
        self._done()

    async def _through_proxy(self, url: str, target: _Target) -> None:
        self._begin("proxy")
        try:
            proxy = Proxy.from_url(url, loop=_ByPosition(self._loop))
            self._sock = await proxy.connect(dest_host=target.host, dest_port=target.port)
        except (ProxyError, OSError, ValueError) as error:
            why = _redacted(str(error), _parts_of(url))[:200] or type(error).__name__
            raise DialError("proxy", f"proxy: {why}", retryable=True) from None
        self._done()

    async def _upgrade(self, target: _Target) -> Socket:
        made = Socket(self._listener, self._limits)
        protocol = client_protocol(
            functools.partial(_accept, made, self._request.subprotocols),
            host_port=target.authority,
            path=target.path,
            headers=target.headers,
            max_frame_bytes=self._limits.max_message_bytes,
        )
        sniffer = AnswerSniffer(protocol, self._limits.compiled)
        await self._secure(sniffer, target)
        self._begin("upgrade")
        answer = await sniffer.answer
        if answer is None:
            # the peer closed TCP before it answered: typically ws:// to a TLS port
            hint = "" if target.secure else " (is it a TLS port? then the URL must be wss://)"
            cause = f"upgrade: {target.host}: the peer closed the connection without an answer{hint}"
            raise DialError("upgrade", cause, retryable=True)
        if answer.status != 101:
            raise self._refused(target.host, answer)
        try:
            await protocol.wait_until_handshake_complete()
        except (WSError, _NotOffered) as error:
            why = _first_line(error) if isinstance(error, WSHandshakeError) else str(error)
            raise DialError("upgrade", f"upgrade: {target.host}: {why}", status=101) from None
        self._done()
        return made

    async def _secure(self, sniffer: AnswerSniffer, target: _Target) -> None:
        """Give the connected socket to a transport, through TLS where the URL wants it."""
        extra: dict[str, Any] = {}
        if target.secure:
            self._begin("tls")
            extra = {"ssl": self._tls or default_tls(), "server_hostname": target.host}
        sock, self._sock = self._sock, None  # the transport's from here on
        try:
            self._transport, _ = await aiofastnet.create_connection(self._loop, lambda: sniffer, sock=sock, **extra)
        except ssl.SSLCertVerificationError as error:
            raise DialError("tls", f"tls: {target.host}: certificate refused: {error.verify_message}") from None
        except (ssl.SSLError, OSError) as error:
            why = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
            hint = " (no TLS is spoken there; is the port right?)" if why == "WRONG_VERSION_NUMBER" else ""
            raise DialError(self.phase, f"{self.phase}: {target.host}: {why}{hint}", retryable=True) from None
        if target.secure:
            self._done()

    def _refused(self, host: str, answer: Answer) -> DialError:
        """The peer answered, but not with 101."""
        status = answer.status
        if status is None:
            # a TLS alert (RFC 8446, 6) begins with 0x15: the port speaks TLS
            hint = "TLS: the URL must be wss://" if answer.body[:2] == b"\x15\x03" else "not HTTP/1.1"
            return DialError("upgrade", f"upgrade: {host}: the answer is {hint}")
        secrets = [value for _, value in self._request.headers]
        body = _redacted(answer.body.decode(errors="replace"), secrets)[:200]
        said = f": {' '.join(body.split())}" if body.strip() else ""
        if 300 <= status < 400:
            cause = f"upgrade: {host} redirects ({status}); not followed, the key would go to another host"
        else:
            cause = f"upgrade: {host} answered {status} instead of 101{said}"
        again = status in (408, 425, 429, 500, 502, 503, 504)
        return DialError("upgrade", cause, status=status, body=body, retryable=again)


class _ByPosition:
    """The loop for python-socks, which passes by keyword what a loop of aiofastnet takes by position only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await self._loop.sock_connect(sock, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class _NotOffered(Exception):
    """The peer chose a subprotocol or an extension that we did not offer (RFC 6455, 4.1)."""


def _accept(made: Socket, offered: Sequence[str], request: Any, response: Any) -> Socket:
    """The listener of a connection that was answered with 101; raises when the answer took liberties."""
    if response.headers.get("Sec-WebSocket-Extensions"):
        raise _NotOffered("the peer chose an extension, none was offered")
    chosen = response.headers.get("Sec-WebSocket-Protocol")
    if chosen is not None and chosen not in offered:
        raise _NotOffered(f"the peer chose subprotocol {chosen[:40]!r}, offered was {', '.join(offered) or 'none'}")
    return made


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _target(request: ConnectRequest) -> _Target:
    """Where ``request`` leads. Raises DialError for what no peer could answer, without showing a value."""
    try:
        parts = urlsplit(request.url)
        port = parts.port
    except ValueError as error:
        raise DialError("url", f"url: {_redacted(str(error), [])[:100]}") from None
    host = parts.hostname
    if parts.scheme not in ("ws", "wss") or not host:
        raise DialError("url", f"url: {parts.scheme}://{host}: wanted ws:// or wss:// and a host")
    if parts.username is not None or parts.password is not None:
        raise DialError("url", f"url: credentials in the URL of {host}; keys go into settings")
    if not request.url.isascii() or " " in request.url or _UNPRINTABLE.search(request.url):
        raise DialError("url", f"url: a blank, a control character or no ASCII in the URL of {host}")
    headers = []
    authority = parts.netloc
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            raise DialError("url", f"url: header name {name[:40]!r} has a character that no header name may have")
        if not value.isascii() or _UNPRINTABLE.search(value):
            raise DialError("url", f"url: the value of header {name} has a line break, a control character or no ASCII")
        if name.lower() == "host":
            authority = value
        else:
            headers.append((name, value))
    if request.subprotocols:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(request.subprotocols)))
    secure = parts.scheme == "wss"
    return _Target(host, port or (443 if secure else 80), secure, _path(parts), authority, tuple(headers))


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _parts_of(url: str) -> list[str]:
    """What is secret in a proxy's URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    return [unquote(part) for part in (parts.password, parts.username) if part]


def _redacted(text: str, secrets: Sequence[str]) -> str:
    """``text`` without what looks like a key, and without ``secrets``, whole or word by word."""
    words = {word for secret in secrets for word in (secret, *secret.split()) if len(word) >= 8}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return _KEYS.sub("***", text)

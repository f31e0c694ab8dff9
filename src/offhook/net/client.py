"""
Dialling a WebSocket, phase by phase, each with its own name in the error: dns, tcp, proxy, tls, upgrade.

Redirects are never followed (the Authorization header would go to the new host), a connection that the peer
drops before its answer is a failure and not a silence, and no error carries a header's value. Knows no wire.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiofastnet
from picows import WSError, WSHandshakeError
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from offhook.net.picows_seam import client_protocol
from offhook.net.sockets import Limits, Listener, Socket
from offhook.wires._wire import ConnectRequest

__all__ = ["PROVIDER_LIMITS", "DialError", "choose_proxy", "dial"]

# A provider's largest message is a delta of a few hundred ms or a session echo; OpenAI takes 15 MiB itself.
# 60 s without a byte, pongs included, is a dead path: OpenAI itself pings every 20 s.
PROVIDER_LIMITS = Limits(max_message_bytes=16 * 1024 * 1024, dead_after_s=60.0)

_SECRETS = re.compile(r"\b(?:sk|xai|ek)-[\w-]{4,}|Bearer\s+\S+", re.IGNORECASE)


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
        self._transport: asyncio.Transport | None = None

    async def run(self) -> Socket:
        host, port, secure, path, authority = _split(self._request.url)
        self._begin("dns")
        if self._proxy is not None and self._connect_to is None:
            await self._through_proxy(host, port)
        else:
            await self._connect(*(self._connect_to or (host, port)))
        return await self._upgrade(host, secure, path, authority)

    def abandon(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        elif self._sock is not None:
            self._sock.close()

    def _begin(self, phase: str) -> None:
        self.phase = phase
        self._began = self._loop.time()

    def _done(self) -> None:
        if self._on_phase is not None:
            self._on_phase(self.phase, (self._loop.time() - self._began) * 1000)

    async def _connect(self, host: str, port: int) -> None:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise DialError("dns", f"dns: {host}: {error.strerror}", retryable=True) from None
        self._done()
        self._begin("tcp")
        last: OSError | None = None
        for family, kind, protocol, _, address in found[:4]:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            self._sock = sock
            try:
                await self._loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                last = error
                continue
            self._done()
            return
        why = last.strerror if last is not None and last.strerror else "no address answered"
        raise DialError("tcp", f"tcp: {host}:{port}: {why}", retryable=True)

    async def _through_proxy(self, host: str, port: int) -> None:
        self._begin("proxy")
        assert self._proxy is not None
        try:
            self._sock = await Proxy.from_url(self._proxy).connect(dest_host=host, dest_port=port)
        except (ProxyError, OSError, ValueError) as error:
            why = _SECRETS.sub("***", str(error))[:200]
            raise DialError("proxy", f"proxy: {why or type(error).__name__}", retryable=True) from None
        self._done()

    async def _upgrade(self, host: str, secure: bool, path: str, authority: str) -> Socket:
        made = Socket(self._listener, self._limits)
        headers = self._request.headers
        if self._request.subprotocols:
            headers = (*headers, ("Sec-WebSocket-Protocol", ", ".join(self._request.subprotocols)))
        protocol = client_protocol(
            lambda: made,
            host_port=authority,
            path=path,
            headers=headers,
            max_frame_bytes=self._limits.max_message_bytes,
        )
        if secure:
            self._begin("tls")
        context: ssl.SSLContext | None = (self._tls or ssl.create_default_context()) if secure else None
        extra: dict[str, Any] = {"server_hostname": host} if secure else {}
        try:
            self._transport, _ = await aiofastnet.create_connection(
                self._loop, lambda: protocol, sock=self._sock, ssl=context, **extra
            )
        except ssl.SSLCertVerificationError as error:
            raise DialError("tls", f"tls: {host}: certificate refused: {error.verify_message}") from None
        except (ssl.SSLError, OSError) as error:
            why = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise DialError(self.phase, f"{self.phase}: {host}: {why}", retryable=True) from None
        if secure:
            self._done()
        self._begin("upgrade")
        try:
            await protocol.wait_until_handshake_complete()
        except WSHandshakeError as error:
            raise _refused(host, error) from None
        except (WSError, OSError) as error:
            raise DialError("upgrade", f"upgrade: {host}: {type(error).__name__}", retryable=True) from None
        if protocol.listener is None:
            # the peer closed TCP before it answered: typically ws:// to a TLS port
            raise DialError(
                "upgrade",
                f"upgrade: {host}: the peer closed the connection without an answer"
                + ("" if secure else " (is it a TLS port? then the URL must be wss://)"),
                retryable=True,
            )
        self._done()
        return made


def _refused(host: str, error: WSHandshakeError) -> DialError:
    response = error.response
    body = _SECRETS.sub("***", (error.raw_body or b"")[:200].decode(errors="replace"))
    if response is None:
        return DialError("upgrade", f"upgrade: {host}: {error}", body=body)
    status = int(response.status)
    said = f": {' '.join(body.split())}" if body.strip() else ""
    if 300 <= status < 400:
        cause = f"upgrade: {host} redirects ({status}); not followed, the key would go to another host"
    else:
        cause = f"upgrade: {host} answered {status} instead of 101{said}"
    return DialError("upgrade", cause, status=status, body=body, retryable=status in (429, 500, 502, 503, 504))


def _split(url: str) -> tuple[str, int, bool, str, str]:
    """Host, port, secure, path with query, and the Host header of a WebSocket URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise DialError("url", f"url: {parts.scheme}://{parts.hostname}: wanted ws:// or wss:// and a host")
    if parts.username is not None or parts.password is not None:
        raise DialError("url", f"url: credentials in the URL of {parts.hostname}; keys go into settings")
    secure = parts.scheme == "wss"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, parts.port or (443 if secure else 80), secure, path, parts.netloc


def choose_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """
    The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for ``url``, or None.

    ``environment`` is given, never read here. Loopback addresses are always dialled directly.
    """
    host = urlsplit(url).hostname or ""
    names = ("HTTPS_PROXY", "https_proxy") if url.startswith("wss:") else ("HTTP_PROXY", "http_proxy")
    proxy = next((environment[name] for name in names if environment.get(name)), None)
    if proxy is None or host == "localhost":
        return None
    try:
        if ipaddress.ip_address(host).is_loopback:
            return None
    except ValueError:
        pass  # a name, not an address
    exempt = environment.get("NO_PROXY", environment.get("no_proxy", ""))
    for entry in (part.strip().lstrip(".") for part in exempt.split(",")):
        if entry == "*" or (entry and (host == entry or host.endswith("." + entry))):
            return None
    return proxy

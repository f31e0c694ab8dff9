"""
HTTP for checks: one request, its phases timed, and every failure as a sentence with its phase. Knows no check.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2
from msgspec import Struct

from offhook.net.client import default_tls

__all__ = ["Answered", "Unreached", "ask", "lag_s", "phases"]

TIMEOUT_S = 15.0  # what Twilio gives a webhook


class Answered(Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    ms: float

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    def excerpt(self) -> str:
        """The beginning of the body in one line."""
        return " ".join(self.body[:400].decode("utf-8", "replace").split())[:160]


class Unreached(Exception):
    """No HTTP answer; ``phase`` is where it ended: url, dns, tcp, tls or http."""

    def __init__(self, phase: str, why: str) -> None:
        super().__init__(phase, why)
        self.phase, self.why = phase, why

    def __str__(self) -> str:
        return f"{self.phase}: {self.why}"


async def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    auth: tuple[str, str] | None = None,
    proxy: str | None = None,
) -> Answered:
    """One request, redirects not followed. Raises Unreached."""
    began = time.perf_counter()
    try:
        async with httpx2.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=default_tls(), proxy=proxy
        ) as client:
            answer = await client.request(method, url, headers=dict(headers or {}), content=content, auth=auth)
    except httpx2.TimeoutException:
        raise Unreached("http", f"no answer within {TIMEOUT_S:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unreached("http", f"{type(error).__name__}: {error}"[:200]) from None
    ms = (time.perf_counter() - began) * 1000
    found = {name.lower(): value for name, value in answer.headers.items()}
    return Answered(answer.status_code, found, answer.content, ms)


async def phases(url: str) -> list[tuple[str, float, str]]:
    """
    DNS, TCP and TLS to a URL's host, each with milliseconds and what was seen. Raises Unreached.

    TLS is proven with the machine's CA store alone, as a carrier does: a browser's cached intermediates do not help.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    done: list[tuple[str, float, str]] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), TIMEOUT_S)
    except (OSError, TimeoutError) as error:
        raise Unreached("dns", f"{host} has no address: {error}") from None
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    done.append(("dns", (time.perf_counter() - began) * 1000, ", ".join(addresses[:4])))
    done += [await _tcp(address, port) for address in addresses]
    if parts.scheme in ("https", "wss"):
        done.append(await _tls(host, port))
    return done


async def _tcp(address: str, port: int) -> tuple[str, float, str]:
    began = time.perf_counter()
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5.0)
    except TimeoutError:
        raise Unreached("tcp", f"{address}:{port} does not answer within 5 s") from None
    except OSError as error:
        raise Unreached("tcp", f"{address}:{port}: {error.strerror or error}") from None
    await _closed(writer)
    family = "IPv6" if ":" in address else "IPv4"
    return "tcp", (time.perf_counter() - began) * 1000, f"{family} {address}:{port}"


async def _tls(host: str, port: int) -> tuple[str, float, str]:
    began = time.perf_counter()
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host, port, ssl=default_tls(), server_hostname=host), 10.0
        )
    except TimeoutError:
        raise Unreached("tls", "no handshake within 10 s") from None
    except ssl.SSLCertVerificationError as error:
        raise Unreached("tls", _certificate(error)) from None
    except ssl.SSLError as error:
        raise Unreached("tls", f"{error.reason or error}: is this port spoken to in TLS?") from None
    except OSError as error:
        raise Unreached("tls", str(error)) from None
    said = writer.get_extra_info("ssl_object").version()
    until = writer.get_extra_info("peercert").get("notAfter", "")
    await _closed(writer)
    return "tls", (time.perf_counter() - began) * 1000, f"{said}, certificate until {until}"


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Leave politely; how the other side takes it is not what was asked."""
    writer.close()
    with contextlib.suppress(OSError):
        await asyncio.wait_for(writer.wait_closed(), 1.0)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, in the words of whoever has to mend it."""
    said = error.verify_message
    if error.verify_code in (20, 21):  # no issuer found; unable to verify the first certificate
        return f"{said}: self-made, or the server does not send its intermediate (install the full chain)"
    return said


def lag_s(date: str | None, now: float) -> float | None:
    """How far our clock is ahead of a Date header, in seconds; None where there is none."""
    from email.utils import parsedate_to_datetime

    if not date:
        return None
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None

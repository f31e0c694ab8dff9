"""``offhook tap``: a recording proxy in front of any media-stream server and behind any provider client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from offhook.evidence.journal import JournalDir
from offhook.evidence.redact import Sieve
from offhook.net.client import choose_proxy
from offhook.tap.calls import Call, CallBook
from offhook.tap.conversation import Conversation
from offhook.tap.dialects import PROVIDERS
from offhook.tap.legs import CarrierSide, Place, ProviderSide
from offhook.tap.pipe import Looker, Tapped, Upstream

__all__ = ["TapError", "Wanted", "parse", "rewriter", "run"]

_STREAM_URL = re.compile(rb"""(<Stream\b[^>]*?\burl\s*=\s*["'])wss?://[^/"'?]+""")


class TapError(Exception):
    """What was asked for cannot be tapped."""


class Wanted(Struct, frozen=True):
    """One ``LISTEN=URL``."""

    leg: str
    listen_host: str
    listen_port: int
    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme in ("https", "wss")

    @property
    def authority(self) -> str:
        named = f"[{self.host}]" if ":" in self.host else self.host
        return named if self.port == (443 if self.secure else 80) else f"{named}:{self.port}"


def parse(leg: str, text: str) -> Wanted:
    """``9000=http://127.0.0.1:8080``, with an address to listen on as ``0.0.0.0:9000=…``. Raises TapError."""
    listen, equals, url = text.partition("=")
    host, colon, port = listen.rpartition(":")
    wanted = f"--{leg} {text!r}: wanted LISTEN=URL, as in 9000=" + (
        "http://127.0.0.1:8080" if leg == "carrier" else "wss://api.openai.com"
    )
    if not equals or not port.isdigit() or int(port) > 65535:
        raise TapError(wanted)
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        raise TapError(wanted) from None
    schemes = ("http", "https", "ws", "wss")
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None:
        raise TapError(f"{wanted}; the URL has scheme {', '.join(schemes)} and a host, no credentials")
    if parts.path.strip("/") or parts.query:
        raise TapError(f"--{leg} {text!r}: the URL has a path; it comes from whoever connects, so leave it out")
    secure = parts.scheme in ("https", "wss")
    return Wanted(leg, host.strip("[]") or "127.0.0.1", int(port), parts.scheme, parts.hostname,
                  given or (443 if secure else 80))  # fmt: skip


def rewriter(public: str) -> Callable[[bytes, bytes], bytes | None]:
    """Lets the stream of a TwiML document come through ``public``; None for whatever is no such document."""
    new = _stream_origin(public)

    def change(content_type: bytes, body: bytes) -> bytes | None:
        if b"xml" not in content_type:
            return None
        changed, n = _STREAM_URL.subn(lambda found: found[1] + new.encode(), body)
        return changed if n else None

    return change


def _stream_origin(public: str) -> str:
    origin = urlsplit(public)
    return ("wss" if origin.scheme == "https" else "ws") + "://" + origin.netloc


def run(
    carrier: list[str],
    provider: list[str],
    *,
    record: Path,
    public: str,
    rewrite: bool,
    wire: str,
    tls: tuple[str, str] | None,
    once: bool,
    as_json: bool,
) -> int:
    """Tap until Ctrl-C, or until one call is over. 0 when a call was recorded, 3 when none came."""
    wanted = [*(parse("carrier", text) for text in carrier), *(parse("provider", text) for text in provider)]
    if not wanted:
        raise TapError("nothing to tap: wanted --carrier LISTEN=URL, --provider LISTEN=URL, or both")
    if wire not in PROVIDERS:
        raise TapError(f"--wire {wire!r}: wanted one of {', '.join(PROVIDERS)}")
    if rewrite and not public:
        raise TapError("--rewrite-stream-url needs --public ORIGIN: where the carrier reaches this tap")
    if public and (urlsplit(public).scheme not in ("http", "https") or not urlsplit(public).hostname):
        raise TapError(f"--public {public!r}: wanted an origin, as in https://voice.example.com")
    tapping = _Tapping(wanted, record, public.rstrip("/"), rewrite, wire, _context(tls), once, as_json)
    with contextlib.suppress(KeyboardInterrupt):
        _run(tapping.run())
    return 0 if tapping.book.finished else 3


def _run(main: Any) -> None:
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(main)
    else:
        uvloop.run(main)


def _context(tls: tuple[str, str] | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(*tls)
    except (OSError, ssl.SSLError) as error:
        raise TapError(f"--tls {','.join(tls)}: {error.strerror or error}") from None
    return context


class _Tapping:
    """One run of the tap."""

    def __init__(
        self, wanted: list[Wanted], record: Path, public: str, rewrite: bool, wire: str,
        tls: ssl.SSLContext | None, once: bool, as_json: bool,
    ) -> None:  # fmt: skip
        self._wanted, self._record, self._public = wanted, record, public
        self._rewrite, self._wire, self._tls = rewrite, wire, tls
        self._once, self._json = once, as_json
        self._began = time.monotonic()
        self._over = asyncio.Event()
        self._token = os.environ.get("TWILIO_AUTH_TOKEN", "")
        secrets = [value for name, value in os.environ.items() if name.endswith(("_KEY", "_TOKEN", "_SECRET"))]
        self._sieve = Sieve(*secrets)
        self._defects: set[str] = set()
        legs = {one.leg for one in wanted}
        sees = (*(("webhook", "carrier") if "carrier" in legs else ()), *(("provider",) if "provider" in legs else ()))
        self._journals = JournalDir(
            record, on_failure=self._disk, on_recovery=self._disk, clean=self._sieve.clean_bytes
        )
        self.book = CallBook(self._journals, time.monotonic, self._later, sees)
        self.book.on_end = self._ended

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(name, self._over.set)
        tapped: list[Tapped] = []
        self._journals.start()
        try:
            for one in self._wanted:
                tapped.append(self._tapped(one))
                try:
                    await tapped[-1].start()
                except OSError as error:
                    where = f"{one.listen_host}:{one.listen_port}"
                    raise TapError(f"--{one.leg}: cannot listen on {where}: {error.strerror or error}") from None
            self._listening(tapped)
            await self._over.wait()
        finally:
            for each in tapped:
                await each.stop()
            self.book.end_all()
            self._journals.stop()

    def _tapped(self, one: Wanted) -> Tapped:
        proxy = choose_proxy(f"{one.scheme}://{one.authority}", os.environ)
        upstream = Upstream(
            one.host, one.port, secure=one.secure, proxy=proxy,
            lines={b"host": one.authority.encode()} if one.leg == "provider" else {},
            body=rewriter(self._public) if self._rewrite and one.leg == "carrier" else None,
        )  # fmt: skip
        place = Place(
            one.scheme, one.host, one.port, public=self._public, auth_token=self._token, provider=self._wire,
            rewritten=self._rewrite, via_proxy=proxy is not None, say=self._say,
        )  # fmt: skip

        def look(client: str) -> Looker:
            side = CarrierSide(self.book, place) if one.leg == "carrier" else ProviderSide(self.book, place)
            return Conversation(side)

        return Tapped(upstream, look, self._defect, host=one.listen_host, port=one.listen_port, tls=self._tls)

    # ---------------------------------------------------------------------------------------- what is told

    def _listening(self, tapped: list[Tapped]) -> None:
        lines = []
        told = []
        for one, each in zip(self._wanted, tapped, strict=True):
            mine = f"{one.listen_host}:{each.port}"
            scheme = {"carrier": "http", "provider": "ws"}[one.leg] + ("s" if self._tls else "")
            to = f"{one.scheme}://{one.authority}"
            told.append({"leg": one.leg, "listen": mine, "port": each.port, "to": to})
            if one.leg == "carrier":
                lines += [f"tap: carrier leg   {scheme}://{mine} -> {to}, Host and everything else as it came",
                          "     point the tunnel, or the carrier, at the first address"]  # fmt: skip
            else:
                lines += [f"tap: provider leg  {scheme}://{mine} -> {to}, Host {one.authority}, else as it came",
                          f"     set the client's base URL to {scheme}://{mine} and the path it had"]  # fmt: skip
        if self._rewrite:
            lines.append(f"     TwiML is changed: its <Stream> goes to {_stream_origin(self._public)}")
        elif any(one.leg == "carrier" for one in self._wanted):
            lines.append("     TwiML is not changed: if its <Stream> names the server itself, --rewrite-stream-url")
        lines.append(f"records in {self._record}. Ctrl-C ends it.")
        self._tell("listening", "\n".join(lines), taps=told, record=str(self._record))

    def _ended(self, call: Call) -> None:
        path = call.journal.path
        self._say("call", f"{call.name}: over, {call.why or 'the tap stopped'}; offhook explain {path}",
                  call=call.name, record=str(path), why=call.why)  # fmt: skip
        if self._once:
            self._over.set()

    def _defect(self, error: BaseException) -> None:
        """Our own fault while looking: said once, the bytes go on."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {last.name}:{last.lineno}"
        if where not in self._defects:
            self._defects.add(where)
            self._say("defect", f"defect of the tap's reader: {where}; the call goes on, its record may lack something",
                      where=where)  # fmt: skip

    def _disk(self, text: str) -> None:
        self._say("records", f"records: {text}", why=text)

    def _say(self, event: str, text: str, **data: Any) -> None:
        self._tell(event, f"{time.monotonic() - self._began:7.2f}s {text}", **data)

    def _tell(self, event: str, text: str, **data: Any) -> None:
        out = json.dumps({"event": event, **data}) if self._json else text
        sys.stdout.write(self._sieve.clean(out) + "\n")
        sys.stdout.flush()

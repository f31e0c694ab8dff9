"""
The webhook leg of a simulated call: signed requests, redirects followed as the carrier follows them, the fallback
URL, and what its answers say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from offhook.sims.carrier import TwimlError, Verb, parse_twiml
from offhook.sims.observer import Observer
from offhook.sims.virtual import World
from offhook.sims.virtual_http import Reply, Request, Route, Server, url_parts
from offhook.wires.carriers.twilio import SETTINGS_HEADER, SIGNATURE_HEADER, sign

__all__ = ["Webhook"]

WEBHOOK_S = 15.0  # in all, redirects included
_CODES = {"dns": "11210", "tcp": "11205", "tls": "11237", "timeout": "11205"}


class Caller(Protocol):
    """Whose webhook it is: the line."""

    call_sid: str
    form: dict[str, str]
    observer: Observer | None

    def note(self, kind: str, **data: Any) -> None: ...
    def alert(self, code: str, text: str) -> None: ...
    def finish(self, status: str) -> None: ...


class Webhook:
    """Asks a server for documents, on behalf of one call."""

    def __init__(
        self,
        line: Caller,
        world: World,
        server: Server,
        route: Route,
        *,
        token: str = "",
        shared_key: tuple[str, str] | None = None,
        json_body: bool = False,
        signed_url: str | None = None,
        fallback_url: str = "",
    ) -> None:
        self._line, self._world, self._server, self._route = line, world, server, route
        self._token, self._shared = token, shared_key
        self._json_body, self._signed_url, self._fallback = json_body, signed_url, fallback_url
        self._hooks = 0

    def _signed(self, method: str, url: str, form: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
        """URL, headers and body of one request."""
        headers = [("User-Agent", "TwilioProxy/1.1"), ("Host", urlsplit(url).netloc)]
        body = urlencode(form).encode()
        pairs = list(form.items())
        if self._json_body:
            body = json.dumps(dict(form)).encode()
            url += ("&" if "?" in url else "?") + "bodySHA256=" + hashlib.sha256(body).hexdigest()
            headers.append(("Content-Type", "application/json"))
            pairs = []
        elif method == "GET":
            url, body, pairs = url + ("&" if "?" in url else "?") + urlencode(form), b"", []
        else:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        signed = self._signed_url or url
        if self._shared is not None:
            headers.append((SETTINGS_HEADER.value, f"algorithm=HMAC_SHA256,key={self._shared[0]}"))
            headers.append((SIGNATURE_HEADER.value, sign(self._shared[1], signed, pairs, "sha256")))
        elif self._token:
            headers.append((SIGNATURE_HEADER.value, sign(self._token, signed, pairs)))
        return url, tuple(headers), body

    def ask(
        self, url: str, method: str, form: Mapping[str, str], done: Callable[[list[Verb]], None], hops: int = 0
    ) -> None:
        """One webhook; what its document says is done, or the failure is logged."""
        self._hooks += 1
        full, headers, body = self._signed(method, url, form)
        request = Request(method, full, headers, body, self._line.call_sid)
        sent = self._world.now()
        note: dict[str, Any] = {"n": self._hooks, "method": method, "call_sid": self._line.call_sid, **url_parts(full)}
        got = self._route.webhook(request)
        state = {"answered": False}

        def answered(reply: Reply) -> None:
            if not state["answered"]:
                state["answered"] = True
                self._answered(reply, request, note, sent, done, hops)

        def late() -> None:
            if not state["answered"]:
                state["answered"] = True
                self._failed("timeout", "no answer within 15 s", note, sent, done)

        if isinstance(got, str):
            wait = {"timeout": WEBHOOK_S}.get(got, 0.05)
            self._world.after(wait, lambda: self._failed(got, f"{got} failed", note, sent, done))
        elif isinstance(got, Reply):
            self._world.after(0.03, lambda: answered(got))
        else:
            self._world.after(0.02, lambda: self._server.process.enter(lambda: self._server.http(got, answered)))
            self._world.after(WEBHOOK_S, late)

    def tell(self, url: str, form: Mapping[str, str]) -> None:
        """A callback: nobody looks at its answer."""
        full, headers, body = self._signed("POST", url, form)
        request = Request("POST", full, headers, body, self._line.call_sid)
        self._world.after(0.05, self._server.process.enter, lambda: self._server.http(request, lambda reply: None))

    def _answered(
        self, reply: Reply, request: Request, note: dict[str, Any], sent: float,
        done: Callable[[list[Verb]], None], hops: int,
    ) -> None:  # fmt: skip
        ms = round((self._world.now() - sent) * 1000, 1)
        note |= {"status": reply.status, "ms": ms, "content_type": reply.content_type, "bytes": len(reply.body)}
        if reply.status in (301, 302, 303, 307, 308) and reply.location and hops < 5:
            self._line.note("webhook", **note, redirected=[reply.location])
            method = request.method if reply.status in (307, 308) else "GET"
            self.ask(reply.location, method, self._line.form, done, hops + 1)
            return
        if reply.status != 200:
            self._line.note("webhook", **note, why=f"HTTP {reply.status}")
            self._line.alert("11200", f"HTTP {reply.status}")
            self._try_fallback(done)
            return
        self._line.note("webhook", **note)
        verbs: list[Verb] = []
        try:
            verbs = parse_twiml(reply.body, reply.content_type, request.url)
        except TwimlError as error:
            self._twiml_note(reply.body, error)
            self._line.alert(error.code, error.why)
            self._line.finish("completed")
            return
        self._twiml_note(reply.body, None)
        done(verbs)

    def _twiml_note(self, body: bytes, error: TwimlError | None) -> None:
        if self._line.observer is not None:
            code, why = (error.code, error.why) if error is not None else (None, "")
            self._line.observer.document(body, code, why, self._world.now())

    def _failed(
        self, phase: str, why: str, note: dict[str, Any], sent: float, done: Callable[[list[Verb]], None]
    ) -> None:
        ms = round((self._world.now() - sent) * 1000, 1)
        self._line.note("webhook", **note, status=0, ms=ms, why=phase)
        self._line.alert(_CODES[phase], why)
        self._try_fallback(done)

    def _try_fallback(self, done: Callable[[list[Verb]], None]) -> None:
        if self._fallback:
            url, self._fallback = self._fallback, ""
            self.ask(url, "POST", self._line.form, done)
        else:
            self._line.finish("failed")

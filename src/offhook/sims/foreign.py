"""
A naive voice bridge, written to be broken: what others' bridges do wrong and ours cannot, one knob per mistake.

With no knob turned it is a plain, healthy bridge. It shares nothing with ours but the dated facts of the wires; what it
does is written down from outside by an Observer. Runs in the virtual world only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import quoteattr

from offhook.sims.foreign_call import ForeignCall
from offhook.sims.foreign_knobs import Knobs
from offhook.sims.observer import Observer
from offhook.sims.virtual import Ear, End, Process, World
from offhook.sims.virtual_http import Reply, Request
from offhook.sims.virtual_provider import Net
from offhook.wires.carriers import twilio

__all__ = ["Foreign"]


class Foreign:
    """One process of the naive bridge; several with ``workers``. ``observer_of`` gives each call its record."""

    def __init__(self, world: World, net: Net, knobs: Knobs, observer: Observer | None = None) -> None:
        self.world = world
        self.net = net
        self.knobs = knobs
        self.process = Process(world)
        self.calls: list[ForeignCall] = []
        self.shared_sid: str | None = None
        self.shared_call: ForeignCall | None = None
        self.observers: dict[str, Observer] = {}
        self._observer = observer
        self._hooked: dict[str, int] = {}  # webhooks by call

    def observer(self, call_sid: str = "") -> Observer | None:
        return self.observers.get(call_sid, self._observer)

    def active(self) -> int:
        return sum(1 for call in self.calls if not call.over)

    # -------------------------------------------------------------------------------------- the webhook

    def http(self, request: Request, reply: Callable[[Reply], None]) -> None:
        k = self.knobs
        path = urlsplit(request.url).path
        json_body = request.body[:1] == b"{"
        form = (
            json.loads(request.body)
            if json_body
            else dict(parse_qsl(request.body.decode() or urlsplit(request.url).query))
        )
        if path != k.hook_path or request.method not in k.methods:
            status = 404 if path != k.hook_path else 405
            self._note(form.get("CallSid", ""), "webhook.missed", method=request.method, path=path, status=status)
            reply(Reply(status, b"Not Found", "text/plain"))
            return
        call_sid = form.get("CallSid", "")
        refused = self._signature(request, form)
        if refused:
            self._note(call_sid, "webhook.refused", **refused)
            reply(Reply(403, b"bad signature", "text/plain"))
            return
        again = call_sid in self._hooked
        self._hooked[call_sid] = self._hooked.get(call_sid, 0) + 1
        if k.other_worker:
            self._note(call_sid, "worker", what="webhook", id=1)
        if k.dials_at == "webhook":
            self.calls.append(ForeignCall(self, call_sid))
            self.calls[-1].session.dial()
        body = self._document().encode()
        took = k.hook_s_again if again and k.hook_s_again is not None else k.hook_s
        self.process.after(took, lambda: reply(Reply(k.hook_status, body, k.content_type)))

    def _signature(self, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
        """What is wrong with a request's signature, as this bridge checks it; {} where nothing is."""
        k = self.knobs
        if not k.checks_signature:
            return {}
        headers = {name.lower(): value for name, value in request.headers}
        given = headers.get(twilio.SIGNATURE_HEADER.value.lower(), "")
        host = headers.get("host", "")
        url = (
            "http://" + host + request.path_qs if k.checks_signature == "http" else "https://" + host + request.path_qs
        )
        pairs = list(form.items()) if request.method == "POST" else []
        if k.checks_signature == "form-only" and request.body[:1] == b"{":
            pairs = list(json.loads(request.body).items())
        if given == twilio.sign(k.auth_token, url, pairs):
            return {}
        return {"signature": {"present": bool(given), "ok": False, **self._oracle(request, form, given, host)}}

    def _oracle(self, request: Request, form: Mapping[str, str], given: str, host: str) -> dict[str, Any]:
        """Which dimension was taken wrongly: the one variant that matches."""
        k = self.knobs
        settings = dict(request.headers).get(twilio.SETTINGS_HEADER.value)
        if settings and "HMAC_SHA256" in settings:
            return {"alg": "HMAC_SHA256", "variant": "algorithm"}
        for name, url, pairs in (
            ("scheme", "https://" + host + request.path_qs, list(form.items())),
            ("scheme", "wss://" + host + request.path_qs, []),
            ("host", "https://" + urlsplit(k.stream_url).netloc + request.path_qs, list(form.items())),
            ("body", "https://" + host + request.path_qs, []),
        ):
            if given == twilio.sign(k.auth_token, url, pairs):
                return {"alg": "HMAC_SHA1", "variant": name}
        return {"alg": "HMAC_SHA1", "variant": "secret"}

    def _document(self) -> str:
        k = self.knobs
        url = k.stream_url + (f"?token={k.token}" if k.wants_token == "query" and k.token_in_document else "")
        if k.document is not None:
            return k.document(url)
        parameters = dict(k.parameters)
        if k.wants_token == "parameter" and k.token_in_document:
            parameters["token"] = k.token
        inner = "".join(f"<Parameter name={quoteattr(n)} value={quoteattr(v)}/>" for n, v in parameters.items())
        return (
            f'<?xml version="1.0"?><Response><{k.verb}><Stream url={quoteattr(url)}>{inner}</Stream></{k.verb}>'
            f"{k.after_stream}</Response>"
        )

    # -------------------------------------------------------------------------------------- the upgrade

    def upgrade(self, request: Request, accept: Callable[[Ear], End], refuse: Callable[[int, str], None]) -> None:
        k = self.knobs
        parts = urlsplit(request.url)
        headers = {name.lower() for name, _ in request.headers}
        if not k.has_ws or "upgrade" not in headers:
            self._note(
                request.call, "upgrade.seen", path=parts.path, headers={"upgrade": "upgrade" in headers}, status=404
            )
            refuse(404, "")
            return
        if parts.path != k.media_path:
            self._note(
                request.call, "webhook.missed", method="GET", path=parts.path, status=k.unknown_status, upgrade=True
            )
            refuse(k.unknown_status, "")
            return
        if k.wants_token == "query" and "token" not in parts.query:
            self._note(request.call, "upgrade.refused", status=403, why="auth: token missing", query_keys=[])
            refuse(403, "")
            return
        if k.checks_signature == "https-upgrade" and self._upgrade_forged(request):
            refuse(403, "")
            return
        if self.active() >= k.max_calls:
            self._note(
                request.call, "upgrade.refused", status=503, why=f"limit: {k.max_calls} calls", active=self.active()
            )
            refuse(503, "")
            return
        call = next((one for one in self.calls if one.end is None and not one.over), None)
        if call is None:
            call = ForeignCall(self, "")
            self.calls.append(call)
        if k.accepts == "at once":
            call.accepted(accept)
        else:
            call.session.dial_first(accept, refuse)

    def _upgrade_forged(self, request: Request) -> bool:
        """Checks what the carrier signed as wss against https, as many do."""
        k = self.knobs
        given = {name.lower(): value for name, value in request.headers}.get(twilio.SIGNATURE_HEADER.value.lower(), "")
        https = "https" + request.url.partition("://")[0].replace("wss", "") + "://" + request.url.partition("://")[2]
        ok = given == twilio.sign(k.auth_token, https)
        if not ok:
            wss = given == twilio.sign(k.auth_token, request.url)
            variant = "scheme" if wss else "secret"
            signature = {"present": bool(given), "ok": False, "alg": "HMAC_SHA1", "variant": variant}
            self._note(request.call, "upgrade.refused", status=403, why="signature", signature=signature)
        return not ok

    def _note(self, call_sid: str, kind: str, **data: Any) -> None:
        observer = self.observer(call_sid)
        if observer is not None:
            observer.note(kind, self.world.now(), **data)

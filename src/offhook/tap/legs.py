"""
The two kinds of tapped connections, told to the record of their call: the carrier's (webhooks and streams on one
port) and the provider's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from offhook.evidence.reach import came_from_afar, same_place
from offhook.evidence.witness import CarrierWitness, describe
from offhook.sims.twiml import read_twiml
from offhook.tap.calls import Call, CallBook, Session
from offhook.tap.conversation import End
from offhook.tap.dialects import carrier_leg, provider_of, stream_of
from offhook.tap.frames import Passed
from offhook.tap.heads import Request, Response, can_be_changed, form_of, header, plain_body
from offhook.tap.pipe import Side
from offhook.vocab import Leg
from offhook.wires._wire import clean_text
from offhook.wires.carriers import twilio

__all__ = ["CarrierSide", "Place", "ProviderSide"]

_UNDECIDED = 4  # messages of a stream that may pass before it has named its call
_STATUS = ("StreamSid", "StreamEvent", "StreamError", "CallStatus")
_PROGRAM = {"carrier": "far", "provider": "near"}  # whose side of the tap the program under test is on


class Place(Struct, frozen=True):
    """Where one tap stands."""

    scheme: str  # of the upstream
    host: str
    port: int
    public: str = ""  # the origin that the carrier dials, as https://host
    auth_token: str = ""  # to check signatures with; empty: they are not checked
    provider: str = "auto"
    rewritten: bool = False  # the stream's URL in TwiML is changed on the way
    via_proxy: bool = False
    say: Callable[..., None] = lambda event, text, **data: None


class CarrierSide:
    """One connection of the carrier's: webhooks, or a media stream."""

    def __init__(self, book: CallBook, place: Place) -> None:
        self._book = book
        self._place = place
        self._call: Call | None = None
        self._witness: CarrierWitness | None = None
        self._early: list[tuple[Side, Passed, float]] = []
        self._upgrade: dict[str, Any] = {}
        self._opened = 0.0
        self._stream = False
        self._leg: Any = None

    # ------------------------------------------------------------------------------------ the webhook

    def exchanged(self, request: Request, response: Response, now: float) -> None:
        form = form_of(request)
        call_sid = form.get("CallSid", "")
        call = self._called(call_sid, form, request.at)
        if call is None:
            if request.upgrade:  # a stream that was refused; whose it was nobody said
                self._refused(request, response, now)
            return
        if "StreamEvent" in form:
            call.journal.note("carrier.status", now, **{name: form[name] for name in _STATUS if name in form})
            return
        call.webhooks += 1
        why = "" if response.status == 200 else clean_text(bytes(response.body[:200]).decode(errors="replace"))
        repeated = any(name.lower() == "i-twilio-idempotency-token" for name, _ in request.headers)
        call.journal.note(
            "webhook", request.at, n=call.webhooks, method=request.method, **self._where(request),
            status=response.status, ms=round((response.at - request.at) * 1000, 1),
            content_type=(header(response.headers, "Content-Type") or "")[:80], bytes=response.size,
            call_sid=call_sid, signature=self._signature(request), why=why,
            redirected=[_origin(header(response.headers, "Location"))] if 300 <= response.status < 400 else [],
            from_afar=came_from_afar(request.headers),
            retry=repeated and call.webhooks > 1,
        )  # fmt: skip
        self._document(call, request, response, now)

    def _called(self, call_sid: str, form: dict[str, str], now: float) -> Call | None:
        """The call that a form is about; what comes after its record was closed begins no new one."""
        if not call_sid:
            return None
        late = "StreamEvent" in form or form.get("CallStatus") in (
            "completed",
            "failed",
            "busy",
            "no-answer",
            "canceled",
        )
        if late and call_sid not in self._book.calls:
            return None
        from_, to = form.get("From", ""), form.get("To", "")
        facts = {
            "caller": twilio.mask_number(from_), "called": twilio.mask_number(to),
            "direction": form.get("Direction", "inbound"), "carrier": twilio.NAME,
        }  # fmt: skip
        return self._book.call(call_sid, now, facts, (from_, to, form.get("ForwardedFrom", "")))

    def _where(self, request: Request) -> dict[str, Any]:
        """The address as the carrier dialled it, as far as that is known here."""
        public = urlsplit(self._place.public or "http://" + (header(request.headers, "Host") or ""))
        forwarded = header(request.headers, "X-Forwarded-Proto")
        query = [name[:40] for name, _ in parse_qsl(request.query, keep_blank_values=True)]
        return {
            "scheme": public.scheme if self._place.public else forwarded or "http", "host": public.hostname or "",
            "port": _port(public), "path": clean_text(request.path)[:200], "query_keys": query,
        }  # fmt: skip

    def _signature(self, request: Request, *, upgrade: bool = False) -> dict[str, Any]:
        present = header(request.headers, twilio.SIGNATURE_HEADER.value) is not None
        alg = "sha256" if header(request.headers, twilio.SETTINGS_HEADER.value) else "sha1"
        told: dict[str, Any] = {"present": present, "ok": None, "alg": alg, "variant": None}
        if not (self._place.public and self._place.auth_token and present):
            return told
        settings = twilio.CarrierSettings(public_url=self._place.public, auth_token=self._place.auth_token)
        found = twilio.check_signature(
            settings, request.method, request.target, request.headers, bytes(request.body), upgrade=upgrade
        )
        return {**told, "ok": found.ok, "why": "" if found.ok else found.why}

    def _document(self, call: Call, request: Request, response: Response, now: float) -> None:
        kind = header(response.headers, "Content-Type") or ""
        document = plain_body(response)
        if response.status != 200 or "xml" not in kind or document is None:
            return
        where = self._where(request)
        port = f":{where['port']}" if where["port"] else ""
        base = f"{where['scheme']}://{where['host']}{port}{where['path']}"
        read = read_twiml(document, kind, base, plain_ws=where["scheme"] == "http")
        complaint = next((found for found in read.complaints if found.code is not None), None)
        verb = read.stream or next(iter(read.verbs), None)
        names = [found.name for found in read.verbs]
        following = read.verbs[names.index(verb.name) + 1 :] if verb is not None else ()
        url = urlsplit(verb.stream_url) if verb is not None else urlsplit("")
        rewritten = self._place.rewritten and can_be_changed(response)
        pause = following[0].attributes.get("length", "1") if following and following[0].name == "Pause" else None
        call.journal.note(
            "twiml", now, ok=read.refused is None, code=complaint.code if complaint else None,
            why=complaint.why if complaint else "", verb=verb.name if verb else "",
            stream={"scheme": url.scheme, "host": url.hostname or "", "port": _port(url), "path": url.path[:200],
                    "query_keys": [name for name, _ in parse_qsl(url.query)]},
            track=verb.stream_attributes.get("track") if verb else None,
            next_verb=following[0].name if following else None,
            next_pause_s=float(pause) if pause is not None and pause.isdigit() else None,
            parameters=list(verb.parameters) if verb else [], unknown=list(read.unknown),
            action=bool(verb.attributes.get("action")) if verb else False,
            rewritten=rewritten,
        )  # fmt: skip
        if (
            url.hostname
            and not rewritten
            and not same_place((where["host"], where["port"]), (url.hostname, _port(url)))
        ):
            origin = self._place.public or f"{where['scheme']}://{where['host']}{port}"
            self._place.say(
                "past", f"{call.name}: its stream goes to {url.scheme}://{url.netloc}, past this tap; "
                f"--rewrite-stream-url --public {origin} brings it here", call=call.name, stream=url.netloc,
            )  # fmt: skip

    def _refused(self, request: Request, response: Response, now: float) -> None:
        running = [call for call in self._book.running() if not call.had_stream]
        why = clean_text(bytes(response.body[:200]).decode(errors="replace"))
        said = self._upgraded(request, response.status, now, why)
        if len(running) == 1:  # the only call whose stream has not come
            running[0].journal.note("upgrade", request.at, **said)
        self._place.say("refused", f"stream refused with {response.status}: {why[:80]}", **said)

    def _upgraded(self, request: Request, status: int, now: float, why: str = "") -> dict[str, Any]:
        where = self._where(request)
        return {
            "path": where["path"], "query_keys": where["query_keys"], "host": where["host"], "status": status,
            "ms": round((now - request.at) * 1000, 1), "why": why, "signature": self._signature(request, upgrade=True),
            "headers": {name: (header(request.headers, name) or "")[:40] for name in ("upgrade", "connection")},
            "subprotocol": header(request.headers, "Sec-WebSocket-Protocol"),
            "compression": "permessage-deflate" in (header(request.headers, "Sec-WebSocket-Extensions") or ""),
        }  # fmt: skip

    # ------------------------------------------------------------------------------------- the stream

    def upgraded(self, request: Request, response: Response, now: float) -> None:
        self._stream = True
        self._opened = now
        self._upgrade = {"at": request.at, **self._upgraded(request, 101, now)}

    def message(self, side: Side, passed: Passed, now: float) -> None:
        if passed.kind not in ("text", "binary"):
            return
        if self._witness is None:
            self._early.append((side, passed, now))
            self._begin(side, passed, now)
            return
        self._write(side, passed, now)

    def _write(self, side: Side, passed: Passed, now: float) -> None:
        assert self._witness is not None and self._call is not None
        counted, data = self._call.counted, passed.data
        if side == "near":
            self._witness.said(data, now, binary=passed.kind == "binary")
            counted.from_carrier(data, now)
        else:
            judged = self._witness.heard(data, now, binary=passed.kind == "binary")
            counted.to_carrier(data, judged, now)

    def _begin(self, side: Side, passed: Passed, now: float, *, force: bool = False) -> None:
        """Open the record as soon as the stream has said whose it is, or that nobody here can tell."""
        stream = stream_of(passed.data) if side == "near" and passed.kind == "text" else None
        if stream is None and len(self._early) < _UNDECIDED and not force:
            return
        if stream is not None:
            call = self._book.call(stream.call_sid, now, {"carrier": twilio.NAME})
            call.stream_sid = stream.stream_sid
            call.journal.redactors[Leg.CARRIER] = twilio.redact
            self._leg = carrier_leg()
            self._witness = CarrierWitness(call.journal, self._leg, stream.peer, call.frames)
        else:
            call = self._book.call(self._book.new_name(), now, {"carrier": "unknown"})
            call.journal.redactors[Leg.CARRIER] = describe
            self._witness = CarrierWitness(call.journal, None, None)
            call.journal.note("dialect.unknown", now, leg="carrier")
        self._call = call
        call.counted.out.new_stream()
        call.streams += 1
        call.had_stream = True
        upgrade = dict(self._upgrade)
        call.journal.note("upgrade", upgrade.pop("at"), **upgrade)
        self._place.say(
            "stream", f"{call.name}: stream open", call=call.name, dialect="twilio" if stream else "unknown"
        )
        early, self._early = self._early, []
        for one, what, at in early:
            self._write(one, what, at)

    def unreadable(self, side: Side, why: str, now: float) -> None:
        _unreadable(self._call, "carrier", side, why, now)

    def unanswered(self, request: Request | None, phase: str, cause: str, now: float) -> None:
        self._place.say("unanswered", f"the server did not answer: {cause}", phase=phase, cause=cause)
        form = form_of(request) if request is not None else {}
        call = self._called(form.get("CallSid", ""), form, now)
        if call is not None and request is not None:
            call.webhooks += 1
            call.journal.note("webhook", request.at, n=call.webhooks, method=request.method, **self._where(request),
                              status=None, ms=round((now - request.at) * 1000, 1), call_sid=call.name,
                              signature=self._signature(request), why=cause)  # fmt: skip

    def ended(self, end: End, now: float) -> None:
        if self._stream and self._call is None:
            if not self._early:
                self._place.say("stream", "a stream was opened and said nothing")
                return
            self._begin(*self._early[-1], force=True)
        call = self._call
        if call is None:
            return
        _close(call, "carrier", end, self._opened, now)
        call.why = _why("carrier", end)
        if self._leg is not None:
            call.summary["carrier_wire"] = self._leg.counters()
        call.streams -= 1
        self._book.settle(call)


class ProviderSide:
    """One connection to the provider."""

    def __init__(self, book: CallBook, place: Place) -> None:
        self._book = book
        self._place = place
        self._session: Session | None = None
        self._opened = 0.0

    def _begin(self, request: Request, now: float) -> Session:
        dialect = provider_of(self._place.host, request.target, self._place.provider)
        sight = "\n".join([request.target, *(value for _, value in request.headers)]).encode()
        session = self._session = self._book.session(dialect, request.at, sight)
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        session.note(
            "dial.request", request.at, scheme=self._place.scheme, host=self._place.host, port=self._place.port,
            path=clean_text(request.path)[:200], query={"model": query["model"]} if "model" in query else {},
            query_keys=sorted(query), header_names=[name for name, _ in request.headers],
            via_proxy=self._place.via_proxy,
        )  # fmt: skip
        session.note("dial.begun", request.at, attempt=session.dialled())
        return session

    def upgraded(self, request: Request, response: Response, now: float) -> None:
        session = self._begin(request, now)
        session.note("dial.phase", now, phase="upgrade", ms=round((response.at - request.at) * 1000, 2))
        self._opened = now
        session.opened(now)
        name = session.call.name if session.call is not None else "call not known yet"
        label = session.dialect.label
        self._place.say("session", f"{name}: provider session open ({label})", call=name, provider=label)
        if not session.dialect.name:
            session.note("dialect.unknown", now, leg="provider")

    def exchanged(self, request: Request, response: Response, now: float) -> None:
        if not request.upgrade:
            return  # plain HTTP at a provider is no session
        session = self._begin(request, now)
        body = clean_text(bytes(response.body[:300]).decode(errors="replace"))
        session.note("dial.failed", now, phase="upgrade", cause=f"answered {response.status} instead of 101",
                     status=response.status, body=body, via_proxy=self._place.via_proxy)  # fmt: skip
        self._place.say("refused", f"the provider refused with {response.status}: {body[:80]}", status=response.status)
        session.close()

    def message(self, side: Side, passed: Passed, now: float) -> None:
        session = self._session
        if session is None or passed.kind not in ("text", "binary"):
            return
        if side == "far":
            session.said(passed.data, now, passed.kind == "binary")
        else:
            session.heard(passed.data, now, passed.kind == "binary")

    def unreadable(self, side: Side, why: str, now: float) -> None:
        if self._session is not None:
            self._session.note("unreadable", now, leg="provider", by=_who("provider", side), why=why)

    def unanswered(self, request: Request | None, phase: str, cause: str, now: float) -> None:
        self._place.say("unanswered", f"the provider did not answer: {cause}", phase=phase, cause=cause)
        if request is None or not request.upgrade:
            return
        session = self._begin(request, now)
        session.note("dial.failed", now, phase=phase, cause=cause, status=None, body="",
                     via_proxy=self._place.via_proxy)  # fmt: skip
        session.close()

    def ended(self, end: End, now: float) -> None:
        session = self._session
        if session is None or not self._opened:
            return
        if session.call is None:
            self._book.decide(session)
        if session.call is not None:
            _close(session.call, "provider", end, self._opened, now)
            session.call.why = session.call.why or _why("provider", end)
        session.close()


def _who(leg: str, side: str) -> str:
    """ "us" is the program under test, "them" its peer."""
    return "us" if side == _PROGRAM[leg] else "them" if side in ("near", "far") else "nobody"


def _close(call: Call, leg: str, end: End, opened: float, now: float) -> None:
    """``by`` without a close frame: the program, where it let go of TCP; of its peer nobody can tell whether it did."""
    tcp_by = _who(leg, end.tcp_by) if end.tcp_by else None
    clean = end.by != "nobody"
    by = _who(leg, end.by) if clean else "us" if tcp_by == "us" else "nobody"
    said = {"code": end.code if clean else None, "reason": clean_text(end.reason)[:80], "by": by}
    call.journal.note("close", now, leg=leg, **said, age_s=round(now - opened, 2), clean=clean,
                      reset=end.reset, tcp_by=tcp_by)  # fmt: skip
    call.journal.note(f"{leg}.closed", now, **said)


def _why(leg: str, end: End) -> str:
    whose = {"us": "the program", "them": f"the {leg}", "nobody": "nobody, TCP was dropped"}[_who(leg, end.by)]
    return f"{leg} leg closed by {whose} ({end.code if end.code is not None else 'no code'})"


def _unreadable(call: Call | None, leg: str, side: Side, why: str, now: float) -> None:
    if call is not None:
        call.journal.note("unreadable", now, leg=leg, by=_who(leg, side), why=why)


def _port(parts: Any) -> int | None:
    try:
        return int(parts.port) if parts.port else None
    except ValueError:
        return None


def _origin(location: str | None) -> str:
    parts = urlsplit(location or "")
    return (
        f"{parts.scheme}://{parts.netloc}{parts.path}"[:200]
        if parts.netloc
        else (location or "")[:200].partition("?")[0]
    )

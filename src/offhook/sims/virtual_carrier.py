"""
A phone call of a simulated Twilio in virtual time: signed webhook, TwiML executed, upgrade, frames every 20 ms, and
what follows the stream. What the carrier would write into its debugger is in ``alerts``.

The caller is whoever holds the ``Line``: ``say``, ``press``, ``hang_up``, ``drop``. Who wants to write the call down
gives an ``Observer``. Knows no server: see ``Server``.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import numpy as np
from msgspec import Struct

from offhook.media import g711
from offhook.sims.carrier import Phone, TwimlError, Verb, parse_twiml
from offhook.sims.observer import Observer
from offhook.sims.virtual import By, Ear, End, Link, Process, World, connect
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import SETTINGS_HEADER, SIGNATURE_HEADER, sign

__all__ = ["ACCOUNT", "FRAME", "QUIET", "SILENCE", "Line", "Reply", "Request", "Route", "Server"]

FRAME = 160
FRAME_S = 0.02
ACCOUNT = "AC" + "0" * 32
# The line's own noise, two seconds of it: what a phone line carries when nobody speaks is not digital silence.
QUIET = g711.encode(np.random.default_rng(1).normal(0, 18, FRAME * 100).astype(np.int16))  # -65 dBFS
SILENCE = b"\xff" * FRAME
WEBHOOK_S = 15.0  # in all, redirects included
UNREAD_BYTES = 64 * 1024  # what the carrier keeps of audio that the server does not take, before it drops
_HOOK_CODES = {"dns": "11210", "tcp": "11205", "tls": "11237", "timeout": "11205"}
_STREAM_CODES = {"dns": "31904", "tcp": "31902", "tls": "31910", "timeout": "31901"}


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


class Line:
    """One call. ``begin`` asks the webhook; ``then(seconds, fn)`` plans something after the stream has started."""

    def __init__(
        self,
        world: World,
        server: Server,
        url: str = "https://voice.example.com/twilio/voice",
        *,
        method: str = "POST",
        auth_token: str = "",
        shared_key: tuple[str, str] | None = None,
        json_body: bool = False,
        signed_url: str | None = None,
        fallback_url: str = "",
        route: Route | None = None,
        link: Link | None = None,
        direction: str = "inbound",
        answered_by: str = "",
        form: Mapping[str, str] | None = None,
        start_delay_s: float = 0.0,
        quiet: bytes = QUIET,
        returns_marks: bool = True,
        observer: Observer | None = None,
        call_sid: str = "",
    ) -> None:
        hexes = [world.random.getrandbits(128) for _ in range(2)]
        self.call_sid = call_sid or f"CA{hexes[0]:032x}"
        self.stream_sid = f"MZ{hexes[1]:032x}"
        self.world = world
        self.server = server
        self.observer = observer
        self.alerts: list[tuple[str, str]] = []
        self.verbs: list[Verb] = []
        self.end: End | None = None
        self.closed: tuple[int | None, str, By] | None = None
        self.over = False
        self.left = False  # the caller hung up
        self.quiet = quiet
        self.lost: frozenset[int] = frozenset()  # frames that never arrive
        self.swapped: frozenset[int] = frozenset()  # frames that arrive behind their successor
        self.echo: tuple[float, float] | None = None  # gain in dB, delay in seconds
        self.gain = 1.0  # of what the caller says
        self.background: bytes = b""  # PCMU that goes on all the time
        self.phone: Phone | None = None
        self.frames = 0
        self.both_tracks = False  # what the phone plays comes back as a second track
        self.frozen = False
        self.stops_quietly = False  # sends stop, and leaves TCP open
        self.url, self._method, self._token, self._shared = url, method, auth_token, shared_key
        self._json_body, self._signed_url, self._fallback = json_body, signed_url, fallback_url
        self._route, self._link = route or Route(), link or Link()
        self._start_delay_s, self._returns_marks = start_delay_s, returns_marks
        self._direction, self.answered_by = direction, answered_by
        self._say: deque[bytes] = deque()
        self._plans: list[tuple[float, Callable[[], None]]] = []
        self._pending: list[Verb] = []
        self._stream_verb: Verb | None = None
        self._hooks = 0
        self._began = 0.0
        self._forked = False
        self._held: bytes | None = None
        self._reopening = False
        self._placed_at = world.now()
        status = "ringing" if direction == "inbound" else "in-progress"
        self.form = {
            "CallSid": self.call_sid, "AccountSid": ACCOUNT, "From": "+15550100001", "To": "+15550100002",
            "CallStatus": status, "Direction": direction, "ApiVersion": "2010-04-01", **(form or {}),
        }  # fmt: skip

    # ------------------------------------------------------------------------------------ the caller

    def then(self, seconds: float, fn: Callable[[], None]) -> Line:
        """Do something so long after the stream has started."""
        self._plans.append((seconds, fn))
        return self

    def say(self, pcmu: bytes) -> None:
        """Speak; what is still being said is said first."""
        if self.gain != 1.0:
            pcmu = scaled(pcmu, self.gain)
        self._say.extend(pcmu[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(pcmu), FRAME))

    def press(self, digit: str) -> None:
        if self.phone is not None:
            self._write(self.phone.peer.dtmf(digit))

    def hang_up(self) -> None:
        """The caller leaves: stop, then the carrier closes."""
        if self.left:
            return
        self.left = True
        self._pending.clear()
        if self.end is None:
            self._finish("canceled" if not self.verbs else "completed")
            return
        assert self.phone is not None
        self._write(self.phone.peer.stop())
        if not self.stops_quietly:
            self.end.close(1000, "")

    def drop(self) -> None:
        """The connection breaks: TCP is gone without a word, and the carrier does not come back."""
        if self.end is not None:
            self.end.abort(1006, "dropped")

    def freeze(self) -> None:
        """Half dead: nothing is sent, nothing is read, nothing is closed."""
        self.frozen = True
        if self.end is not None:
            self.end.stop_reading()

    def reopen(self, after_s: float) -> None:
        """The connection breaks and comes back: another stream of the same call."""
        verb, end = self._stream_verb, self.end
        assert verb is not None and end is not None
        self._reopening = True
        end.abort(1006, "dropped")

        def again() -> None:
            self._reopening = False
            self.stream_sid = f"MZ{self.world.random.getrandbits(128):032x}"
            self.frames = 0
            self._open(verb)

        self.world.after(after_s, again)

    @property
    def speaking(self) -> bool:
        return bool(self._say)

    # ----------------------------------------------------------------------------------- the webhook

    def begin(self) -> None:
        """The call comes in: the webhook is asked."""
        if self.observer is not None:
            self.observer.call_placed(self.call_sid, self._direction, self.form)
        self._ask(self.url, self._method, self.form, self._execute)

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

    def _ask(
        self, url: str, method: str, form: Mapping[str, str], done: Callable[[list[Verb]], None], hops: int = 0
    ) -> None:
        """One webhook; what its document says is done, or the failure is logged."""
        self._hooks += 1
        full, headers, body = self._signed(method, url, form)
        request = Request(method, full, headers, body, self.call_sid)
        sent = self.world.now()
        note: dict[str, Any] = {"n": self._hooks, "method": method, "call_sid": self.call_sid, **_parts(full)}
        got = self._route.webhook(request)
        state = {"answered": False}

        def answered(reply: Reply) -> None:
            if not state["answered"]:
                state["answered"] = True
                self._answered(reply, request, note, sent, done, hops)

        def late() -> None:
            if not state["answered"]:
                state["answered"] = True
                self._hook_failed("timeout", "no answer within 15 s", note, sent)

        if isinstance(got, str):
            wait = {"timeout": WEBHOOK_S}.get(got, 0.05)
            self.world.after(wait, lambda: self._hook_failed(got, f"{got} failed", note, sent))
        elif isinstance(got, Reply):
            self.world.after(0.03, lambda: answered(got))
        else:
            self.world.after(0.02, lambda: self.server.process.enter(lambda: self.server.http(got, answered)))
            self.world.after(WEBHOOK_S, late)

    def _answered(
        self, reply: Reply, request: Request, note: dict[str, Any], sent: float,
        done: Callable[[list[Verb]], None], hops: int,
    ) -> None:  # fmt: skip
        ms = round((self.world.now() - sent) * 1000, 1)
        note |= {"status": reply.status, "ms": ms, "content_type": reply.content_type, "bytes": len(reply.body)}
        if reply.status in (301, 302, 303, 307, 308) and reply.location and hops < 5:
            self._note("webhook", **note, redirected=[reply.location])
            method = request.method if reply.status in (307, 308) else "GET"
            self._ask(reply.location, method, self.form, done, hops + 1)
            return
        if reply.status != 200:
            self._note("webhook", **note, why=f"HTTP {reply.status}")
            self._alert("11200", f"HTTP {reply.status}")
            self._try_fallback(done)
            return
        self._note("webhook", **note)
        verbs: list[Verb] = []
        try:
            verbs = parse_twiml(reply.body, reply.content_type, request.url)
        except TwimlError as error:
            self._twiml_note(reply.body, error)
            self._alert(error.code, error.why)
            self._finish("completed")
            return
        self._twiml_note(reply.body, None)
        done(verbs)

    def _twiml_note(self, body: bytes, error: TwimlError | None) -> None:
        if self.observer is not None:
            self.observer.document(body, error, self.world.now())

    def _hook_failed(self, phase: str, why: str, note: dict[str, Any], sent: float) -> None:
        ms = round((self.world.now() - sent) * 1000, 1)
        self._note("webhook", **note, status=0, ms=ms, why=phase)
        self._alert(_HOOK_CODES[phase], why)
        self._try_fallback(self._execute)

    def _try_fallback(self, done: Callable[[list[Verb]], None]) -> None:
        if self._fallback:
            url, self._fallback = self._fallback, ""
            self._ask(url, "POST", self.form, done)
        else:
            self._finish("failed")

    # ------------------------------------------------------------------------------------ the document

    def _execute(self, verbs: list[Verb]) -> None:
        self._pending = list(verbs)
        self._next()

    def _next(self) -> None:
        """Run the next verb; without one the call is over."""
        if self.left or self.over:
            return
        if not self._pending:
            self._stop_fork()
            self._finish("completed")
            return
        verb = self._pending.pop(0)
        self.verbs.append(verb)
        if verb.name in ("Connect", "Start"):
            self._stream_verb = verb
            self._open(verb)
            if verb.name == "Start":
                self.world.after(0.3, self._next)
        elif verb.name in ("Hangup", "Reject"):
            self._pending.clear()
            self._next()
        elif verb.name == "Redirect":
            self._ask(verb.text, "POST", self.form, self._execute)
        else:
            self.world.after(_lasts(verb), self._next)

    def _stop_fork(self) -> None:
        if self.end is not None and self._forked:
            assert self.phone is not None
            self._write(self.phone.peer.stop())
            self.end.close(1000, "")

    # -------------------------------------------------------------------------------------- the stream

    def _open(self, verb: Verb) -> None:
        headers = [
            ("User-Agent", "Twilio.TmeWs/1.0"), ("Host", urlsplit(verb.stream_url).netloc),
            ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x" * 22 + "=="),
        ]  # fmt: skip
        if self._token:
            headers.append((SIGNATURE_HEADER.value, sign(self._token, verb.stream_url)))
        request = Request("GET", verb.stream_url, tuple(headers), b"", self.call_sid)
        got = self._route.stream(request)
        sent = self.world.now()
        if isinstance(got, str):
            wait = {"timeout": 15.0}.get(got, 0.05)
            self.world.after(wait, lambda: self._refused(0, got, got, request, sent))
        elif isinstance(got, Reply):
            self.world.after(0.03, lambda: self._refused(got.status, got.body.decode(), "", request, sent))
        else:
            given = {"up": False}

            def accept(ear: Ear) -> End:
                if given["up"]:  # too late: the carrier has gone
                    return self._gave_up(ear)
                given["up"] = True
                return self._accepted(ear, verb, request, sent)

            def refuse(status: int, why: str) -> None:
                given["up"] = True
                self._refused(status, why, "", request, sent)

            def late() -> None:
                if not given["up"]:
                    given["up"] = True
                    self._refused(0, "no answer", "timeout", request, sent)

            self.world.after(0.02, lambda: self.server.process.enter(lambda: self.server.upgrade(got, accept, refuse)))
            self.world.after(10.0, late)

    def _upgrade_note(self, request: Request, status: int, why: str, sent: float) -> None:
        parts = _parts(request.url)
        names = {name.lower() for name, _ in request.headers}
        self._note(
            "upgrade", path=parts["path"], query_keys=parts["query_keys"], host=parts["host"], status=status,
            ms=round((self.world.now() - sent) * 1000, 1), why=why,
            headers={"upgrade": "upgrade" in names, "connection": "connection" in names},
        )  # fmt: skip

    def _refused(self, status: int, why: str, phase: str, request: Request, sent: float) -> None:
        self._upgrade_note(request, status, phase or why, sent)
        self._alert("31920" if status else _STREAM_CODES[phase], f"HTTP {status}" if status else why)
        if self._stream_verb is not None and self._stream_verb.name == "Connect":
            self._follow()

    def _gave_up(self, ear: Ear) -> End:
        """A connection that the carrier does not want any more."""
        mine, theirs = connect(self.world.outside, self.server.process, self._link)
        theirs.ear = ear
        mine.abort(1006, "")
        return theirs

    def _accepted(self, ear: Ear, verb: Verb, request: Request, sent: float) -> End:
        mine, theirs = connect(self.world.outside, self.server.process, self._link)
        theirs.ear = ear
        mine.ear = _Handset(self)
        self.end = mine
        self._forked = verb.name == "Start"
        peer = Peer(self.stream_sid, self.call_sid, ACCOUNT, bidirectional=not self._forked)
        self.phone = Phone(peer, returns_marks=self._returns_marks)
        self._upgrade_note(request, 101, "", sent)
        if self.observer is not None:
            self.observer.stream(mine, theirs, peer)
        self.world.after(0.02, lambda: self._greet(verb))
        return theirs

    def _greet(self, verb: Verb) -> None:
        assert self.phone is not None
        self._write(self.phone.peer.connected())
        self.world.after(self._start_delay_s, lambda: self._start(verb))

    def _start(self, verb: Verb) -> None:
        if self.phone is None or self.end is None:
            return
        self._write(self.phone.peer.start(verb.parameters))
        self._began = self.world.now() + 0.1
        for seconds, fn in self._plans:
            self.world.after(seconds, fn)
        self._plans = []
        self.world.call_at(self._began, self._pace)

    def _pace(self) -> None:
        """A frame every 20 ms: speech where there is some, else the line's quiet."""
        if self.end is None or self.end.by is not None or self.left:
            return
        if self.frozen:
            return
        n = self.frames
        self.frames += 1
        self.world.call_at(self._began + self.frames * FRAME_S, self._pace)
        self._send_frame(n)
        assert self.phone is not None
        for message in self.phone.tick(self.world.now()):
            self._write(message)

    def _send_frame(self, n: int) -> None:
        assert self.phone is not None and self.end is not None
        peer = self.phone.peer
        at = n * FRAME % len(self.quiet)
        audio = self._say.popleft() if self._say else self.quiet[at : at + FRAME]
        if self.background:
            at = n * FRAME % max(1, len(self.background) - FRAME)
            audio = mixed(audio, self.background[at : at + FRAME])
        if self.echo is not None:
            audio = mixed(audio, scaled(self._heard_at(self.world.now() - self.echo[1]), 10 ** (self.echo[0] / 20)))
        if n in self.lost or self.end.other.unread > UNREAD_BYTES:
            peer.skip()
            if n not in self.lost and "31930" not in peer.logged:
                peer.logged.append("31930")
                self._alert("31930", "the server does not read")
            return
        message = peer.media(audio, 155 + n * 20)
        if n in self.swapped:
            self._held = message
            return
        self._write(message)
        if self._held is not None:
            self._write(self._held)
            self._held = None
        if self.both_tracks:
            self._write(peer.media(self._heard_at(self.world.now() - 0.04), 155 + n * 20, track="outbound"))

    def _heard_at(self, at: float) -> bytes:
        """20 ms of what the phone played at ``at``."""
        assert self.phone is not None
        for segment in reversed(self.phone.heard):
            begin = int((at - segment.began) * 8000)
            if 0 <= begin < len(segment.audio):
                return bytes(segment.audio[begin : begin + FRAME]).ljust(FRAME, b"\xff")
        return SILENCE

    def _write(self, message: bytes) -> None:
        if self.end is not None:
            self.end.send(message)

    def _received(self, data: bytes, binary: bool) -> None:
        assert self.phone is not None
        before = len(self.phone.peer.logged)
        for message in self.phone.receive(data, self.world.now(), binary=binary):
            self._write(message)
        if self.observer is not None:
            self.observer.to_carrier(data, binary, self.world.now())
        for code in self.phone.peer.logged[before:]:
            self._alert(code, "")

    def _stream_closed(self, code: int | None, reason: str, by: By) -> None:
        assert self.phone is not None
        self.phone.tick(self.world.now())
        self.closed = (code, reason, by)
        self.end = None
        if self.observer is not None:
            self.observer.closed("carrier", code, reason, by, self.world.now())
        if by == "them" and not self.left:
            self._alert("31921", "the server closed the stream")
        elif by == "nobody" and not self.left:
            self._alert("31903", "the connection broke")
        if self._reopening:
            return
        if self.left:
            self._finish("completed")
        elif not self._forked:
            self._follow()

    def _follow(self) -> None:
        """The action, or the next verb; a caller who has left hears neither."""
        assert self._stream_verb is not None
        action = self._stream_verb.attributes.get("action")
        if action and not self.left:
            self._ask(action, "POST", {**self.form, "CallStatus": "in-progress"}, self._execute)
        else:
            self._next()

    def ended_by_rest(self) -> None:
        """Somebody ended the call by REST: stop, and the carrier closes."""
        self._pending.clear()
        if self.end is not None:
            assert self.phone is not None
            self._write(self.phone.peer.stop())
            self.left = True
            self.end.close(1000, "")
        else:
            self._finish("completed")

    # ------------------------------------------------------------------------------------------ record

    def _finish(self, status: str) -> None:
        if self.over:
            return
        self.over = True
        self._note(
            "call.status", status=status, answered_by=self.answered_by, direction=self._direction,
            **{"from": "dial"}, seconds=round(self.world.now() - self._placed_at, 2),
        )  # fmt: skip

    def _note(self, kind: str, **data: Any) -> None:
        if self.observer is not None:
            self.observer.note(kind, self.world.now(), **data)

    def _alert(self, code: str, text: str) -> None:
        self.alerts.append((code, text))
        self._note("alert", code=code, text=text, **{"from": "dial"})


class _Handset:
    """The stream's callbacks on the carrier's side."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def opened(self, socket: End) -> None:
        """The line made this connection itself."""

    def text(self, data: bytes) -> None:
        self._line._received(data, False)

    def binary(self, data: bytes) -> None:
        self._line._received(data, True)

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self._line._stream_closed(code, reason, by)

    def paused(self, n_bytes: int) -> None:
        """The server reads slowly; the carrier goes on and drops in the end."""

    def resumed(self) -> None:
        """The server reads again."""


def _parts(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    keys = [pair.partition("=")[0] for pair in parts.query.split("&") if pair]
    return {"scheme": parts.scheme, "host": parts.hostname or "", "port": parts.port, "path": parts.path,
            "query_keys": keys}  # fmt: skip


def _lasts(verb: Verb) -> float:
    """How long a verb takes, in seconds."""
    if verb.name == "Pause":
        return float(verb.attributes.get("length", "1"))
    if verb.name == "Say":
        return 0.5 + 0.065 * len(verb.text)  # a telephone voice says about 15 characters a second
    return 0.1


def scaled(pcmu: bytes, gain: float) -> bytes:
    """Louder or quieter."""
    return g711.encode(np.clip(g711.decode(pcmu) * gain, -32768, 32767).astype(np.int16))


def mixed(one: bytes, two: bytes) -> bytes:
    """Both at once."""
    n = min(len(one), len(two))
    total = g711.decode(one[:n]).astype(np.int32) + g711.decode(two[:n])
    return g711.encode(np.clip(total, -32768, 32767).astype(np.int16))

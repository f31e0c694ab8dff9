"""
A phone call of a simulated Twilio in virtual time: signed webhook, TwiML executed, upgrade, frames every 20 ms, and
what follows the stream. What the carrier would write into its debugger is in ``alerts``.

The caller is whoever holds the ``Line``: ``say``, ``press``, ``hang_up``, ``drop``. Who wants to write the call down
gives an ``Observer``. Knows no server: see ``Server``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from offhook.sims.carrier import Phone, Verb
from offhook.sims.observer import Observer
from offhook.sims.virtual import By, Ear, End, Link, Told, World, connect
from offhook.sims.virtual_dial import Dialled, Person
from offhook.sims.virtual_http import Reply, Request, Route, Server, url_parts
from offhook.sims.virtual_voice import FRAME, QUIET, heard_at, lasts, mixed, scaled
from offhook.sims.virtual_webhook import Webhook
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import SIGNATURE_HEADER, sign

__all__ = ["ACCOUNT", "FRAME", "Line", "Reply", "Request", "Route", "Server"]

FRAME_S = 0.02
ACCOUNT = "AC" + "0" * 32
UNREAD_BYTES = 64 * 1024  # what the carrier keeps of audio that the server does not take, before it drops
_STREAM_CODES = {"dns": "31904", "tcp": "31902", "tls": "31910", "timeout": "31901"}


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
        status_url: str = "",
        people: Mapping[str, Person] | None = None,
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
        self.url, self._method, self._token = url, method, auth_token
        self.people = people or {}  # who is dialled, and how they take it
        self.legs: list[tuple[str, str]] = []  # whom a <Dial> called, and how that went
        self.on_over: Callable[[str], None] = lambda status: None
        self._redirected = False
        self._dialling: Dialled | None = None
        self._status_url = status_url  # told when the call is over, as a number's status callback is
        self._route, self._link = route or Route(), link or Link()
        self._webhook = Webhook(
            self, world, server, self._route, token=auth_token, shared_key=shared_key, json_body=json_body,
            signed_url=signed_url, fallback_url=fallback_url,
        )  # fmt: skip
        self._start_delay_s, self._returns_marks = start_delay_s, returns_marks
        self._direction, self.answered_by = direction, answered_by
        self._say: deque[bytes] = deque()
        self._plans: list[tuple[float, Callable[[], None]]] = []
        self._pending: list[Verb] = []
        self._stream_verb: Verb | None = None
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
        if self._dialling is not None:
            self._dialling.caller_left()
        if self.end is None:
            self.finish("canceled" if not self.verbs else "completed")
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
        self._ask(self.url, self._method, self.form)

    def _ask(self, url: str, method: str, form: Mapping[str, str]) -> None:
        self._webhook.ask(urljoin(self.url, url), method, form, self._execute)

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
            self.finish("completed")
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
        elif verb.name == "Dial":
            self._dialling = Dialled(self, verb)
        elif verb.name == "Redirect":
            self._ask(verb.text, "POST", self.form)
        else:
            self.world.after(lasts(verb), self._next)

    def _stop_fork(self) -> None:
        if self.end is not None and self._forked:
            assert self.phone is not None
            self._write(self.phone.peer.stop())
            self.end.close(1000, "")

    # -------------------------------------------------------------------------------------- the stream

    def _open(self, verb: Verb) -> None:
        """Dial the stream; a caller who left meanwhile needs none."""
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
                if given["up"] or self.left:  # too late: the carrier has gone
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
        parts = url_parts(request.url)
        names = {name.lower() for name, _ in request.headers}
        self.note(
            "upgrade", path=parts["path"], query_keys=parts["query_keys"], host=parts["host"], status=status,
            ms=round((self.world.now() - sent) * 1000, 1), why=why,
            headers={"upgrade": "upgrade" in names, "connection": "connection" in names},
        )  # fmt: skip

    def _refused(self, status: int, why: str, phase: str, request: Request, sent: float) -> None:
        self._upgrade_note(request, status, phase or why, sent)
        self.alert("31920" if status else _STREAM_CODES[phase], f"HTTP {status}" if status else why)
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
        mine.ear = Told(self._received, self._stream_closed)
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

    def _spoken(self, n: int) -> bytes:
        """The caller's next frame: speech or the line's quiet, with what is always there and what comes back."""
        assert self.phone is not None
        at = n * FRAME % len(self.quiet)
        audio = self._say.popleft() if self._say else self.quiet[at : at + FRAME]
        if self.background:
            at = n * FRAME % max(1, len(self.background) - FRAME)
            audio = mixed(audio, self.background[at : at + FRAME])
        if self.echo is not None:
            heard = heard_at(self.phone, self.world.now() - self.echo[1])
            audio = mixed(audio, scaled(heard, 10 ** (self.echo[0] / 20)))
        return audio

    def _send_frame(self, n: int) -> None:
        assert self.phone is not None and self.end is not None
        peer = self.phone.peer
        audio = self._spoken(n)
        if n in self.lost or self.end.other.unread > UNREAD_BYTES:
            peer.skip()
            if n not in self.lost and "31930" not in peer.logged:
                peer.logged.append("31930")
                self.alert("31930", "the server does not read")
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
            self._write(peer.media(heard_at(self.phone, self.world.now() - 0.04), 155 + n * 20, track="outbound"))

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
            self.alert(code, "")

    def _stream_closed(self, code: int | None, reason: str, by: By) -> None:
        assert self.phone is not None
        self.phone.tick(self.world.now())
        self.closed = (code, reason, by)
        self.end = None
        if self.observer is not None:
            self.observer.closed("carrier", code, reason, by, self.world.now())
        if by == "them" and not self.left:
            self.alert("31921", "the server closed the stream")
        elif by == "nobody" and not self.left:
            self.alert("31903", "the connection broke")
        if self._reopening:
            return
        if self._redirected:
            self._redirected = False
            self.phone = None
            return
        if self.left:
            self.finish("completed")
        elif not self._forked:
            self._follow()

    def _follow(self) -> None:
        """The action, or the next verb; a caller who has left hears neither."""
        assert self._stream_verb is not None
        action = self._stream_verb.attributes.get("action")
        if action and not self.left:
            self._ask(action, "POST", {**self.form, "CallStatus": "in-progress"})
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
            self.finish("completed")

    def redirect(self, verbs: Sequence[Verb], url: str, status_url: str) -> None:
        """Another document by REST: it takes the place of the one that runs, and its stream ends."""
        self._status_url = status_url or self._status_url
        if self.end is not None:
            assert self.phone is not None
            self._write(self.phone.peer.stop())
            self._redirected = True
            self.end.close(1000, "")
            self.end = None
        self.stream_sid = f"MZ{self.world.random.getrandbits(128):032x}"
        self.frames = 0
        if url:
            self._ask(url, "POST", {**self.form, "CallStatus": "in-progress"})
        else:
            self._execute(list(verbs))

    def dialled(self, verb: Verb, fields: Mapping[str, str]) -> None:
        """A <Dial> is over: its action is asked for, or the next verb runs."""
        self._dialling = None
        action = verb.attributes.get("action")
        if self.left or self.over:
            return
        if action:
            self._ask(
                action, verb.attributes.get("method", "POST"), {**self.form, "CallStatus": "in-progress", **fields}
            )
        else:
            self._next()

    def tell(self, url: str, form: Mapping[str, str]) -> None:
        """A callback of the carrier."""
        self._webhook.tell(url, form)

    # ------------------------------------------------------------------------------------------ record

    def finish(self, status: str) -> None:
        if self.over:
            return
        self.over = True
        self.on_over(status)
        if self._status_url:
            self._webhook.tell(self._status_url, {**self.form, "CallStatus": status})
        self.note(
            "call.status", status=status, answered_by=self.answered_by, direction=self._direction,
            **{"from": "dial"}, seconds=round(self.world.now() - self._placed_at, 2),
        )  # fmt: skip

    def note(self, kind: str, **data: Any) -> None:
        if self.observer is not None:
            self.observer.note(kind, self.world.now(), **data)

    def alert(self, code: str, text: str) -> None:
        self.alerts.append((code, text))
        self.note("alert", code=code, text=text, **{"from": "dial"})

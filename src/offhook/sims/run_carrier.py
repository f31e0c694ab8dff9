"""
A simulated Twilio that really calls: signed webhook, TwiML executed, WebSocket, audio in real time, what follows.

The caller's side is driven by whoever holds the ``PhoneCall``: ``say``, ``press``, ``hang_up``. A public address may
be mapped to a loopback one; signatures and the Host header keep the public name. What is said on a stream, and what
goes wrong there, stands in ``line.py``; the sockets of one stream in ``run_stream.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from offhook.net.clock import Clock, LoopClock
from offhook.sims.carrier import Phone
from offhook.sims.carrier_audio import QUIET
from offhook.sims.carrier_faults import Fault, named
from offhook.sims.line import SimCarrier
from offhook.sims.run_stream import OnFrame, Stream, StreamFailed
from offhook.sims.run_webhook import Route, Webhooks
from offhook.sims.twiml import Document, Verb
from offhook.sims.webhook import Answer, Signer
from offhook.wires._wire import Violation
from offhook.wires.carriers._twilio_peer import Peer

__all__ = ["QUIET", "CallFailed", "PhoneCall"]

ACCOUNT = "AC" + "0" * 32
MAX_VERBS = 100  # a document that redirects to itself must end some day
SAY_WORDS_S = 2.5  # how fast <Say> is read aloud


class CallFailed(Exception):
    """The call did not come about; ``code`` is what the carrier's debugger would show."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(code, why)
        self.code, self.why = code, why

    def __str__(self) -> str:
        return f"{self.code}: {self.why}"


class PhoneCall:
    """
    One simulated call. ``async with PhoneCall(...) as call`` returns once the stream has started.

    ``webhook_url`` is the public one, ``connect_to`` the address that is really dialled (or give a ``route``).
    Without a webhook ``stream_url`` is dialled at once, with ``parameters``. ``alerts`` is the carrier's debugger.
    """

    def __init__(
        self,
        webhook_url: str = "",
        *,
        stream_url: str = "",
        parameters: Mapping[str, str] | None = None,
        auth_token: str = "",
        shared_key: tuple[str, str] | None = None,
        connect_to: tuple[str, int] | None = None,
        route: Route | None = None,
        method: str = "POST",
        fallback_url: str = "",
        caller: str = "+15550100001",
        called: str = "+15550100002",
        call_sid: str = "",
        clock: Clock | None = None,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
        on_frame: OnFrame | None = None,
        form: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 0,
        source: Callable[[int], bytes] | None = None,
        tolerant: bool = False,
        people: Mapping[str, Any] | None = None,
    ) -> None:
        self.call_sid = call_sid or "CA" + secrets.token_hex(16)
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.verbs: list[Verb] = []  # executed, in order, the stream's first
        self.document: Document | None = None
        self.answer: Answer | None = None
        self.alerts: list[tuple[str, str]] = []
        self.closed: tuple[int | None, str, str] | None = None
        self.webhook_ms = 0.0
        self.streams: list[Stream] = []
        self._webhook_url, self._stream_url = webhook_url, stream_url
        self._given_parameters = dict(parameters or {})
        self._method = method
        self._route = route or Route(connect=connect_to)
        self._clock: Clock = clock or LoopClock(asyncio.get_running_loop())
        self._on_event = on_event or (lambda kind, data: None)
        self._on_frame = on_frame or (lambda to_server, data, now, binary: None)
        self._faults, self._seed = tuple(faults), seed
        self._tolerant = tolerant
        hook, upgrade = self._fault("webhook-signature"), self._fault("upgrade-signature")
        signer = Signer(auth_token, hook.value if hook else "", shared_key)
        self._signer = Signer(auth_token, upgrade.value if upgrade else "", shared_key)
        self._webhooks = Webhooks(
            self._route, signer, faults=self._faults, fallback_url=fallback_url, on_answer=self._asked
        )
        self.form = {
            "CallSid": self.call_sid, "AccountSid": ACCOUNT, "From": caller, "To": called, "CallStatus": "ringing",
            "Direction": "inbound", "ApiVersion": "2010-04-01",
            **({"AnsweredBy": "human"} if self._fault("late-stream") else {}), **(form or {}),
        }  # fmt: skip
        self.carrier = self._make_carrier(self.stream_sid, source=source)
        self._stream_verb = Verb(name="Connect")
        self._pending: list[Verb] = []
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._hung_up = False
        self.legs: list[tuple[str, str]] = []  # whom a <Dial> called, and how that went
        self._people = people or {}  # who has a telephone: see run_account
        self._redirected: tuple[list[Verb], str] | None = None
        self.by_rest = False  # the server asked the carrier to end the call
        self.awaited = 0  # streams that the carrier will open anew
        self._held_callback: dict[str, str] | None = None

    def _fault(self, name: str) -> Fault | None:
        return named(self._faults, name)

    def _make_carrier(self, sid: str, *, source: Callable[[int], bytes] | None = None) -> SimCarrier:
        peer = Peer(sid, self.call_sid, ACCOUNT, tolerant=self._tolerant)
        return SimCarrier(peer, faults=self._faults, seed=self._seed, source=source)

    # ------------------------------------------------------------------------------------ the caller

    @property
    def peer(self) -> Peer:
        return self.carrier.peer

    @property
    def phone(self) -> Phone:
        return self.carrier.phone

    @property
    def speaking(self) -> bool:
        return self.carrier.speaking

    @property
    def violations(self) -> list[Violation]:
        return self.peer.violations

    @property
    def stream(self) -> Stream | None:
        """The stream that the caller speaks on."""
        return next((stream for stream in reversed(self.streams) if stream.carrier is self.carrier), None)

    def say(self, pcmu: bytes) -> None:
        """Speak; what is still being said is said first."""
        self.carrier.say(pcmu)

    def press(self, digit: str) -> None:
        if self.stream is not None:
            self.stream.write(self.carrier.press(digit, self._clock.now()))

    def hang_up(self) -> None:
        """The caller leaves: stop, then the carrier closes."""
        self._hung_up = True
        self._pending.clear()
        for stream in self.streams:
            stream.write(stream.carrier.hang_up(self._clock.now()))

    def ended_by_rest(self) -> None:
        """The server ended the call by REST: stop, the carrier closes, and nothing follows."""
        self.by_rest = True
        self.hang_up()

    def redirect(self, verbs: list[Verb], url: str) -> None:
        """Another document by REST takes the place of the one that runs: its stream ends, and it is executed."""
        self._redirected = verbs, url
        for stream in self.streams:
            stream.write(stream.carrier.hang_up(self._clock.now()))

    def drop(self) -> None:
        """The connection breaks: TCP is gone without a word."""
        if self.stream is not None:
            self.stream.abort()

    async def ended(self) -> None:
        """Wait until the carrier has nothing more to execute."""
        await self._over.wait()

    # ----------------------------------------------------------------------------------- the carrier

    async def __aenter__(self) -> PhoneCall:
        try:
            await self._place()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.hang_up()
        if any(stream.open for stream in self.streams):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 3)
        await self._leave()

    async def _leave(self) -> None:
        """Nothing stays: no socket, no timer, no task."""
        for stream in self.streams:
            await stream.gone()
        for task in self._tasks:
            if not task.done() and task.get_name() != "status callback":
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._webhooks.close()

    def _asked(self, answer: Answer, retried: bool, redirects: int) -> None:
        self._on_event("webhook", {"answer": answer, "retried": retried, "redirects": redirects})
        if answer.code is not None:
            self._alert(answer.code, answer.why)

    def _alert(self, code: str, why: str) -> None:
        if (code, why) not in self.alerts:
            self.alerts.append((code, why))
            self._on_event("alert", {"code": code, "text": why})

    async def _place(self) -> None:
        if self._webhook_url:
            self._pending = await self._fetch(self._webhook_url, self.form, first=True)
            if self._fault("webhook-retried"):
                await self._webhooks.twice(self._webhook_url, self.form)
            if self._fault("hang-up-before-upgrade"):
                self._pending, self._hung_up = [], True
        else:
            self._pending = [Verb(name="Connect", stream_url=self._stream_url, parameters=self._given_parameters)]
        await self._execute()
        if not self.streams:
            self._over.set()

    async def _fetch(self, url: str, form: Mapping[str, str], *, first: bool = False) -> list[Verb]:
        """What the server tells the carrier to do."""
        document, answer = await self._webhooks.document(url, form, first=first, method=self._method)
        if first:
            self.document, self.answer = document, answer
            self.webhook_ms = answer.ms
        self._on_event("document", {"document": document, "answer": answer})
        if document is None or document.refused is not None:
            raise CallFailed(answer.code or "11200", answer.why)
        for complaint in document.complaints:
            if complaint.code is not None:
                self._alert(complaint.code, complaint.why)
        return [self._with_parameters(verb) for verb in document.verbs]

    def _with_parameters(self, verb: Verb) -> Verb:
        if not self._given_parameters or not verb.stream_url:
            return verb
        import msgspec

        return msgspec.structs.replace(verb, parameters={**verb.parameters, **self._given_parameters})

    async def _execute(self) -> None:
        """Run verbs until one opens a stream or nothing is left."""
        while self._pending and not self._hung_up and len(self.verbs) < MAX_VERBS:
            verb = self._pending.pop(0)
            self.verbs.append(verb)
            self._on_event("verb", {"name": verb.name, "text": verb.text})
            if verb.name in ("Connect", "Start"):
                await self._open(verb)
                if verb.name == "Connect":
                    return
                self._tasks.append(asyncio.create_task(self._behind_fork(), name="behind <Start>"))
                return
            if verb.name in ("Hangup", "Reject"):
                self._pending.clear()
            elif verb.name == "Dial":
                await self._dial(verb)
            elif verb.name == "Redirect":
                self._pending = await self._fetch(urljoin(self._webhook_url, verb.text), self.form)

    async def _dial(self, verb: Verb) -> None:
        """Call somebody for the caller; when that leg is over, its action says what follows."""
        noun = verb.nouns[0] if verb.nouns else Verb(name="Number", text=verb.text)
        person = self._people.get(noun.text)
        how = person.how if person is not None else "failed"
        sid = "CA" + secrets.token_hex(16)
        await asyncio.sleep(person.answers_s if person is not None else 0.2)
        url = noun.attributes.get("statusCallback", "")
        leg = {
            **self.form,
            "CallSid": sid,
            "ParentCallSid": self.call_sid,
            "To": noun.text,
            "Direction": "outbound-dial",
        }
        seconds = 0.0
        if how == "completed" and person is not None:
            if "answered" in noun.attributes.get("statusCallbackEvent", "") and url:
                await self._webhooks.post(url, {**leg, "CallStatus": "in-progress"})
            seconds = person.detected_s
            await asyncio.sleep(seconds)
        self.legs.append((noun.text, how))
        action = verb.attributes.get("action")
        if action and not self._hung_up:
            fields = {"DialCallStatus": how, "DialCallSid": sid, "DialCallDuration": str(round(seconds))}
            self._pending = await self._fetch(
                urljoin(self._webhook_url, action), {**self.form, "CallStatus": "in-progress", **fields}
            )

    async def _behind_fork(self) -> None:
        """A <Start> stream runs beside the verbs that follow; when they are done, the call is over."""
        while self._pending and not self._hung_up:
            verb = self._pending.pop(0)
            self.verbs.append(verb)
            self._on_event("verb", {"name": verb.name, "text": verb.text})
            if verb.name == "Hangup":
                break
            if verb.name in ("Pause", "Say"):
                length = verb.attributes.get("length", "1")
                words = len(verb.text.split()) / SAY_WORDS_S
                await asyncio.sleep(words if verb.name == "Say" else float(length) if length.isdigit() else 1.0)
        self.hang_up()

    async def _open(self, verb: Verb) -> None:
        self._stream_verb = verb
        late, one_way = self._fault("late-stream"), self._fault("one-way") or verb.name == "Start"
        if late is not None:
            await asyncio.sleep(late.figure / 1000)
        if one_way:
            self.peer.fork()
        await self._connect(self.carrier, verb)
        self._callback("stream-started")

    async def _connect(self, carrier: SimCarrier, verb: Verb) -> None:
        carrier.begin_with(verb.parameters)
        path = self._fault("wrong-path")
        url = urlsplit(verb.stream_url)._replace(path=path.value).geturl() if path else verb.stream_url
        stream = Stream(
            carrier, self._clock, on_frame=self._on_frame, on_closed=self._stream_closed, on_wanted=self._more_streams,
            on_code=lambda code: self._alert(code, "the first message that the carrier refuses on this stream"),
        )  # fmt: skip
        headers = self._signer.headers(verb.stream_url)
        strip = self._fault("no-upgrade-header") is not None
        try:
            await stream.dial(url, self._route, headers, strip_upgrade=strip)
        except StreamFailed as error:
            self._on_event("upgrade", {"url": url, "status": error.status, "ms": stream.dial_ms, "why": error.why})
            self._alert(error.code, error.why)
            self._callback("stream-error", error.why)
            raise CallFailed(error.code, error.why) from None
        self.streams.append(stream)
        self._on_event("upgrade", {"url": url, "status": 101, "ms": stream.dial_ms, "why": ""})
        self._on_event("stream", {})

    def _more_streams(self, at: float, why: str) -> None:
        """The carrier opens another stream for this call: beside the first, or after it broke."""
        self.awaited += why == "again"
        self._tasks.append(asyncio.create_task(self._again(at, why), name=f"stream {why}"))

    async def _again(self, at: float, why: str) -> None:
        await asyncio.sleep(max(0.0, at - self._clock.now()))
        carrier = SimCarrier(Peer("MZ" + secrets.token_hex(16), self.call_sid, ACCOUNT), seed=self._seed)
        if why == "again":
            self.carrier = carrier
        with contextlib.suppress(CallFailed):  # it is in the alerts
            await self._connect(carrier, self._stream_verb)
        self.awaited -= why == "again"
        if why == "again" and not any(stream.open for stream in self.streams):
            self._over.set()

    # -------------------------------------------------------------------------------------- the end

    def _stream_closed(self, stream: Stream, code: int | None, reason: str, by: str) -> None:
        if stream.carrier is self.carrier or self.closed is None:
            self.closed = (code, reason, by)
        if by == "them":
            self._alert("31921", f"the server closed the stream with {code}")
        elif by == "nobody":
            self._alert("31903", "the connection broke")
        elif stream.broke_protocol:
            self._alert("31924", f"the server breaks RFC 6455 ({stream.broke_protocol})")
        self._on_event("closed", {"code": code, "reason": reason, "by": by, "age_s": stream.age_s})
        if any(other.open for other in self.streams) or self.awaited:
            return
        self._callback("stream-stopped")
        self._tasks.append(asyncio.create_task(self._after_stream(), name="after the stream"))

    async def _after_stream(self) -> None:
        """The action, or the next verb; a caller who has left hears neither."""
        try:
            if self._redirected is not None:
                (self._pending, url), self._redirected = self._redirected, None
                self.stream_sid = "MZ" + secrets.token_hex(16)
                self.carrier = self._make_carrier(self.stream_sid)
                if url:
                    self._pending = await self._fetch(url, {**self.form, "CallStatus": "in-progress"})
                await self._execute()
                return
            if self._hung_up or self.carrier.hung_up:
                return
            action = self._stream_verb.attributes.get("action")
            if action:
                url = urljoin(self._webhook_url, action)
                self._pending = await self._fetch(url, {**self.form, "CallStatus": "in-progress"})
            await self._execute()
        except CallFailed as error:
            self._alert(error.code, error.why)
        finally:
            if not any(stream.open for stream in self.streams):
                self._over.set()

    def _callback(self, event: str, error: str = "") -> None:
        """Tell the document's status callback, as the carrier does; nobody waits for it."""
        url = self._stream_verb.stream_attributes.get("statusCallback", "")
        if not url:
            return
        form = {
            "AccountSid": ACCOUNT, "CallSid": self.call_sid, "StreamSid": self.stream_sid, "StreamEvent": event,
            "StreamName": self._stream_verb.stream_attributes.get("name", self.stream_sid),
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **({"StreamError": error} if error else {}),
        }  # fmt: skip
        if self._fault("callbacks-reversed") and event == "stream-started":
            self._held_callback = form
            return
        self._tasks.append(asyncio.create_task(self._post(url, form), name="status callback"))

    async def _post(self, url: str, form: dict[str, str]) -> None:
        for one in (form, self._held_callback) if self._held_callback else (form,):
            answer = await self._webhooks.post(url, one)
            self._on_event("callback", {"event": one["StreamEvent"], "status": answer.status, "why": answer.why})
        self._held_callback = None

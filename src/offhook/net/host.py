"""
The calls of this process: who is let in, who answers, and how all of them end.

A webhook makes a call and dials its provider at once; the stream that follows finds its call by
the token in its ``start``. Every refusal answers the caller in the carrier's own document and is named.
Knows no framework (``app.py`` does HTTP) and no wire by name: both wires are given.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.agent.prompt import CallFacts, render
from offhook.bridge import Bridge, BridgeSettings
from offhook.evidence.journal import JournalDir
from offhook.net import client, rest
from offhook.net.arrival import Arrival
from offhook.net.call import Call
from offhook.net.clock import Clock, Handle
from offhook.net.echo import CHECK_FIELD, Echoes
from offhook.net.metrics import Metrics
from offhook.net.notes import RequestNotes
from offhook.net.parties import Recorder
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener
from offhook.net.token import TokenBook, mint
from offhook.wires._wire import ConnectRequest, Refusal

__all__ = ["Answer", "Host", "Limits", "Observer"]

log = logging.getLogger("offhook")

Observer = Callable[[str, v.Event | v.Note, float], None]

# The carrier gives a webhook 15 s in all and opens the stream right after the answer; a token that
# nobody brought within this time belongs to a caller who has left.
TOKEN_TTL_S = 60.0
# The carrier asks for the next document within this time after a stream; then nobody will ask again.
OUTCOME_TTL_S = 120.0
LAG_PROBE_S = 0.1
LAG_NOTED_S = 0.05


class Limits(Struct, frozen=True):
    """What this process takes on at most; each limit answers the caller and is named."""

    max_calls: int = 100
    dials_per_minute: int = 300
    start_timeout_s: float = 5.0  # Twilio sends connected and start at once
    max_sockets_without_start: int = 64
    drain_s: float = 30.0


class Answer(Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/xml; charset=utf-8"


class Host:
    """
    All calls of one process, on one loop.

    ``carrier`` and ``provider`` are wire modules; ``session`` is the provider's settings of an agent,
    whose instructions are rendered anew for every call. ``dialler`` and ``send_rest`` are replaced where there is no
    network.
    """

    def __init__(
        self,
        *,
        carrier: ModuleType,
        carrier_settings: Any,
        provider: ModuleType,
        session: Any,
        greeting: str | None,
        bridge_settings: BridgeSettings,
        lines: Mapping[str, bytes],
        journals: JournalDir,
        clock: Clock,
        limits: Limits,
        token_secret: bytes,
        metrics: Metrics,
        dial_options: Mapping[str, Any],
        observer: Observer | None = None,
        recorder: Callable[[Path, float], Recorder] | None = None,
        rest_proxy: Callable[[str], str | None] = lambda url: None,
        dialler: Callable[..., Awaitable[Any]] = client.dial,
        send_rest: Callable[..., Awaitable[rest.RestResult]] = rest.send,
        oracle: Callable[..., Any] | None = None,
    ) -> None:
        self.calls: dict[str, Call] = {}
        self.draining = False
        self.metrics = metrics
        self.carrier = carrier
        self.carrier_settings = carrier_settings
        self._provider = provider
        self._session = session
        self._greeting = greeting
        self._bridge_settings = bridge_settings
        self._lines = lines
        self._journals = journals
        self._clock = clock
        self._limits = limits
        self._token_secret = token_secret
        self._tokens = TokenBook(token_secret)
        self._dial_options = dial_options
        self._observer = observer
        self._recorder = recorder
        self._rest_proxy = rest_proxy
        self._dialler = dialler
        self._send_rest = send_rest
        self._oracle = oracle
        self._notes = RequestNotes(journals, clock, carrier)
        self._echoes = Echoes()
        self._dials: dict[str, asyncio.Task[None]] = {}
        self._hang_ups: set[asyncio.Task[None]] = set()
        self._dial_times: deque[float] = deque()
        self._waiting: set[Arrival] = set()
        self._outcomes: dict[str, tuple[Literal["wanted", "broken"], float]] = {}
        self._facts: dict[str, CallFacts] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._lag_timer: Handle | None = None

    # -------------------------------------------------------------------------------------- the webhook

    def webhook(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Answer the voice webhook: the document that opens a stream, or a refusal with its reason."""
        try:
            asked = self._authentic(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        if CHECK_FIELD in asked.parameters:
            return self._check(asked)
        began = self._clock.now()
        full = self._full()
        if full is not None:
            self.metrics.refused(full)
            log.warning("call refused", extra={"call": asked.call_sid, "why": full})
            self._notes.refused("webhook", method, path_qs, headers, 200, why=full, call_sid=asked.call_sid)
            said = "draining" if full == "draining" else "busy"
            return Answer(200, self.carrier.refuse(self.carrier_settings, said))
        call = self.calls.get(asked.call_sid)
        if call is None:
            call = self._new_call(asked)
            call.feed(v.CallOffered())
        else:  # the carrier repeats a webhook whose answer it did not get: same call, same answer
            call.journal.note("webhook.repeated", self._clock.now())
        token = mint(self._token_secret, asked.call_sid, self._clock.now(), TOKEN_TTL_S)
        document = self.carrier.answer(self.carrier_settings, asked, token)
        self._notes.hook(
            call.journal, method, path_qs, {name.lower(): value for name, value in headers}, began,
            status=200, content_type="text/xml", bytes=len(document), retry=call.offered,
            signature={"present": True, "ok": True} if self.carrier_settings.auth != "none" else {"present": False},
        )  # fmt: skip
        if not call.offered:
            self._notes.document(call.journal, document)
        call.offered = True
        return Answer(200, document)

    def _why_refused(
        self, result: Any, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes, **more: bool
    ) -> dict[str, Any]:
        """A refused signature as a record keeps it: which variant of the request it would be right for."""
        said = {"present": not result.why.startswith("no "), "ok": False, "alg": result.algorithm, "why": result.why}
        if self._oracle is not None and self._notes.room:
            found = self._oracle(self.carrier_settings, method, path_qs, headers, body, **more)
            said |= {"variant": found.variant, "signed_url": found.signed_url.partition("?")[0]}
        return said

    def missed(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], status: int, **more: bool) -> None:
        """A request for something that is not served; what has nothing of the carrier in it is not kept."""
        if any(name.lower() == self.carrier.SIGNATURE_HEADER.value.lower() for name, _ in headers):
            self._notes.refused("webhook.missed", method, path_qs, headers, status, **more)

    def _check(self, asked: Any) -> Answer:
        """Answer a check as a call would be answered; the stream that follows is an echo."""
        now = self._clock.now()
        if self.draining or not self._echoes.expect(asked.call_sid, now, now + TOKEN_TTL_S):
            return Answer(200, self.carrier.refuse(self.carrier_settings, "draining" if self.draining else "busy"))
        log.info("check answered", extra={"what": asked.parameters[CHECK_FIELD][:40]})
        token = mint(self._token_secret, asked.call_sid, now, TOKEN_TTL_S)
        return Answer(200, self.carrier.answer(self.carrier_settings, asked, token))

    def _authentic(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Any:
        settings = self.carrier_settings
        result = self.carrier.check_signature(settings, method, path_qs, headers, body)
        if not result.ok:
            self.metrics.refused("signature")
            log.warning("webhook refused", extra={"why": result.why, "tried": list(result.tried_urls)})
            text = f"signature refused: {result.why}\ncomputed over: {', '.join(result.tried_urls)}\n"
            said = self._why_refused(result, method, path_qs, headers, body)
            if said["present"]:  # what is not even signed is nobody's call
                self._notes.refused("webhook", method, path_qs, headers, 403, why=result.why, signature=said)
            raise Refused(Answer(403, text.encode(), "text/plain; charset=utf-8"))
        try:
            return self.carrier.parse_webhook(method, path_qs, headers, body)
        except self.carrier.WebhookError as error:
            self.metrics.refused("webhook")
            log.warning("webhook refused", extra={"why": str(error)})
            raise Refused(Answer(400, f"{error}\n".encode(), "text/plain; charset=utf-8")) from None

    def _full(self) -> str | None:
        """Why no further call is taken now, or None."""
        if self.draining:
            return "draining"
        if len(self.calls) >= self._limits.max_calls:
            return "max_calls"
        now = self._clock.now()
        while self._dial_times and self._dial_times[0] < now - 60:
            self._dial_times.popleft()
        if len(self._dial_times) >= self._limits.dials_per_minute:
            return "dials_per_minute"
        return None

    def _new_call(self, asked: Any) -> Call:
        facts = CallFacts(
            caller_number=asked.from_,
            called_number=asked.to,
            call_id=asked.call_sid,
            direction=asked.direction,
            webhook=asked.parameters,
        )
        session = structs.replace(self._session, instructions=render(self._session.instructions, facts))
        settings = self._bridge_settings
        if self._greeting:
            settings = structs.replace(settings, greeting=render(self._greeting, facts))
        leg = self._provider.Leg(session)
        now = self._clock.now()
        journal = self._journals.open(
            asked.call_sid,
            {v.Leg.PROVIDER: leg.redact},
            now,
            {
                "call": asked.call_sid,
                "caller": self.carrier.mask_number(asked.from_),
                "called": self.carrier.mask_number(asked.to),
                "direction": asked.direction,
                "carrier": self.carrier.NAME,
                "provider": self._provider.LABEL,
            },
            numbers=(asked.from_, asked.to, *(asked.parameters.get(name, "") for name in ("ForwardedFrom", "Caller"))),
        )
        call = Call(
            asked.call_sid,
            shell=self,
            clock=self._clock,
            bridge=Bridge(
                settings,
                self._provider.traits(session),
                self.carrier.traits(self.carrier_settings),
                self._lines,
            ),
            provider_leg=leg,
            connect_request=self._provider.connect_request(session),
            journal=journal,
            recorder=self._recorder(journal.path, now) if self._recorder else None,
        )
        self.calls[asked.call_sid] = call
        self._facts[asked.call_sid] = facts
        self._idle.clear()
        self.metrics.calls_active.set(len(self.calls))
        log.info("call started", extra={"call": call.name, "provider": self._provider.NAME})
        return call

    def after_stream(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """What follows the stream: the spoken fallback, unless the end was wanted or the caller was told already."""
        try:
            asked = self._authentic(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        call = self.calls.get(asked.call_sid)
        if call is not None:
            how: Literal["wanted", "broken"] = (
                "wanted" if call.bridge.ending_wanted or call.bridge.caller_told else "broken"
            )
        else:
            how, _ = self._outcomes.pop(asked.call_sid, ("broken", 0.0))
        return Answer(200, self.carrier.after(self.carrier_settings, how))

    def stream_status(self, method: str, path_qs: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """The carrier's own word about a stream, kept in the call's record."""
        try:
            asked = self._authentic(method, path_qs, headers, body)
        except Refused as refused:
            return refused.answer
        call = self.calls.get(asked.call_sid)
        wanted = ("StreamSid", "StreamEvent", "StreamError", "CallStatus")
        data = {name: asked.parameters[name] for name in wanted if name in asked.parameters}
        if call is not None:
            call.journal.note("carrier.status", self._clock.now(), **data)
        elif "StreamError" in data:
            log.warning("stream error after the call", extra={"call": asked.call_sid, **data})
        return Answer(204, b"")

    # --------------------------------------------------------------------------------------- the stream

    def upgrade(self, request: UpgradeRequest) -> Refusal | Listener:
        """Take a carrier's WebSocket, or say with a status why not."""
        if request.path != self.carrier.media_path(self.carrier_settings):
            self.missed("GET", request.path_qs, request.headers, 404, upgrade=True)
            return Refusal(404, f"no media stream at {request.path}\n", "path")
        result = self.carrier.check_signature(
            self.carrier_settings, "GET", request.path_qs, request.headers, b"", upgrade=True
        )
        if not result.ok:
            self.metrics.refused("signature")
            log.warning("upgrade refused", extra={"why": result.why, "tried": list(result.tried_urls)})
            text = f"signature refused: {result.why}\ncomputed over: {', '.join(result.tried_urls)}\n"
            said = self._why_refused(result, "GET", request.path_qs, request.headers, b"", upgrade=True)
            if said["present"]:
                self._notes.refused(
                    "upgrade", "GET", request.path_qs, request.headers, 403, why=result.why, signature=said
                )
            return Refusal(403, text, "signature")
        if len(self._waiting) >= self._limits.max_sockets_without_start:
            self.metrics.refused("sockets")
            return Refusal(503, "too many streams that have not started\n", "sockets")
        stream = Arrival(self, self.carrier.Leg(self.carrier_settings))
        stream.asked = request, self._clock.now()
        self._waiting.add(stream)
        return stream

    def start_stream(self, stream: Arrival, event: v.StreamStarted) -> str | None:
        """The call that a started stream belongs to takes it over: None; or the reason why none does."""
        token = event.parameters.get("token", "")
        why = self._tokens.spend(token, event.call_id, event.stream_id, self._clock.now())
        if why is not None:
            return why
        assert stream.socket is not None
        if self._echoes.take(event.call_id, stream.leg, stream.socket, self._clock):
            return None
        call = self.calls.get(event.call_id)
        if call is None:
            return "the call is already over"
        if call.stream_id is not None:
            return "the call already has a stream"
        if stream.asked is not None:
            request, at = stream.asked
            headers = {name.lower(): value for name, value in request.headers}
            self._notes.upgrade(call.journal, request.path_qs, headers, at)
        call.adopt_stream(stream.leg, stream.socket, stream.backlog)
        return None

    def forget_stream(self, stream: Arrival) -> None:
        self._waiting.discard(stream)

    @property
    def start_timeout_s(self) -> float:
        return self._limits.start_timeout_s

    @property
    def clock(self) -> Clock:
        return self._clock

    # -------------------------------------------------------------------------- what calls ask (Shell)

    def dial(self, call: Call, attempt: int) -> None:
        self._dial_times.append(self._clock.now())
        task = asyncio.get_running_loop().create_task(self._dial(call), name=f"dial {call.name}")
        self._dials[call.name] = task
        task.add_done_callback(lambda done: self._dialled(call, done))

    def _dialled(self, call: Call, task: asyncio.Task[None]) -> None:
        if self._dials.get(call.name) is task:
            del self._dials[call.name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("defect while dialling", extra={"call": call.name}, exc_info=error)
            call.feed(v.DialFailed(phase="dial", cause=f"defect: {type(error).__name__}"))

    async def _dial(self, call: Call) -> None:
        def on_phase(phase: str, ms: float) -> None:
            call.journal.note("dial.phase", self._clock.now(), phase=phase, ms=round(ms, 2))

        request: ConnectRequest = call.connect_request
        self._notes.dial(call.journal, request, self._dial_options.get("proxy"))
        try:
            await self._dialler(request, call.provider, on_phase=on_phase, **self._dial_options)
        except client.DialError as error:
            self.metrics.dial_failed(error.phase)
            call.feed(v.DialFailed(phase=error.phase, cause=str(error), status=error.status, retryable=error.retryable))

    def stop_dialling(self, call: Call) -> None:
        task = self._dials.pop(call.name, None)
        if task is not None:
            task.cancel()

    def hang_up(self, call: Call, why: str) -> None:
        task = asyncio.get_running_loop().create_task(self._hang_up(call), name=f"hang up {call.name}")
        self._hang_ups.add(task)
        task.add_done_callback(self._hang_ups.discard)

    async def _hang_up(self, call: Call) -> None:
        request = self.carrier.end_call(self.carrier_settings, call.name)
        result = await self._send_rest(request, proxy=self._rest_proxy(request.url))
        call.journal.note("rest.result", self._clock.now(), done=result.done, status=result.status, code=result.code)
        call.feed(v.HangUpFinished(ok=result.done, detail=result.detail))

    def ended(self, call: Call, end: v.EndCall) -> None:
        now = self._clock.now()
        self.calls.pop(call.name, None)
        self._facts.pop(call.name, None)
        # what follows the stream is asked for after this: a caller who was told is not told again
        self._remember(call.name, "wanted" if end.wanted or call.bridge.caller_told else "broken", now)
        self.metrics.calls_active.set(len(self.calls))
        self.metrics.call_ended(end.why, now - call.started_at)
        log.info(
            "call ended",
            extra={"call": call.name, "seconds": round(now - call.started_at, 1), "end": end.why},
        )
        if not self.calls:
            self._idle.set()

    def _remember(self, call_sid: str, how: Literal["wanted", "broken"], now: float) -> None:
        for old in [sid for sid, (_, at) in self._outcomes.items() if at < now - OUTCOME_TTL_S]:
            del self._outcomes[old]
        self._outcomes[call_sid] = (how, now)

    def observe(self, call: Call, happened: v.Event | v.Note, now: float) -> None:
        if self._observer is not None:
            self._observer(call.name, happened, now - call.started_at)

    # ------------------------------------------------------------------------------- the process's life

    def start(self) -> None:
        """Begin to watch the loop: work that blocks it is noted in every call that it hurt."""
        self._probe_lag(self._clock.now())

    def _probe_lag(self, due: float) -> None:
        now = self._clock.now()
        lag = now - due
        if lag > LAG_NOTED_S:
            self.metrics.loop_lag.observe(lag)
            for call in self.calls.values():
                call.journal.note("bridge.loop-lag", now, ms=round(lag * 1000))
        self._lag_timer = self._clock.call_at(now + LAG_PROBE_S, lambda: self._probe_lag(now + LAG_PROBE_S))

    async def drain(self) -> None:
        """Take no new calls, let the running ones end, then end them politely; returns when all are over."""
        self.draining = True
        if self.calls:
            log.info("draining", extra={"calls": len(self.calls), "seconds": self._limits.drain_s})
        await self._wait_idle(self._limits.drain_s)
        for call in list(self.calls.values()):
            if call.stream_id is None:
                call.abandon("drained before its stream came")
            else:
                call.feed(v.EndRequested(why="draining"))
        # a spoken line, its mark and the carrier's stop
        await self._wait_idle(15.0)
        for call in list(self.calls.values()):
            call.abandon("drained")
        for stream in list(self._waiting):
            stream.give_up("draining")
        if self._lag_timer is not None:
            self._lag_timer.cancel()
        if self._hang_ups:
            await asyncio.wait(self._hang_ups, timeout=5)

    async def _wait_idle(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        over = asyncio.Event()
        timer = self._clock.call_at(until, over.set)
        waits = [asyncio.create_task(self._idle.wait()), asyncio.create_task(over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for wait in waits:
                wait.cancel()


class Refused(Exception):
    """A request that is answered with a refusal."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer

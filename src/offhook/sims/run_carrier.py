"""
A simulated Twilio that really calls: signed webhook, TwiML, WebSocket, audio in real time, and what follows.

The caller's side is driven by whoever holds the ``PhoneCall``: ``say``, ``press``, ``hang_up``. A public address may
be mapped to a loopback one; signatures and the Host header keep the public name.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from offhook.net.client import DialError, dial
from offhook.net.clock import Clock, LoopClock
from offhook.net.sockets import Limits, Socket
from offhook.sims.carrier import Phone, TwimlError, Verb, parse_twiml
from offhook.wires._wire import ConnectRequest, Violation
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import sign

__all__ = ["CallFailed", "PhoneCall"]

FRAME = 160
FRAME_S = 0.02
# The line's own noise: what a phone line carries when nobody speaks is not digital silence.
QUIET = bytes((0xFF, 0x7F, 0xFE, 0x7F, 0xFF, 0xFE, 0x7E, 0xFF) * 20)


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

    ``webhook_url`` is the public one; ``connect_to`` the address that is really dialled.
    """

    def __init__(
        self,
        webhook_url: str,
        *,
        auth_token: str = "",
        connect_to: tuple[str, int] | None = None,
        caller: str = "+15550100001",
        called: str = "+15550100002",
        clock: Clock | None = None,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
        returns_marks: bool = True,
        form: Mapping[str, str] | None = None,
    ) -> None:
        self.call_sid = "CA" + secrets.token_hex(16)
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.account_sid = "AC" + "0" * 32
        self.peer = Peer(self.stream_sid, self.call_sid, self.account_sid)
        self.phone = Phone(self.peer, returns_marks=returns_marks)
        self.verbs: list[Verb] = []  # executed, in order, the stream's first
        self.closed: tuple[int | None, str, str] | None = None
        self.webhook_ms = 0.0
        self._webhook_url = webhook_url
        self._token = auth_token
        self._connect_to = connect_to
        self._clock: Clock = clock or LoopClock(asyncio.get_running_loop())
        self._on_event = on_event or (lambda kind, data: None)
        self._form = {
            "CallSid": self.call_sid,
            "AccountSid": self.account_sid,
            "From": caller,
            "To": called,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            **(form or {}),
        }
        self._say: deque[bytes] = deque()
        self._socket: Socket | None = None
        self._http = httpx2.AsyncClient(timeout=15, follow_redirects=False)
        self._began = 0.0
        self._sent_frames = 0
        self._first_timestamp_ms = 155  # audio begins some time after the stream, as captures show
        self._pending: list[Verb] = []
        self._over = asyncio.Event()
        self._pacer: asyncio.Task[None] | None = None
        self._follow: asyncio.Task[None] | None = None
        self._hung_up = False

    # ------------------------------------------------------------------------------------ the caller

    def say(self, pcmu: bytes) -> None:
        """Speak; what is still being said is said first."""
        self._say.extend(pcmu[at : at + FRAME] for at in range(0, len(pcmu), FRAME))

    @property
    def speaking(self) -> bool:
        return bool(self._say)

    def press(self, digit: str) -> None:
        self._write(self.peer.dtmf(digit))

    def hang_up(self) -> None:
        """The caller leaves: stop, then the carrier closes."""
        if self._socket is not None and not self._hung_up:
            self._hung_up = True
            self._pending.clear()
            self._write(self.peer.stop())
            self._socket.close(1000, "")

    def drop(self) -> None:
        """The connection breaks: TCP is gone without a word."""
        if self._socket is not None:
            self._socket.abort(1006, "dropped")

    @property
    def violations(self) -> list[Violation]:
        return self.peer.violations

    async def ended(self) -> None:
        """Wait until the carrier has nothing more to execute."""
        await self._over.wait()
        if self._follow is not None:
            await self._follow

    # ----------------------------------------------------------------------------------- the carrier

    async def __aenter__(self) -> PhoneCall:
        try:
            await self._place()
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.hang_up()
        if self._socket is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 3)
        for task in (self._pacer, self._follow):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._http.aclose()

    async def _place(self) -> None:
        began = asyncio.get_running_loop().time()
        verbs = await self._fetch(self._webhook_url, self._form)
        self.webhook_ms = (asyncio.get_running_loop().time() - began) * 1000
        self._on_event("webhook", {"ms": round(self.webhook_ms, 1)})
        await self._execute(verbs)
        if self._socket is None:
            self._over.set()

    async def _fetch(self, url: str, form: Mapping[str, str]) -> list[Verb]:
        """Ask the server for a document, as the carrier does."""
        headers = {"User-Agent": "TwilioProxy/1.1", "Content-Type": "application/x-www-form-urlencoded"}
        if self._token:
            headers["X-Twilio-Signature"] = sign(self._token, url, list(form.items()))
        parts = urlsplit(url)
        target = url
        if self._connect_to is not None:
            host, port = self._connect_to
            target = parts._replace(scheme="http", netloc=f"{host}:{port}").geturl()
            headers["Host"] = parts.netloc
        try:
            answer = await self._http.post(target, content=urlencode(form), headers=headers)
        except httpx2.TimeoutException:
            raise CallFailed("11200", "no answer within 15 s") from None
        except httpx2.HTTPError as error:
            raise CallFailed("11210", f"{type(error).__name__}: {error}") from None
        if answer.status_code != 200:
            raise CallFailed("11200", f"HTTP {answer.status_code}: {answer.text[:200]}")
        plain = parts.scheme == "http"
        try:
            return parse_twiml(answer.content, answer.headers.get("content-type", ""), url, plain_ws=plain)
        except TwimlError as error:
            raise CallFailed(error.code, error.why) from None

    async def _execute(self, verbs: list[Verb]) -> None:
        """Run verbs until one opens a stream or nothing is left."""
        self._pending = list(verbs)
        while self._pending:
            verb = self._pending.pop(0)
            self.verbs.append(verb)
            self._on_event("verb", {"name": verb.name, "text": verb.text})
            if verb.name == "Connect":
                await self._open(verb)
                return
            if verb.name in ("Hangup", "Reject"):
                self._pending.clear()
            elif verb.name == "Redirect":
                self._pending = await self._fetch(verb.text, self._form)

    async def _open(self, verb: Verb) -> None:
        self._stream_verb = verb
        headers = [("User-Agent", "Twilio.TmeWs/1.0")]
        if self._token:
            headers.append(("X-Twilio-Signature", sign(self._token, verb.stream_url)))
        url = verb.stream_url
        if self._connect_to is not None:
            parts = urlsplit(url)
            headers.append(("Host", parts.netloc))
            url = parts._replace(scheme="ws", netloc=parts.netloc).geturl()
        listener = _Line(self)
        try:
            self._socket = await dial(
                ConnectRequest(url=url, headers=tuple(headers)),
                listener,
                connect_to=self._connect_to,
                limits=Limits(max_message_bytes=16 * 1024 * 1024),
            )
        except DialError as error:
            raise CallFailed(_code_of(error), str(error)) from None
        self._on_event("stream", {})
        self._write(self.peer.connected())
        self._write(self.peer.start(verb.parameters))
        self._began = self._clock.now()
        self._pacer = asyncio.create_task(self._pace(), name="caller's audio")

    async def _pace(self) -> None:
        """A frame every 20 ms: speech where there is some, else the line's quiet."""
        while self._socket is not None and not self._hung_up:
            due = self._began + self._sent_frames * FRAME_S
            wait = asyncio.Event()
            self._clock.call_at(due, wait.set)
            await wait.wait()
            if self._socket is None or self._hung_up:
                return
            audio = self._say.popleft() if self._say else QUIET
            self._write(self.peer.media(audio, self._first_timestamp_ms + self._sent_frames * 20))
            self._sent_frames += 1
            if not self._say and audio is not QUIET:
                self._on_event("said", {})
            for message in self.phone.tick(self._clock.now()):
                self._write(message)

    def _write(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send(message)

    def _received(self, data: bytes, binary: bool) -> None:
        for message in self.phone.receive(data, self._clock.now(), binary=binary):
            self._write(message)

    def _stream_closed(self, code: int | None, reason: str, by: str) -> None:
        self.phone.tick(self._clock.now())
        self.closed = (code, reason, by)
        self._socket = None
        self._on_event("closed", {"code": code, "by": by})
        self._follow = asyncio.create_task(self._after_stream(), name="after the stream")

    async def _after_stream(self) -> None:
        """The action, or the next verb; a caller who has left hears neither."""
        try:
            if self._hung_up:
                return
            action = self._stream_verb.attributes.get("action")
            if action:
                self._pending = await self._fetch(action, {**self._form, "CallStatus": "in-progress"})
            await self._execute(self._pending)
        finally:
            self._over.set()


class _Line:
    """The stream's callbacks."""

    def __init__(self, call: PhoneCall) -> None:
        self._call = call

    def opened(self, socket: Socket) -> None:
        """The dialler returns the socket as well."""

    def text(self, data: bytes) -> None:
        self._call._received(data, False)

    def binary(self, data: bytes) -> None:
        self._call._received(data, True)

    def closed(self, code: int | None, reason: str, by: str) -> None:
        self._call._stream_closed(code, reason, by)

    def paused(self, n_bytes: int) -> None:
        """The server reads slowly; the carrier goes on and drops in the end."""

    def resumed(self) -> None:
        """The server reads again."""


def _code_of(error: DialError) -> str:
    """What the carrier's debugger shows for a failed stream connection."""
    if error.phase == "tls":
        return "31910"
    if error.phase == "upgrade":
        return "31920" if error.status is not None else "31910"
    return {"dns": "31904", "tcp": "31902"}.get(error.phase, "31901")

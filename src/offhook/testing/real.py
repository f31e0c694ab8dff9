"""
Over real sockets: a phone that calls anybody's server, and fake providers that anybody's server can dial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from offhook.evidence.record import Recording
from offhook.net.server import UpgradeRequest
from offhook.sims import run_carrier
from offhook.sims.carrier import Phone
from offhook.sims.carrier_faults import parse_fault
from offhook.sims.observer import Observer
from offhook.sims.provider import SimProvider
from offhook.sims.provider_scene import Answer
from offhook.sims.run_provider import FakeProvider
from offhook.testing.heard import HeardCall
from offhook.testing.loop import Background
from offhook.testing.speech import Said, speech
from offhook.wires.carriers._twilio_peer import Peer

__all__ = ["PhoneCall", "Provider"]

POLL_S = 0.02
QUIET_S = 0.6


class Provider:
    """
    A fake provider on a port of its own. Point your server at ``url`` (or ``http_url``, for clients that want http).

    Refuses what the real one refuses; ``script`` is what it answers, ``faults`` are names of
    ``offhook fake NAME --list-faults``.
    """

    def __init__(
        self,
        background: Background,
        name: str,
        *,
        script: Iterable[Answer] | None = None,
        faults: Iterable[str] = (),
        **knobs: Any,
    ) -> None:
        answers = tuple(script) if script is not None else (Answer(audio=speech(2.5), transcript="Of course."),)
        self._background = background
        self._fake = FakeProvider(name, script=answers, faults=tuple(faults), **knobs)
        background.run(self._fake.__aenter__())

    def close(self) -> None:
        self._background.run(self._fake.__aexit__())

    @property
    def url(self) -> str:
        return self._fake.url

    @property
    def http_url(self) -> str:
        return self._fake.http_url

    @property
    def sessions(self) -> Sequence[SimProvider]:
        """Every session so far; ``sessions[0].peer.received`` is what it was told."""
        return self._fake.sessions

    @property
    def requests(self) -> Sequence[UpgradeRequest]:
        """Every upgrade that was asked for, refused ones too."""
        return self._fake.requests

    @property
    def open(self) -> int:
        """Sessions that are open now: 0 after a call, or your server leaks them."""
        return self._fake.open


class PhoneCall(HeardCall):
    """
    A simulated call over real sockets, in real time; it is answered when this returns.

    Give a webhook's URL, or with ``stream_url`` a media stream's. ``faults`` are the simulated carrier's
    (``offhook dial --list-faults``). What stops a call from coming about raises CallFailed with the carrier's code.
    """

    def __init__(
        self,
        background: Background,
        webhook_url: str = "",
        *,
        stream_url: str = "",
        auth_token: str = "",
        parameters: Mapping[str, str] | None = None,
        faults: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self._background = background
        self._utterances = []
        self._left = False
        self._made: Recording | None = None
        target = webhook_url or stream_url
        host, port = urlsplit(target).hostname or "", urlsplit(target).port
        local = (host, port or 80) if host in ("127.0.0.1", "localhost") else None
        options.setdefault("connect_to", local)
        now = background.loop.time()
        sees = ("webhook", "carrier") if webhook_url else ("carrier",)
        self._seen = _Seen(Observer(now, source="dial", sees=sees))

        async def place() -> run_carrier.PhoneCall:
            call = run_carrier.PhoneCall(
                webhook_url, stream_url=stream_url, auth_token=auth_token, parameters=parameters,
                faults=[parse_fault(name) for name in faults], on_event=self._seen.event, on_frame=self._seen.frame,
                **options,
            )  # fmt: skip
            self._seen.begin(call)
            await call.__aenter__()
            return call

        self._call = background.run(place())

    # ------------------------------------------------------------------------------------- the caller

    def say(self, said: Said = 2.0) -> PhoneCall:
        """Speak, and wait until it has been said."""
        audio = speech(said)
        began = self._background.loop.time()
        self._do(lambda: self._call.say(audio))
        self._until(lambda: not self._call.speaking or self.over, len(audio) / 8000 + 5)
        self._utterances.append((began, self._background.loop.time()))
        return self

    def press(self, keys: str) -> PhoneCall:
        for key in keys:
            self._do(lambda key=key: self._call.press(key))
            self.wait(0.25)
        return self

    def wait(self, seconds: float) -> PhoneCall:
        self._background.run(asyncio.sleep(seconds), seconds + 10)
        return self

    def wait_for_reply(self, limit_s: float = 15.0) -> PhoneCall:
        """Until something new was heard, and it is over; or the limit, or the call's end."""
        before = self.heard_ms
        self._until(lambda: self.heard_ms > before or self.over, limit_s)
        state = {"ms": self.heard_ms, "at": self._background.loop.time()}

        def quiet() -> bool:
            if self.heard_ms != state["ms"]:
                state.update(ms=self.heard_ms, at=self._background.loop.time())
            return self.over or self._background.loop.time() - state["at"] > QUIET_S

        self._until(quiet, limit_s + 60)
        return self

    def hang_up(self) -> PhoneCall:
        if not self._left:
            self._left = True
            self._background.run(self._call.__aexit__())
        return self

    close = hang_up

    @property
    def over(self) -> bool:
        """Whether the stream has ended, whoever ended it."""
        return self._call.closed is not None

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """What the carrier's debugger would show: codes, and what they mean here."""
        return list(self._call.alerts)

    def _do(self, what: Any) -> None:
        async def there() -> None:
            what()

        self._background.run(there())

    def _until(self, happened: Any, limit_s: float) -> None:
        async def look() -> None:
            until = self._background.loop.time() + limit_s
            # two programs: there is no event to wait for
            while not happened() and self._background.loop.time() < until:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)

        self._background.run(look(), limit_s + 10)

    def _phone(self) -> Phone | None:
        return self._call.phone

    def _recording(self) -> Recording:
        if self._made is None:
            self.hang_up()
            self._made = self._seen.observer.recording(self._background.loop.time())
        return self._made

    def _context(self) -> str:
        return super()._context() + f"; the carrier's debugger: {self.alerts or 'nothing'}"


class _Seen:
    """Writes the call down as it goes by."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._hooks = 0
        self._peer: Peer | None = None

    def begin(self, call: run_carrier.PhoneCall) -> None:
        self.observer.call_placed(call.call_sid, "inbound", call.form)
        self._peer = Peer(call.stream_sid, call.call_sid, call.form["AccountSid"])
        self._peer.start({})
        self.observer.judged_by(self._peer)

    def frame(self, to_server: bool, data: bytes, now: float, binary: bool) -> None:
        assert self._peer is not None
        if to_server:
            self.observer.from_carrier(data, binary, now)
        else:
            self._peer.receive(data, now, binary=binary)
            self.observer.to_carrier(data, binary, now)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        if kind == "webhook":
            self._hooks += 1
            answer = data["answer"]
            parts = urlsplit(answer.request.url)
            self.observer.note(
                "webhook", now, n=self._hooks, method=answer.request.method, scheme=parts.scheme, host=parts.hostname,
                port=parts.port, path=parts.path, query_keys=[], status=answer.status, ms=answer.ms,
                content_type=answer.content_type, bytes=len(answer.body), why=answer.why,
            )  # fmt: skip
        elif kind == "document" and data["answer"].body:
            answer = data["answer"]
            self.observer.document(answer.body, answer.code, answer.why, now)
        elif kind == "upgrade":
            parts = urlsplit(data["url"])
            self.observer.note(
                "upgrade", now, path=parts.path, query_keys=[], host=parts.hostname, status=data["status"] or 0,
                ms=data["ms"], why=data["why"], headers={"upgrade": True, "connection": True},
            )  # fmt: skip
        elif kind == "alert":
            self.observer.note("alert", now, code=data["code"], text=data["text"], **{"from": "dial"})
        elif kind == "closed":
            self.observer.closed("carrier", data["code"], data["reason"], data["by"], now)

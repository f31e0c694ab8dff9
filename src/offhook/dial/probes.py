"""
Single probes of a server, each a short call or request of its own with one thing bent.

A probe says what it saw: the server went on as without the bend, or it did not. Where even the plain call is over at
once, nothing can be told by a bent one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

import httpx2
import msgspec

from offhook.dial.call import Result, place
from offhook.dial.plan import Plan, route_of
from offhook.net.client import default_tls
from offhook.net.clock import LoopClock
from offhook.sims.carrier_faults import parse_fault
from offhook.sims.line import SimCarrier
from offhook.sims.run_carrier import ACCOUNT
from offhook.sims.run_stream import Stream, StreamFailed
from offhook.sims.run_webhook import Webhooks
from offhook.sims.scenario import Scenario, Step
from offhook.sims.twiml import Document, Verb
from offhook.sims.webhook import Answer, Signer
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import SETTINGS_HEADER, sign

__all__ = ["Bench", "Found", "ends", "oddities", "signatures", "upgrades", "waiting", "webhooks"]

State = Literal["pass", "fail", "not testable"]
Found = dict[str, tuple[State, str]]
AT_ONCE = 6  # calls side by side: enough to be quick, few enough for a server on a laptop
LISTEN_S = 1.2
NO_START_S = 15.0
STOP_S = 4.0
PASS: tuple[State, str] = ("pass", "")


class Bench:
    """The server under test, asked by many probes at once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.plain_survives: bool | None = None
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._streams: list[Stream] = []
        self._clock = LoopClock(asyncio.get_running_loop())

    async def conversation(self) -> Result:
        """The caller of the plan, who also cuts in."""
        steps = self.plan.scenario.steps
        cut = Step("barge-in", "caller_services", within_s=4.0, after_ms=600.0, optional=True)
        again = (Step("say", "caller_hours"), cut, Step("wait-for-agent", "done", within_s=4.0, optional=True))
        scenario = Scenario((*steps[:-1], *again, Step("hang-up", "true")), "conformance", self.plan.scenario.max_s)
        return await place(msgspec.structs.replace(self.plan, scenario=scenario))

    async def short(self, *faults: str, seconds: float = LISTEN_S, press: str = "") -> Result:
        """A caller who says something for a moment and leaves, with ``faults``."""
        steps = [Step("press", press)] if press else []
        scenario = Scenario(
            (Step("say", "babble:0.6"), *steps, Step("silence", seconds - 0.6), Step("hang-up", "true"))
        )
        plan = msgspec.structs.replace(
            self.plan, scenario=scenario, faults=tuple(parse_fault(text) for text in faults), presses=()
        )
        async with self._limit:
            return await place(plan)

    async def survives(self, *faults: str, press: str = "") -> tuple[State, str]:
        """Whether the server keeps the stream open as it does without the faults."""
        if self.plain_survives is None:
            self.plain_survives = _kept(await self.short())
        if not self.plain_survives:
            return "not testable", "the plain call is over at once as well"
        result = await self.short(*faults, press=press)
        if _kept(result):
            return PASS
        bend = ", ".join(faults) or "keys"
        return "fail", f"the stream is over with {bend}: {result.ended}"

    async def document(
        self, signer: Signer | None = None, *, method: str = "POST", extra: Mapping[str, str] | None = None
    ) -> tuple[Document | None, Answer]:
        """What the webhook answers to a fresh call."""
        hooks = Webhooks(route_of(self.plan), signer or Signer(self.plan.token))
        form = {"CallSid": "CA" + secrets.token_hex(16), "AccountSid": ACCOUNT, "From": self.plan.caller,
                "To": self.plan.called, "CallStatus": "ringing", "Direction": "inbound",
                "ApiVersion": "2010-04-01", **(extra or {})}  # fmt: skip
        try:
            return await hooks.document(self.plan.webhook_url, form, first=True, method=method)
        finally:
            await hooks.close()

    async def verb(self) -> Verb | None:
        """Where the stream goes to."""
        if self.plan.kind == "stream":
            return Verb(name="Connect", stream_url=self.plan.stream_url, parameters=dict(self.plan.parameters))
        document, _ = await self.document()
        return document.stream if document is not None else None

    async def opened(self, headers: Sequence[tuple[str, str]], *, path: str = "") -> int | None:
        """The status that an upgrade with ``headers`` gets: 101, another, or None where no answer came."""
        verb = await self.verb()
        if verb is None:
            return None
        async with self._limit:
            url = urlsplit(verb.stream_url)._replace(path=path).geturl() if path else verb.stream_url
            carrier = SimCarrier(Peer("MZ" + secrets.token_hex(16), "CA" + secrets.token_hex(16), ACCOUNT))
            carrier.begin_with(verb.parameters)
            stream = Stream(
                carrier, self._clock, on_frame=lambda *_: None, on_closed=lambda *_: None,
                on_wanted=lambda *_: None, on_code=lambda *_: None,
            )  # fmt: skip
            self._streams.append(stream)
            try:
                await stream.dial(url, route_of(self.plan), headers)
            except StreamFailed as error:
                return error.status
            stream.write(carrier.hang_up(self._clock.now()))
            return 101

    async def close(self) -> None:
        for stream in self._streams:
            await stream.gone()


def _kept(result: Result) -> bool:
    """Whether the stream was open until the caller left."""
    return result.facts.stream_opened and result.facts.closed_by == "us"


def _same(a: Document | None, b: Document | None) -> bool:
    """Whether two answers lead to the same stream."""
    one, other = (document.stream if document is not None else None for document in (a, b))
    return one is not None and other is not None and one.stream_url == other.stream_url


async def webhooks(bench: Bench) -> Found:
    """W13, W16, S01, S02."""
    if bench.plan.kind != "webhook":
        return {}
    plain, _ = await bench.document()
    if plain is None:
        return {}
    extra, _ = await bench.document(extra={"OffhookUnheardOf": "1", "OffhookBlank": ""})
    got, answer = await bench.document(method="GET")
    found: Found = {}
    found["W13"] = PASS
    if not _same(plain, got):
        found["W13"] = ("fail", f"GET is answered {answer.status or answer.why}")
    elif not _same(plain, extra):
        found["W13"] = ("fail", "an unknown parameter changes the answer")
    if bench.plan.token:
        found["S01"] = PASS if _same(plain, extra) else ("fail", "a blank, unknown parameter breaks the signature")
        tampered, _ = await bench.document(Signer(bench.plan.token, "body"))
        if tampered is not None and tampered.stream is not None:
            found["S01"] = ("fail", "a form that the signature does not cover is taken")
    found["W16"] = found["S02"] = await _forged(bench, plain)
    return found


async def _forged(bench: Bench, plain: Document) -> tuple[State, str]:
    """Whether a forged host changes the stream's URL."""
    verb = plain.stream
    if verb is None:
        return "not testable", "no stream in the document"
    forged = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http"), ("X-Original-Host", "evil.example")]
    signer = _Extra(bench.plan.token, forged)
    other, answer = await bench.document(signer)
    if other is None:
        return "fail", f"a forged X-Forwarded-Host: {answer.why}"
    if not _same(plain, other):
        seen = other.stream.stream_url if other.stream is not None else "no stream"
        return "fail", f"a forged X-Forwarded-Host changes the stream to {seen}"
    return PASS


class _Extra(Signer):
    """Signs as the carrier does, and sends headers that it never sends."""

    def __init__(self, token: str, more: Sequence[tuple[str, str]]) -> None:
        super().__init__(token)
        self._more = list(more)

    def headers(self, url: str, form: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        return [*super().headers(url, form), *self._more]


async def upgrades(bench: Bench) -> Found:
    """H08, H13, H14, L12."""
    verb = await bench.verb()
    if verb is None:
        return {}
    signed = Signer(bench.plan.token).headers(verb.stream_url)
    odd = [(name.upper(), value) for name, value in signed] + [
        ("X-Offhook-Unheard-Of", "1"),
        ("x-forwarded-for", "::1"),
    ]
    status = await bench.opened(odd)
    found: Found = {"H08": PASS if status == 101 else ("fail", f"answered {status}")}
    found["H13"] = await _plain_get(bench, verb.stream_url)
    second = await bench.survives("second-stream@300ms")
    found["H14"] = found["L12"] = second
    return found


async def _plain_get(bench: Bench, url: str) -> tuple[State, str]:
    """A GET on the stream's path that asks for no WebSocket."""
    route, parts = route_of(bench.plan), urlsplit(url)
    secure = parts.scheme == "wss" and not route.plain(url)
    host, port = route.address(url) or (parts.hostname or "", parts.port or (443 if secure else 80))
    target = parts._replace(scheme="https" if secure else "http", netloc=f"{host}:{port}").geturl()
    try:
        async with httpx2.AsyncClient(timeout=5, trust_env=False, verify=route.tls or default_tls()) as http:
            got = await http.get(target, headers={"Host": parts.netloc})
    except httpx2.HTTPError as error:
        return "fail", f"no answer: {type(error).__name__}"
    return PASS if 400 <= got.status_code < 500 else ("fail", f"answered {got.status_code}")


async def signatures(bench: Bench) -> Found:
    """H09 to H12, by upgrades that are signed rightly and wrongly."""
    if not bench.plan.token:
        why: tuple[State, str] = ("not testable", "no auth token was given: --auth-token-env")
        return {sid: why for sid in ("H09", "H10", "H11", "H12", "S01")}
    verb = await bench.verb()
    if verb is None:
        return {}
    token, url = bench.plan.token, verb.stream_url
    parts = urlsplit(url)
    port = parts._replace(netloc=f"{parts.hostname}:{parts.port or 443}").geturl()
    found: Found = {}
    status = await bench.opened([("X-Twilio-Signature", sign(token, port))])
    found["H09"] = PASS if status == 101 else ("fail", f"a signature over {parts.hostname}:443 is answered {status}")
    status = await bench.opened([("X-Twilio-Signature", sign(token + "x", url))])
    found["H10"] = PASS if status == 403 else _taken("a wrong signature", status)
    status = await bench.opened([])
    found["H11"] = PASS if status is not None and 400 <= status < 500 else _taken("a missing signature", status)
    settings = (SETTINGS_HEADER.value, "key=k1,algorithm=HMAC_MD5")
    status = await bench.opened([settings, ("X-Twilio-Signature", sign(token, url))])
    found["H12"] = PASS if status is not None and 400 <= status < 500 else _taken("an unknown algorithm", status)
    return found


def _taken(what: str, status: int | None) -> tuple[State, str]:
    return "fail", f"{what} is taken" if status == 101 else f"{what} is answered {status}, wanted 403"


async def oddities(bench: Bench) -> Found:
    """What a carrier may send, and what a peer may send wrongly, one call each."""
    bends: dict[str, tuple[str, ...]] = {
        "I04": ("number-types",), "I06": ("unknown-event",), "I07": ("unknown-field",), "I08": ("odd-frames",),
        "I10": ("loss=0.1",), "I15": ("malformed-json", "binary-frame@600ms"), "I16": ("other-stream",),
        "P03": ("unknown-mark",), "P10": ("no-marks", "no-marks-on-clear"), "L05": ("second-stop",),
    }  # fmt: skip
    await bench.survives()  # the plain call first: the others are compared with it
    verb = await bench.verb()
    if verb is not None and not verb.parameters:
        bends["I14"] = ("no-parameters",)
    states = await asyncio.gather(*(bench.survives(*faults) for faults in bends.values()))
    found: Found = dict(zip(bends, states, strict=True))
    if "I14" not in found:
        found["I14"] = ("not testable", "the server's own TwiML has parameters, and may need them")
    found["I13"] = await bench.survives(press="1*#")
    return found


async def waiting(bench: Bench) -> Found:
    """I02 and S05: what happens on a stream that has no start."""
    scenario = Scenario((Step("silence", NO_START_S), Step("hang-up", "true")))
    plan = msgspec.structs.replace(bench.plan, scenario=scenario, faults=(parse_fault("no-start"),), presses=())
    result = await place(plan)
    if not result.facts.stream_opened:
        return {}
    early = result.figures.messages
    closed = result.facts.closed_by != "us"
    return {
        "I02": ("fail", f"{early} messages before start") if early else PASS,
        "S05": ("pass", f"closed after {result.facts.closed_at_s:.0f} s") if closed else
        ("fail", f"still open after {NO_START_S:.0f} s without start"),
    }  # fmt: skip


async def ends(bench: Bench) -> Found:
    """L03, L04: stop without a close, and a connection that breaks."""
    stopped, _ = await asyncio.gather(
        bench.short("stop-without-close@1s", seconds=1.0 + STOP_S), bench.short("drop@600ms")
    )
    found: Found = {}
    if stopped.facts.stream_opened:
        after, closed = stopped.facts.after_stop, stopped.facts.closed_by == "them"
        if after:
            found["L03"] = ("fail", f"{after} messages after stop")
        else:
            found["L03"] = PASS if closed else ("fail", f"the stream is still open {STOP_S:.0f} s after stop")
    again = await bench.short()
    found["L04"] = ("not testable", "the server goes on; what it leaves behind shows only inside it") if _kept(
        again) or not bench.plain_survives else ("fail", "after a broken connection the next call fails")  # fmt: skip
    return found

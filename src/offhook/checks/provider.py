"""
The provider proven without the phone: dns, tcp, tls, upgrade, first message, session applied = asked; and with
``live`` a spoken sentence in, its transcript back, an answer out that can be heard. Once for every provider, key, model
and voice that an agent has.

Needs neither a carrier nor a bridge: the provider's own leg, a socket, and a shipped recording of a question.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct, structs, to_builtins

from offhook import vocab as v
from offhook.checks import settings as judge
from offhook.checks._check import Ask, Check, State, Trail
from offhook.checks.agents import Group, Ready, groups
from offhook.loopback.lines import CALLER, audio
from offhook.media.levels import SPEECH_CLASS, Meter
from offhook.net.client import DialError, choose_proxy, dial
from offhook.net.sockets import Socket
from offhook.settings import Settings

__all__ = ["CHECK", "Phase", "Result", "check"]

OnPhase = Callable[[str, str, float | None, str], None]
QUESTION = "caller_hours"
TRAIL = b"\xff\x7f" * 80
ANSWER_S = 20.0
STEP_S = 10.0
GROUP_S = 75.0


class Phase(Struct, frozen=True):
    """One step of the check."""

    name: str
    state: State
    ms: float | None
    detail: str


class Result(Struct, frozen=True):
    """What was proven."""

    verdict: State
    sentence: str
    phases: tuple[Phase, ...]
    usage: dict[str, int]

    def as_data(self) -> dict[str, Any]:
        data: dict[str, Any] = to_builtins(self)
        return data


class _Stop(Exception):
    """A phase failed: nothing after it can be judged."""


def _asked(ready: Ready) -> tuple[str, ...]:
    """What a provider is asked for: agents with the same need one proof."""
    session = ready.session
    return (ready.provider.NAME, session.url, session.api_key, session.model, session.voice)


async def check(
    settings: Settings, *, live: bool, on_phase: OnPhase = lambda *_: None, group: Group | None = None
) -> Result:
    """Run the phases in order; the first that fails names the boundary. Without a ``group``: of the default agent."""
    child = None
    group = group or groups(settings, _asked)[0]
    module, session = group.ready.provider, group.session
    if module.NAME == "loopback" and not group.ready.profile["url"]:
        from offhook.loopback.child import Receptionist

        child = Receptionist()
        session = structs.replace(session, url=await child.start())
    run = _Run(module, session, settings, on_phase)
    try:
        await run.go(live)
    except _Stop:
        pass  # the failed phase is in the list
    finally:
        run.close()
        if child is not None:
            await child.stop()
    return run.result(live)


class _Run:
    def __init__(self, module: Any, session: Any, settings: Settings, on_phase: OnPhase) -> None:
        self._module = module
        self._session = session
        self._settings = settings
        self._on_phase = on_phase
        self._leg = module.Leg(session)
        self._events: asyncio.Queue[v.Event] = asyncio.Queue()
        self._socket: Socket | None = None
        self._loop = asyncio.get_running_loop()
        self.phases: list[Phase] = []
        self.usage: dict[str, int] = {}
        self._opened_at = 0.0
        self._meter = Meter()
        self._said = ""

    # the socket's callbacks

    def opened(self, socket: Socket) -> None:
        self._socket = socket
        self._opened_at = self._loop.time()

    def text(self, data: bytes) -> None:
        self._events.put_nowait(self._leg.receive(data, self._loop.time()))

    def binary(self, data: bytes) -> None:
        self._events.put_nowait(self._leg.receive(data, self._loop.time(), binary=True))

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self._events.put_nowait(v.LegClosed(leg=v.Leg.PROVIDER, code=code, reason=reason, by=by))

    def paused(self, n_bytes: int) -> None:
        """A check sends less than any buffer holds."""

    def resumed(self) -> None:
        """See ``paused``."""

    # the phases

    def _add(self, name: str, state: State, ms: float | None, detail: str) -> None:
        self.phases.append(Phase(name, state, round(ms, 1) if ms is not None else None, detail))
        self._on_phase(name, state, ms, detail)
        if state == "broken":
            raise _Stop

    async def go(self, live: bool) -> None:
        await self._connect()
        traits = self._module.traits(self._session)
        if traits.speaks_first == "provider":
            began = self._loop.time()
            await self._expect("first message", v.SessionGreeted, began, "the provider greeted")
        await self._configure(traits)
        if not live:
            for name in ("audio in", "transcript back", "audio out"):
                self._add(name, "not proven", None, "--live speaks to it")
            return
        await self._speak()

    async def _connect(self) -> None:
        def done(phase: str, ms: float) -> None:
            self._add(phase, "proven", ms, "")

        try:
            await dial(
                self._module.connect_request(self._session),
                self,
                timeout_s=self._settings["provider.dial_timeout_s"],
                on_phase=done,
                proxy=choose_proxy(self._session.url, self._settings.environment),
            )
        except DialError as error:
            self._add(error.phase, "broken", None, str(error))

    async def _configure(self, traits: v.ProviderTraits) -> None:
        began = self._loop.time()
        self._send(v.ConfigureSession())
        event = await self._next((v.SessionConfigured, v.SessionRejected), STEP_S)
        ms = (self._loop.time() - began) * 1000
        if isinstance(event, v.SessionConfigured):
            odd = "; ".join(f"{d.field}: asked {d.asked}, got {d.got}" for d in event.differences)
            fatal = any(d.fatal or d.field == "model" for d in event.differences)
            self._add("session applied", "broken" if fatal else "proven", ms, odd or "applied = asked")
        elif isinstance(event, v.SessionRejected):
            self._add("session applied", "broken", ms, f"rejected {event.field or ''}: {event.message}")
        else:
            self._add("session applied", "broken", ms, self._why(event))

    async def _speak(self) -> None:
        """A question in real time, then what comes back."""
        line = TRAIL * 10 + audio(QUESTION)
        sending = asyncio.create_task(self._send_line(line))
        began = self._loop.time()
        try:
            event = await self._next((v.SpeechStarted,), ANSWER_S)
            heard_ms = (self._loop.time() - began) * 1000
            if event is None or not isinstance(event, v.SpeechStarted):
                self._add("audio in", "broken", heard_ms, "speech was not noticed: " + self._why(event))
            self._add("audio in", "proven", heard_ms, f"speech noticed: “{CALLER[QUESTION]}”")
            await self._answer()
        finally:
            sending.cancel()

    async def _send_line(self, line: bytes) -> None:
        began = self._loop.time()
        n = 0
        while True:  # after the question the line stays open, as a caller's does
            frame = line[n * 160 : n * 160 + 160] or TRAIL
            self._send(v.AppendAudio(base64.b64encode(frame), len(frame)))
            n += 1
            await asyncio.sleep(max(0.0, began + n * 0.02 - self._loop.time()))

    async def _answer(self) -> None:
        began = self._loop.time()
        transcript: str | None = None
        audible_ms: float | None = None
        deadline = began + ANSWER_S
        while (transcript is None or audible_ms is None) and self._loop.time() < deadline:
            wanted = (v.CallerTranscript, v.AgentAudio, v.ResponseDone)
            event = await self._next(wanted, deadline - self._loop.time())
            if isinstance(event, v.CallerTranscript) and event.final:
                transcript = event.text
                self._add("transcript back", "proven", (self._loop.time() - began) * 1000, f"“{event.text}”")
            elif isinstance(event, v.AgentAudio):
                for at in range(0, len(event.payload), 216):  # 162 bytes: all of it counts, an answer may be short
                    self._meter.look(event.payload[at : at + 216])
                if self._judged() not in ("silent", "near silence", "not proven") and audible_ms is None:
                    audible_ms = (self._loop.time() - began) * 1000
            elif isinstance(event, v.ResponseDone):
                self.usage = event.usage or {}
                if event.status == "failed":
                    self._add("audio out", "broken", None, f"the response failed: {event.reason}")
            elif event is None:
                break  # what came is judged below
            elif not isinstance(event, v.CallerTranscript):
                self._add("audio out", "broken", None, self._why(event))
        if transcript is None:
            self._add("transcript back", "not proven", None, "no transcript came; the model may answer all the same")
        judged = self._judged()
        if audible_ms is None or judged != "ok":
            why = self._why(None) if judged == "not proven" else f"nothing to be heard: {judged}"
            self._add("audio out", "broken", audible_ms, why)
        await self._rest_of_answer(deadline)
        self._add("audio out", "proven", audible_ms, f"audible PCMU: “{self._said or '…'}”")

    def _judged(self) -> str:
        """What the answer's audio is; "near silence" where no moment of it is as loud as speech on a phone line."""
        judged = self._meter.judge()
        loud = sum(self._meter.snapshot()["levels"][SPEECH_CLASS:])
        return "near silence" if judged == "ok" and not loud else judged

    async def _rest_of_answer(self, deadline: float) -> None:
        while not self.usage and self._loop.time() < deadline:
            event = await self._next((v.ResponseDone,), min(5.0, deadline - self._loop.time()))
            if not isinstance(event, v.ResponseDone):
                return
            self.usage = event.usage or {"responses": 1}

    async def _expect(self, name: str, kind: type[v.Event], began: float, detail: str) -> None:
        event = await self._next((kind,), STEP_S)
        state: State = "proven" if isinstance(event, kind) else "broken"
        self._add(name, state, (self._loop.time() - began) * 1000, detail if state == "proven" else self._why(event))

    async def _next(self, wanted: tuple[type[v.Event], ...], seconds: float) -> v.Event | None:
        """The next event of a kind, or the one that ends all hope; None after ``seconds``."""
        try:
            async with asyncio.timeout(max(0.01, seconds)):
                while True:
                    event = await self._events.get()
                    if isinstance(event, v.AgentTranscript) and event.final:
                        self._said = event.text
                    hopeless = isinstance(event, v.LegClosed) or (isinstance(event, v.ProviderError) and event.fatal)
                    if isinstance(event, wanted) or hopeless:
                        return event
        except TimeoutError:
            return None

    def _why(self, event: v.Event | None) -> str:
        if isinstance(event, v.LegClosed):
            said: str = self._module.explain_close(event.code, event.reason)
            return said
        if isinstance(event, v.ProviderError):
            return f"{event.code}: {event.message}"
        return "nothing came in time"

    def _send(self, command: v.Command) -> None:
        if self._socket is not None:
            for message in self._leg.send(command):
                self._socket.send(message)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close(1000, "")

    def result(self, live: bool) -> Result:
        broken = next((phase for phase in self.phases if phase.state == "broken"), None)
        label = self._module.LABEL
        if broken is not None:
            sentence = f"{label} breaks at “{broken.name}”: {broken.detail}"
            return Result("broken", sentence, tuple(self.phases), self.usage)
        cost = self._cost()
        if not live:
            sentence = f"{label}: connection and session are proven; --live proves audio both ways"
            return Result("not proven", sentence, tuple(self.phases), self.usage)
        sentence = f"{label} hears, understands and answers; {cost}"
        return Result("proven", sentence, tuple(self.phases), self.usage)

    def _cost(self) -> str:
        """What the check cost, by the wire's dated prices: by token, or by the minute that the session was open."""
        if not self._module.KEY_ENV:
            return "it costs nothing"
        per_minute = getattr(self._module, "PRICE_PER_MINUTE", None)
        if per_minute is not None:
            seconds = self._loop.time() - self._opened_at
            return f"cost about ${per_minute.value * seconds / 60:.4f} ({seconds:.0f} s, price of {per_minute.checked})"
        prices = self._module.PRICES
        price = prices.value.get(self._session.model)
        if price is None or "output_token_details.audio_tokens" not in self.usage:
            return f"cost unknown (usage: {self.usage or 'not reported'})"
        kinds = [f"{way}_token_details.{what}_tokens" for what in ("text", "audio") for way in ("input", "output")]
        dollars = sum(self.usage.get(kind, 0) * each for kind, each in zip(kinds, price, strict=True)) / 1e6
        return f"cost about ${dollars:.4f} (prices of {prices.checked})"


_FIX: dict[str, tuple[str, str]] = {
    "dns": ("let this machine resolve the provider's name, or correct provider.url", "F-016"),
    "tcp": ("let this machine reach the provider on port 443", "F-016"),
    "proxy": ("correct or unset the proxy variable that was used, or add the provider to NO_PROXY", "F-015"),
    "tls": ("look for what intercepts TLS between here and the provider", "F-016"),
    "upgrade": ("what the provider answered says which: key, model or URL", "F-005 F-091 F-092 F-094"),
    "first message": ("the provider accepted the connection and said nothing: see its status page", "F-118 F-120"),
    "session applied": ("correct the setting that is named", "F-092 F-093 F-098 F-099 F-127"),
    "audio in": ("the format of what is sent, or the provider's turn detection", "F-103 F-126"),
    "audio out": ("see what the provider said of the response", "F-101 F-105 F-116 F-127"),
}


async def _run_check(ask: Ask, trail: Trail) -> str:
    kinds = ("provider.", "agent.", "agents.")
    for problem in judge.problems(ask.settings):
        if problem.setting.startswith(kinds):
            trail.broken(problem.setting, f"got {problem.got}, wanted {problem.wanted}", fix=problem.fix)
    all_of_them = groups(ask.settings, _asked)
    able = [group for group in all_of_them if not group.ready.provider.check(group.ready.session)]
    several = len(all_of_them) > 1
    said = []
    for group in able:
        sentence = await _one(ask, trail, group, f"{group.said}: " if several else "")
        said.append(f"{group.said}: {sentence}" if several else sentence)
    return "; ".join(said)


async def _one(ask: Ask, trail: Trail, group: Group, whose: str) -> str:
    """The phases of one group's session, as steps; the sentence on it."""

    def tell(name: str, state: str, ms: float | None, detail: str) -> None:
        if state == "proven":
            trail.proven(whose + name, detail, ms=ms)
        elif state == "broken":
            fix, decides = _FIX.get(name, ("see what was said", ""))
            trail.broken(whose + name, detail, ms=ms, fix=fix, decides=decides)
        else:
            trail.unproven(whose + name, detail, ms=ms, fix="offhook check provider --live")

    try:
        async with asyncio.timeout(GROUP_S):
            return (await check(ask.settings, live=ask.live, on_phase=tell, group=group)).sentence
    except TimeoutError:
        fix = "run it again, and look at the last step"
        trail.unproven(f"{whose}time", f"not over after {GROUP_S:g} s", fix=fix)
        return ""


def _costs(settings: Settings) -> str:
    """What --live will cost, by the wire's dated prices; said before it is spent."""
    every = [(group.said, _cost_of(group.ready.provider)) for group in groups(settings, _asked)]
    paid = [(said, cost) for said, cost in every if cost]
    return "; ".join(f"{said}: {cost}" if len(every) > 1 else cost for said, cost in paid)


def _cost_of(module: Any) -> str:
    if not module.KEY_ENV:
        return ""
    per_minute = getattr(module, "PRICE_PER_MINUTE", None)
    if per_minute is not None:
        dollars = per_minute.value / 4
        return f"about ${dollars:.3f}: some 15 s of session at {module.LABEL} (price of {per_minute.checked})"
    return f"a few cents: some 10 s of audio each way at {module.LABEL} (prices of {module.PRICES.checked})"


CHECK = Check(
    name="provider",
    boundary="provider-session",
    proves="the provider without the phone, phase by phase; with --live a question and its audible answer",
    cannot="phone audio, the carrier, what happens after ten minutes",
    run=_run_check,
    costs=_costs,
    timeout_s=8 * GROUP_S,  # as many kinds of agents as anybody has; each has its own time
)

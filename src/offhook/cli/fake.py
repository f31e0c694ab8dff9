"""``offhook fake``: a strict provider that any client can dial, and a verdict on each client that did."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from offhook.evidence.journal import Journal, JournalDir
from offhook.evidence.witness import ProviderWitness
from offhook.loopback.lines import AGENT, audio
from offhook.net.server import UpgradeRequest
from offhook.sims.judge import ClientJudge, Verdict
from offhook.sims.provider import PEERS, Answer, SimProvider
from offhook.sims.provider_dial import Act, list_faults
from offhook.sims.provider_faults import FAULTS
from offhook.sims.provider_profiles import Profile, profile
from offhook.sims.run_provider import FakeProvider
from offhook.vocab import Leg
from offhook.wires import _judge
from offhook.wires._wire import Out, PeerClose, Refusal, Violation
from offhook.wires.providers import _openai_judge, _xai_judge, loopback, openai, xai

__all__ = ["FakeError", "Screen", "fault_list", "run"]

WIRES: dict[str, Any] = {"openai": openai, "xai": xai, "loopback": loopback}
JUDGES: dict[str, Any] = {"openai": _openai_judge, "xai": _xai_judge}
EXIT = {"right": 0, "wrong": 1, "not proven": 3}
# What it says: spoken English that ships with Offhook, so that a real client and its user hear words.
GREETING = "greeting"
ANSWERS = ("hours", "services", "price", "unknown")


def fault_list(provider: str) -> str:
    """The faults that this provider plays, a line each."""
    faults = list_faults(provider)
    width = max(map(len, faults))
    lines = [f"{name:<{width}}  {text}" for name, text in faults.items()]
    lines += [
        "",
        "Alone it begins when it usually does. name@30s: that long after the opening; name@response2: from the second",
        "response on; name@response2-3: in these only. One that is about an amount takes that: delay-greeting@3s,",
        "slow-answers@4s, too-many@2.",
    ]
    return "\n".join(lines)


def run(
    provider: str,
    *,
    host: str,
    port: int,
    faults: Iterable[str],
    tls: tuple[str, str] | None,
    key: str,
    record: Path | None,
    think_s: float,
    once: bool,
    as_json: bool,
    day: str = "",
) -> int:
    """Serve until Ctrl-C, or until one session is over. The exit code: 0 nothing wrong, 1 wrong, 3 not proven."""
    if provider not in PEERS:
        raise FakeError(f"provider {provider!r}: wanted one of {', '.join(PEERS)}")
    knobs: dict[str, Any] = {"keys": frozenset({key})} if key and provider != "loopback" else {}
    try:
        then = profile(provider, day) if day else None
        knobs |= then.knobs if then is not None else {}
        serving = _Serving(provider, tuple(faults), Screen(as_json), record, once, then)
        made = FakeProvider(
            provider, host=host, port=port, tls=tls, watch=serving, faults=tuple(faults), think_s=think_s,
            greeting=_answer(GREETING), script=tuple(map(_answer, ANSWERS)), **knobs,
        )  # fmt: skip
    except ValueError as error:
        raise FakeError(str(error)) from None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving.serve(made, key))
    return serving.exit_code()


class FakeError(Exception):
    """What was asked for cannot be served."""


def _answer(line: str) -> Answer:
    return Answer(audio(line), AGENT[line])


class Screen:
    """What happens, for people or as JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._began = time.monotonic()

    def tell(self, event: str, text: str, **data: Any) -> None:
        if self._json:
            out = json.dumps({"event": event, **data})
        else:
            out = f"{time.monotonic() - self._began:7.2f}s {text}" if event != "listening" else text
        sys.stdout.write(out + "\n")
        sys.stdout.flush()


class _Serving:
    """All sessions of one run; the ``Watch`` of the fake provider."""

    def __init__(
        self, provider: str, faults: tuple[str, ...], screen: Screen, record: Path | None, once: bool,
        then: Profile | None = None,
    ) -> None:  # fmt: skip
        self.provider = provider
        self.faults = faults
        self.screen = screen
        self.verdicts: list[str] = []
        self.over = asyncio.Event()
        self._once = once
        self._then = then
        self._sessions = 0
        self._journals = JournalDir(record, on_failure=self._disk, on_recovery=self._disk) if record else None

    async def serve(self, fake: FakeProvider, key: str) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # not on this system: KeyboardInterrupt ends it
                loop.add_signal_handler(name, self.over.set)
        if self._journals is not None:
            self._journals.start()
        try:
            async with fake:
                self._listening(fake, key)
                await self.over.wait()
        except OSError as error:
            raise FakeError(f"{error.strerror or error}: another port is --port N, any free one --port 0") from None
        finally:
            if self._journals is not None:
                self._journals.stop()

    def _listening(self, fake: FakeProvider, key: str) -> None:
        wire = WIRES[self.provider]
        key_text = "the one given with --key" if key else "any (it is not sent on)"
        model = wire.DEFAULT_MODEL.value
        lines = [
            f"fake {self.provider}: {wire.LABEL} as of {self._then.day if self._then else wire.MODELS.checked}, "
            f"at {fake.url}",
            f"  base URL  {fake.http_url}   (SDKs that turn http into ws), or {fake.url}?model={model}",
            f"  key       {key_text}" if wire.KEY_ENV else "  key       none",
            f"  offhook   OFFHOOK_PROVIDER_NAME={self.provider} OFFHOOK_PROVIDER_URL={fake.url} offhook serve",
        ]
        if self.provider == "openai":
            lines.append(f"  openai    OPENAI_BASE_URL={fake.http_url} python your_agent.py")
        lines += [f"  fault     {name}: {FAULTS[name.partition('@')[0]].text}" for name in self.faults]
        if self._then is not None:
            lines += [f"  then      {text}" for text in self._then.said or ("as today, as far as facts tell",)]
            lines += [f"  not told  {text}" for text in self._then.untold]
        lines.append("Ctrl-C ends it.")
        self.screen.tell(
            "listening", "\n".join(lines), provider=self.provider, url=fake.url, base_url=fake.http_url,
            model=model, faults=list(self.faults), profile=self._then.day if self._then else None,
        )  # fmt: skip

    def asked(self, request: UpgradeRequest, session: SimProvider, refusal: Refusal | None) -> _Session:
        self._sessions += 1
        made = _Session(self, self._sessions, self._journals)
        own = session.peer.upgrade(request.path_qs, dict(request.headers))  # without any dialled fault
        made.ask(request, refusal, own)
        return made

    def strayed(self, method: str, path: str) -> None:
        wanted = "a WebSocket upgrade of GET /v1/realtime"
        self.screen.tell("stray", f"   refused {method} {path}: wanted {wanted}", method=method, path=path)

    def ended(self, verdict: str) -> None:
        self.verdicts.append(verdict)
        if self._once:
            self.over.set()

    def exit_code(self) -> int:
        """The worst session's; nobody dialled: not proven."""
        return max((EXIT[state] for state in self.verdicts), key=(0, 3, 1).index, default=3)

    def _disk(self, text: str) -> None:
        self.screen.tell("records", f"   records: {text}", why=text)


class _Session:
    """One client: judged, told of, written down."""

    def __init__(self, serving: _Serving, number: int, journals: JournalDir | None) -> None:
        self._serving = serving
        self._number = number
        self._judge = ClientJudge(serving.provider)
        self._journals = journals
        self._journal: Journal | None = None
        self._witness: ProviderWitness | None = None
        self._request: dict[str, Any] = {}

    def ask(self, request: UpgradeRequest, refusal: Refusal | None, own: Refusal | None) -> None:
        found = self._judge.request(request.path_qs, dict(request.headers), own)
        path, _, query = request.path_qs.partition("?")
        agent = (request.header("User-Agent") or "no user agent")[:80]
        model = next((part[6:] for part in query.split("&") if part.startswith("model=")), None)
        self._request = {
            "scheme": "ws", "path": path[:200], "query": {"model": model},
            "query_keys": [part.partition("=")[0][:40] for part in query.split("&") if part],
            "header_names": [name for name, _ in request.headers],
        }  # fmt: skip
        text = f"{path} model {model or '(none)'}, {agent}"
        if refusal is not None:
            whose = "" if own is not None else ", by the dialled fault"
            said = f"refused {text}: HTTP {refusal.status}{whose}"
            self._say("refused", said, status=refusal.status, dialled=own is None, **self._request)
            self._wrong(found)
            self._serving.ended("wrong" if found else "not proven")
        else:
            self._say("accepted", f"accepted {text}", **self._request)

    def opened(self, out: list[Out], now: float) -> None:
        provider = self._serving.provider
        if self._journals is not None:
            self._record(provider, now)
        self._wrong(self._judge.opened(out, now), now)

    def _record(self, provider: str, now: float) -> None:
        assert self._journals is not None
        wire = WIRES[provider]
        leg = wire.Leg(wire.SessionSettings(api_key=""))
        facts = {
            "source": "fake", "sees": ["provider"], "call": f"fake-{self._number}", "provider": wire.LABEL,
            "faults": list(self._serving.faults),
        }  # fmt: skip
        self._journal = self._journals.open(f"fake-{self._number}", {Leg.PROVIDER: leg.redact}, now, facts)
        self._journal.note("dial.request", now, **self._request)
        judge = JUDGES[provider].judge if provider in JUDGES else None
        self._witness = ProviderWitness(self._journal, leg, judge or (lambda data, binary=False: ()), differences)

    def received(self, data: bytes, binary: bool, out: list[Out], now: float) -> None:
        if self._witness is not None:
            self._witness.heard(data, now, binary=binary)
        notes = len(self._judge.notes)
        self._wrong(self._judge.received(data, binary, out, now), now)
        for violation in self._judge.notes[notes:]:
            text = f"note    {violation.message}, {violation.field}: got {violation.got}"
            self._say("note", text, **msgspec.to_builtins(violation))

    def sent(self, message: Act, now: float) -> None:
        self._judge.sent(message, now)
        if self._witness is not None and isinstance(message, bytes):
            self._witness.said(message, now)
        if isinstance(message, PeerClose):
            code = message.code
            self._say("ends", f"ended by the fake: {code or 'TCP dropped'} {message.reason}".rstrip(), code=code)

    def closed(self, code: int | None, reason: str, by: str, now: float) -> None:
        verdict = self._judge.verdict(now)
        who = {"us": "the fake", "them": "the client", "nobody": "nobody (TCP was dropped)"}.get(by, by)
        figures = verdict.figures
        rate = f", {figures['audio_per_s']:.2f} s of it a second" if "audio_per_s" in figures else ""
        self._say(
            "over",
            f"over after {figures['age_s']:.1f} s, closed by {who} ({code or 'no code'}): "
            f"{figures['audio_s']:.1f} s of audio{rate}, {figures['turns']} turns, {figures['answers']} answers",
            code=code, by=by, **figures,
        )  # fmt: skip
        self._wrong([wrong for wrong in verdict.wrongs if wrong not in self._judge.wrongs], now)
        self._say("verdict", f"{verdict.state}: {verdict.because}", **_as_data(verdict))
        if self._journal is not None:
            whose = {"us": "them", "them": "us"}.get(by, "nobody")  # "us" in a record is the program under test
            self._journal.note(
                "provider.closed", now, code=code, reason=reason[:80], by=whose, age_s=figures["age_s"],
                clean=by != "nobody",
            )  # fmt: skip
            self._journal.close(now, {"end": {"why": f"closed by {who}"}, "client": _as_data(verdict)})
        self._serving.ended(verdict.state)

    def _wrong(self, found: list[Violation], now: float = 0.0) -> None:
        for violation in found:
            where = f"{violation.message}" + (f", {violation.field}" if violation.field else "")
            code = f" [{violation.code}]" if violation.code else ""
            text = f"wrong   {where}: got {violation.got}, wanted {violation.wanted}{code} ({violation.source})"
            self._say("wrong", text, **msgspec.to_builtins(violation))

    def _say(self, event: str, text: str, **data: Any) -> None:
        self._serving.screen.tell(event, f"#{self._number} {text}", session=self._number, **data)


def differences(asked: Any, echo: Any) -> Iterable[tuple[str, str, str | None]]:
    """Where a session came back other than it was asked for, as the witness wants it."""
    return ((found.field, found.asked, found.got) for found in _judge.differences(asked, echo))


def _as_data(verdict: Verdict) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(verdict)
    return data

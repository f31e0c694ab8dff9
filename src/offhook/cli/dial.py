"""``offhook dial``: a strict simulated carrier calls anybody's media-stream server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from offhook.cli.dial_passes import names_of, run_passes, said
from offhook.dial import baseline, conformance, load, report
from offhook.dial.call import Result, place
from offhook.dial.fakes import FakeWatch
from offhook.dial.foreign import Foreign
from offhook.dial.overrides import FILE, Declared, declared
from offhook.dial.passes import MOST
from offhook.dial.plan import Plan, UsageError, default_scenario, targets
from offhook.dial.voice import Microphone, VoiceError, pcmu_for
from offhook.evidence.journal import JournalDir
from offhook.evidence.redact import Sieve
from offhook.sims.carrier_faults import FAULTS, parse_fault
from offhook.sims.carrier_rest import BASE
from offhook.sims.run_rest import RestDesk
from offhook.sims.scenario import Scenario, ScenarioError, parse_scenario

__all__ = ["Wishes", "fault_list", "make_plan", "run"]


class Wishes(msgspec.Struct, frozen=True):
    """What the command line said."""

    url: str
    public: str = ""
    connect: str = ""
    insecure_ws: bool = False
    ca: Path | None = None
    auth_token_env: str = ""
    method: str = "POST"
    fallback_url: str = ""
    params: tuple[str, ...] = ()
    caller: str = ""
    called: str = ""
    fields: tuple[str, ...] = ()
    say: tuple[str, ...] = ()
    say_file: tuple[Path, ...] = ()
    microphone: bool = False
    press: tuple[str, ...] = ()
    scenario: Path | None = None
    max_s: float | None = None
    faults: tuple[str, ...] = ()
    seed: int = 0
    lenient: bool = False
    out: Path | None = None
    audio: bool = False
    conformance: bool = False
    calls: int = 1
    ramp: float = 0.0
    duration: float | None = None
    own: bool = False
    baseline: Path | None = None
    save: Path | None = None
    server: str = ""
    fakes: str = ""
    provider_faults: tuple[str, ...] = ()
    provider: str = ""
    overrides: tuple[str, ...] = ()
    passes: int = MOST
    rest_port: int | None = None
    junit: Path | None = None
    json: bool = False


def fault_list() -> str:
    """Every fault that can be dialled, a line each."""
    width = max(map(len, FAULTS))
    lines = []
    for kind in FAULTS.values():
        value = f" (={kind.value}, default {kind.default})" if kind.value else ""
        when = {"at": f", @{kind.at_s:g}s unless said", "from": "", "always": ""}[kind.when]
        lines.append(f"{kind.name:<{width}}  {kind.where:<8}  {kind.what}{value}{when}")
    return "\n".join([*lines, "\nNAME, NAME=VALUE, NAME@3s or NAME=VALUE@700ms; again and again."])


def make_plan(wishes: Wishes) -> Plan:
    """Raises UsageError, ScenarioError or VoiceError: everything is checked before a socket opens."""
    token = os.environ.get(wishes.auth_token_env, "") if wishes.auth_token_env else ""
    if wishes.auth_token_env and not token:
        raise UsageError(f"--auth-token-env: {wishes.auth_token_env} is not set")
    try:
        faults = tuple(parse_fault(text) for text in wishes.faults)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    stub = next((fault for fault in faults if fault.kind.where == "rest"), None)
    if stub is not None and wishes.rest_port is None and not wishes.server:
        raise UsageError(
            f"--fault {stub.name}: the server must ask us and not the carrier: --rest-port 9090, and point it at "
            f"http://127.0.0.1:9090{BASE} (ours: OFFHOOK_CARRIER_REST_URL), or --server 'COMMAND'"
        )
    scenario, folder = _scenario(wishes)
    plan = Plan(
        **_targets(wishes, port=1),  # type: ignore[arg-type]  # names and types are Plan's
        parameters=dict(_pair(text) for text in wishes.params),
        caller=wishes.caller or Plan().caller, called=wishes.called or Plan().called,
        form=dict(_pair(text, "--field") for text in wishes.fields), token=token,
        insecure=wishes.insecure_ws, ca=wishes.ca,
        method=wishes.method.upper(), fallback_url=wishes.fallback_url, faults=faults, scenario=scenario,
        presses=tuple(_press(text) for text in wishes.press), folder=folder, tolerant=wishes.lenient, seed=wishes.seed,
    )  # fmt: skip
    for step in scenario.steps:
        if step.do in ("say", "barge-in"):
            pcmu_for(str(step.value), folder)
    return plan


def _targets(wishes: Wishes, port: int) -> dict[str, object]:
    """The plan's addresses, with the port of a server that we start."""
    url, connect = (text.replace("{port}", str(port)) for text in (wishes.url, wishes.connect))
    return targets(url, wishes.public, connect)


def _scenario(wishes: Wishes) -> tuple[Scenario, Path]:
    if wishes.scenario is None:
        say = (*(str(path.resolve()) for path in wishes.say_file), *wishes.say)
        if wishes.microphone and not say:
            return parse_scenario(f"max_s = {wishes.max_s or 3600}\n[[step]]\nsilence = {wishes.max_s or 3599}"), Path()
        return default_scenario(say, wishes.max_s or 60.0), Path()
    if wishes.say or wishes.say_file:
        raise UsageError("--scenario: what is said stands in the file; leave out --say and --say-file")
    try:
        made = parse_scenario(wishes.scenario.read_text())
    except OSError as error:
        raise UsageError(f"--scenario {wishes.scenario}: {error.strerror}") from None
    except (ScenarioError, UnicodeDecodeError) as error:
        raise UsageError(f"--scenario {wishes.scenario}: {error}") from None
    return (msgspec.structs.replace(made, max_s=wishes.max_s) if wishes.max_s else made), wishes.scenario.parent


def _pair(text: str, option: str = "--param") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text}: wanted NAME=VALUE")
    return name, value


def _press(text: str) -> tuple[float, str]:
    keys, _, when = text.partition("@")
    digits = when.removesuffix("s")
    if len(keys) != 1 or keys not in "0123456789*#ABCD" or not digits.replace(".", "", 1).isdigit():
        raise UsageError(f"--press {text}: wanted KEY@SECONDS, as in 1@3s")
    return float(digits), keys


REST_ENV = "OFFHOOK_CARRIER_REST_URL"
SEVERITY = ("healthy", "not proven", "suspected", "broken")


class Screen:
    """What happens, as it happens, on stderr where that is a terminal or stdout is for people; never a secret."""

    def __init__(self, quiet: bool, sieve: Sieve) -> None:
        self._began = time.monotonic()
        self._quiet = quiet
        self._sieve = sieve
        self._color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if self._quiet:
            return
        text = _told(kind, data)
        if text:
            self.line(f"{time.monotonic() - self._began:6.2f}s  {text}")

    def line(self, text: str, style: str = "") -> None:
        text = self._sieve.clean(text)
        if style and self._color:
            text = f"\x1b[{style}m{text}\x1b[0m"
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()

    def verdict(self, verdict: str, text: str) -> None:
        self.line(text, {"healthy": "1;32", "broken": "1;31"}.get(verdict, "1;33"))


def _told(kind: str, data: dict[str, Any]) -> str:
    if kind == "webhook":
        answer = data["answer"]
        said = f"{answer.status} in {answer.ms:.0f} ms" if answer.status else answer.why
        return f"webhook   {answer.request.method} {answer.request.url.partition('?')[0]}: {said}"
    if kind == "upgrade":
        return f"upgrade   {data['url']}: {data['status'] or data['why']} in {data['ms']:.0f} ms"
    if kind == "rest":
        wrong = f", wrong: {data['wrong']}" if data["wrong"] else ""
        return f"rest      {data['method']}: {data['status'] or 'no answer'} {data['code'] or ''}".rstrip() + wrong
    if kind == "step":
        return f"caller    {data['step']}  {data['how'] if data['how'] != 'done' else ''}".rstrip()
    if kind == "alert":
        return f"debugger  {data['code']}  {data['text']}"
    if kind == "closed":
        who = {"us": "the caller hung up", "them": "the server closed", "nobody": "the connection broke"}[data["by"]]
        return f"closed    {who} ({data['code']})"
    return ""


def run(wishes: Wishes) -> int:
    """Dial. The exit code: 0 healthy, 1 broken, 2 usage, 3 not proven."""
    try:
        given = declared(wishes.server, wishes.overrides, wishes.provider) if wishes.server else Declared()
        wishes = msgspec.structs.replace(wishes, url=wishes.url or given.url)
        if not wishes.url:
            raise UsageError(f"wanted a URL, or `url` in a {FILE} beside the server")
        plan = make_plan(wishes)
        sieve = Sieve()
        sieve.keep_out(plan.token)
        screen = Screen(wishes.json, sieve)
        old = baseline.read(wishes.baseline) if wishes.baseline else None
        load.check(plan, wishes.calls, wishes.own)
    except (VoiceError, ScenarioError, baseline.BaselineError, load.LoadError) as error:
        raise UsageError(str(error)) from None
    made = _Dialling(wishes, given, plan, screen, sieve)
    try:
        data, cases, code = asyncio.run(_interruptible(made.run))
    except asyncio.CancelledError:
        return 130
    return made.finish(data, cases, code, old)


async def _interruptible(work: Callable[[], Awaitable[Any]]) -> Any:
    """Ctrl-C and SIGTERM cancel the work, and everything it started is closed on the way out."""
    task = asyncio.ensure_future(work())
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


class _Dialling:
    """One command, from its plan to its exit code."""

    def __init__(self, wishes: Wishes, given: Declared, plan: Plan, screen: Screen, sieve: Sieve) -> None:
        self._wishes, self._given, self._plan, self._screen, self._sieve = wishes, given, plan, screen, sieve
        self._spoken_ms: Callable[[], float | None] = lambda: None
        self._watches: Mapping[str, FakeWatch] = {}

    async def run(self) -> tuple[dict[str, Any], list[report.Outcome], int]:
        """With a stand-in for the carrier's REST interface where the server can be pointed there."""
        if self._wishes.rest_port is None and not self._wishes.server:
            return await self._run()
        try:
            async with RestDesk(self._wishes.rest_port or 0) as desk:
                self._plan = msgspec.structs.replace(self._plan, rest=desk)
                if self._wishes.rest_port is not None and not self._wishes.json:
                    self._screen.line(f"rest      stands for the carrier's REST interface at {desk.url}")
                return await self._run()
        except OSError as error:
            raise UsageError(f"--rest-port {self._wishes.rest_port}: {error.strerror or error}") from None

    def _told(self) -> dict[str, str | None]:
        """What a server that we start is told: never does it ask the real carrier about a call that there is not."""
        return {REST_ENV: self._plan.rest.url} if self._plan.rest is not None else {}

    async def _run(self) -> tuple[dict[str, Any], list[report.Outcome], int]:
        wishes = self._wishes
        if not wishes.server and not wishes.fakes:
            return await self._dial(self._plan)
        names = names_of(wishes.fakes)
        if not wishes.server:
            raise UsageError(f"--fakes {wishes.fakes}: wanted --server 'COMMAND' as well")
        if names and not wishes.conformance and wishes.calls == 1 and not wishes.duration:
            return await run_passes(
                wishes, self._given, self._screen, plan_for=self._plan_at, journals=self._journals, tell=self._told()
            )  # fmt: skip
        made = Foreign(
            wishes.server, fakes=names, faults=wishes.provider_faults, environment=self._told(), **said()
        )  # fmt: skip
        async with made as foreign:
            if not wishes.json:
                self._screen.line(f"server    listens on port {foreign.port}; fakes: {', '.join(names) or 'none'}")
            self._spoken_ms, self._watches = foreign.spoken_ms, foreign.watches
            data, cases, code = await self._dial(self._plan_at(foreign.port))
            seen = {name: msgspec.to_builtins(watch.seen) for name, watch in foreign.watches.items()}
            data["server"] = {"log": [self._sieve.clean(line) for line in foreign.log[-20:]], "fakes": seen}
        return data, cases, code

    def _plan_at(self, port: int) -> Plan:
        return msgspec.structs.replace(self._plan, **_targets(self._wishes, port))

    def _journals(self) -> JournalDir:
        return JournalDir(self._folder(), clean=self._sieve.clean_bytes)

    async def _dial(self, plan: Plan) -> tuple[dict[str, Any], list[report.Outcome], int]:
        if self._wishes.conformance:
            return await self._conformance(plan)
        if self._wishes.calls > 1 or self._wishes.duration:
            return await self._load(plan)
        return await self._call(plan)

    async def _call(self, plan: Plan) -> tuple[dict[str, Any], list[report.Outcome], int]:
        from offhook.diagnosis.report import judge
        from offhook.evidence.files import read

        wishes = self._wishes
        journals = self._journals()
        journals.start()
        microphone = Microphone() if wishes.microphone else None
        try:
            result = await place(
                plan,
                journals=journals,
                audio=wishes.audio,
                source=microphone,
                on_event=self._screen.event,
                spoken_ms=self._spoken_ms,
            )
        finally:
            if microphone is not None:
                microphone.close()
            journals.stop()
        path = Path(result.record)
        read(path)  # what cannot be read again is no recording
        engine = judge(path)
        verdict = max((result.verdict, engine.verdict), key=SEVERITY.index)  # neither overrules the other's proof
        if not wishes.json:
            self._show(result, engine, verdict)
        data = {
            "run": baseline.identity(plan, 1), "verdict": verdict, "call": result.as_data(), "engine": engine.as_data(),
        }  # fmt: skip
        return data, report.call_cases([result]), report.EXIT[verdict]

    def _show(self, result: Result, engine: Any, verdict: str) -> None:
        self._screen.line("")
        for line in report.call_text(result):
            self._screen.line(line)
        self._screen.line(f"record    {result.record}   (offhook show, explain and trace read it)")
        for name, watch in self._watches.items():
            self._screen.line(f"fake      {name}: {watch.seen}")
        for finding in engine.roots:
            self._screen.line(f"engine    {finding.rule} [{finding.proof}]: {finding.sentence}")
        faults = [f for f in result.findings if f.severity != "note"]
        because = faults[0].sentence if faults else engine.because if verdict == "broken" else result.ended
        self._screen.verdict(verdict, f"{verdict}: {because}")

    async def _conformance(self, plan: Plan) -> tuple[dict[str, Any], list[report.Outcome], int]:
        began = time.monotonic()
        show = (lambda text: None) if self._wishes.json else self._progress
        outcomes = await conformance.run(plan, on_group=show)
        seconds = time.monotonic() - began
        if not self._wishes.json:
            for line in report.conformance_text(outcomes, seconds):
                self._screen.line(line)
        data = json.loads(report.conformance_json(outcomes, seconds))
        return (
            {"run": baseline.identity(plan, 1), **data},
            outcomes,
            int(any(state == "fail" for _, state, _ in outcomes)),
        )

    def _progress(self, text: str) -> None:
        if sys.stdout.isatty():
            self._screen.line(f"... {text}")

    async def _load(self, plan: Plan) -> tuple[dict[str, Any], list[report.Outcome], int]:
        wishes = self._wishes
        show = (lambda text: None) if wishes.json else self._progress
        made = await load.run(plan, wishes.calls, ramp_s=wishes.ramp, duration_s=wishes.duration, on_progress=show)
        if not wishes.json:
            for line in load.text(made):
                self._screen.line(line)
            self._screen.verdict(made.verdict, f"{made.verdict}: {made.because}")
        data = {
            "run": baseline.identity(plan, wishes.calls),
            "verdict": made.verdict,
            "load": msgspec.to_builtins(made),
        }
        case = (f"{made.calls} calls", "pass" if made.verdict == "healthy" else "fail", made.because)
        return data, [case], report.EXIT[made.verdict]

    def _folder(self) -> Path:
        if self._wishes.out is not None:
            return self._wishes.out
        base = os.environ.get("OFFHOOK_RECORD_DIR")
        home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return Path(base) if base else Path(home) / "offhook" / "calls"

    def finish(self, data: dict[str, Any], cases: list[report.Outcome], code: int, old: dict[str, Any] | None) -> int:
        """Compare, save, write what programs read; the exit code."""
        wishes = self._wishes
        data = json.loads(json.dumps(data, default=str))  # as an earlier run was read: lists, no tuples
        if old is not None:
            compared = baseline.compare(old, data)
            data["baseline"] = msgspec.to_builtins(compared)
            if not wishes.json:
                for line in compared.lines:
                    self._screen.line(line)
            code = 2 if compared.refused else max(code, int(bool(compared.worse))) if code != 3 else 3
        text = self._sieve.clean(json.dumps(data, indent=1)) + "\n"
        if wishes.save is not None:
            wishes.save.write_text(text)
        if wishes.junit is not None:
            wishes.junit.write_bytes(report.junit("offhook dial", cases, 0.0))
        if wishes.json:
            sys.stdout.write(text)
        return code

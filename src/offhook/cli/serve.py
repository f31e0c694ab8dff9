"""A server: put the parts together and answer the phone. The process around it is ``cli/process.py``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import structs

from offhook import __version__
from offhook import vocab as v
from offhook.agent.aside import Aside
from offhook.agent.profile import Agent
from offhook.agent.resume import FileResumes
from offhook.bridge import BridgeSettings
from offhook.checks import settings as judge
from offhook.checks.agents import Roster, ready_agents
from offhook.cli.agents import Switchboard, needs_loopback
from offhook.cli.api import Api
from offhook.cli.boot import boot_facts
from offhook.cli.equipment import Equipment
from offhook.cli.live import Live
from offhook.cli.log import log_to_stderr
from offhook.cli.places import RESUMES, data_dir
from offhook.cli.placing import Placing
from offhook.cli.reload import Reload
from offhook.cli.spent import SpentBefore
from offhook.cli.stored import StoreKeeper, price_of
from offhook.cli.verdict import prepare
from offhook.diagnosis.report import Report
from offhook.evidence.journal import JournalDir
from offhook.evidence.patterns import Patterns
from offhook.evidence.recording import StereoRecorder
from offhook.evidence.redact import Sieve
from offhook.loopback.child import Receptionist
from offhook.media.lines import spoken_lines
from offhook.net.app import Paths, make_app, under
from offhook.net.calls import Limits, Observer
from offhook.net.client import choose_proxy, default_tls, provider_limits
from offhook.net.clock import LoopClock
from offhook.net.host import Host
from offhook.net.hot import path_of_frames, tape
from offhook.net.metrics import Metrics
from offhook.net.server import Server, UpgradeRequest
from offhook.net.sockets import Limits as SocketLimits
from offhook.net.sockets import Listener
from offhook.net.spending import Caps, Spending
from offhook.settings import Settings
from offhook.traces.headers import headers_of
from offhook.wires._wire import Refusal
from offhook.wires.carriers import browser, twilio
from offhook.wires.carriers._twilio_oracle import oracle

if TYPE_CHECKING:
    from offhook.traces.export import Traces

__all__ = ["ListenError", "Serving"]

log = logging.getLogger("offhook")


class ListenError(Exception):
    """The address to listen on cannot be had."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(host, port, error)
        self.host, self.port, self.error = host, port, error

    def __str__(self) -> str:
        where = f"server.host = {self.host}, server.port = {self.port}"
        number = self.error.errno or 0  # asyncio passes on the resolver's, which are negative
        if number < 0 or number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return f"{where}: no address of this machine; 127.0.0.1 serves a tunnel, 0.0.0.0 every network"
        if number == errno.EADDRINUSE:
            return f"{where}: another program listens there already; stop it, or choose another server.port"
        if number in (errno.EACCES, errno.EPERM):
            return f"{where}: this user may not listen there; choose a server.port above 1023"
        return f"{where}: cannot listen: {os.strerror(number)}"


class Serving:
    """A running server, made of settings that were judged before."""

    def __init__(
        self,
        settings: Settings,
        *,
        declared: Sequence[Agent] = (),
        live: str = "",
        api: bool = False,
        clock_rate: float = 1.0,
        bridge: Callable[[BridgeSettings], BridgeSettings] = lambda given: given,
        dial_options: Mapping[str, Any] | None = None,
        carrier: Callable[[twilio.CarrierSettings], twilio.CarrierSettings] = lambda given: given,
        places_queued: bool = False,
    ) -> None:
        self.settings = settings
        self.sieve = Sieve(*settings.secrets(), personal=Patterns(settings["redact.patterns"]).text)
        self.live = Live(live, self.sieve, settings["record.digits"]) if live else None
        self._rate = clock_rate
        self._bridge = bridge
        self._dial_options = dict(dial_options or {})
        self._carrier = carrier
        self._child: Receptionist | None = None
        self._places_queued = places_queued
        self._spent: SpentBefore | None = None
        self._spent_task: asyncio.Task[None] | None = None
        self._aside = Aside()
        self.declared = tuple(declared)
        self.api = Api(self) if api else None

    async def start(self) -> None:
        """Bring everything up; the server answers when this returns."""
        settings = self.settings
        log_to_stderr(self.sieve)
        self.loop = asyncio.get_running_loop()
        self._clock = LoopClock(self.loop, self._rate)
        self.equipment = Equipment(settings, self.declared)
        self.switchboard = self._make_switchboard()
        await self._settle_loopback(self.switchboard.roster)
        self.metrics = Metrics(path_of_frames(settings["server.compiled"])[0])
        self.store = StoreKeeper(
            settings, data_dir(settings), self.metrics, self._store_stalls, self._judged, self.switchboard.died
        )
        self.journals = self._make_journals()
        prepare()
        self.server: Server | None = None
        self.public_url = settings["server.public_url"].rstrip("/")
        self._prefix = urlsplit(self.public_url).path
        self.host = self._make_host()
        self._placing = Placing(self.host, lambda: self.settings, str(self.store.server["id"]))
        self.reload = Reload(self.switchboard, self.declared, self._aside, self._settings_change, self._lines)
        await self.equipment.start()  # before anybody calls
        if self._spent is not None:
            await self._spent.look()
        self.server = await self._listen()
        self._set_boot(settings)
        try:
            self.journals.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # said now, not when the first call has gone unrecorded
            self._journal_fails(f"{self.journals.directory}: {error.strerror}")
        self.traces = self._make_traces()
        self.store.start()
        self.journals.start()
        self.host.start()
        await self._placing.start(works=self._places_queued)
        if self._spent is not None:
            self._spent_task = asyncio.create_task(self._spent.keep_looking(), name="spent")
        self.reload.start()
        if self.api is not None:
            self.api.start()
        default_tls()  # 21 ms once, at start and not in the first call

    def _make_switchboard(self) -> Switchboard:
        settings = self.settings
        roster, problems = ready_agents(settings, self.declared, self._aside)
        assert not problems, "run() has said what is wrong"
        resumes = FileResumes(data_dir(settings) / RESUMES, lambda number: self.store.number_id(number))
        lines = self._lines(settings)
        return Switchboard(settings, roster, lines, aside=self._aside, resumes=resumes, bridge=self._bridge)

    def _lines(self, settings: Settings) -> Mapping[str, bytes]:
        """The spoken lines, those that fillers of tools and ends of calls name among them."""
        return spoken_lines(settings.path("record.lines_dir"), judge.own_lines(settings, self.declared))

    async def _settle_loopback(self, roster: Roster) -> None:
        """Start the receptionist's process once an agent wants it."""
        if self._child is None and needs_loopback(roster):
            self._child = Receptionist()
            self.switchboard.loopback_url = await self._child.start()

    async def _settings_change(self, settings: Settings, roster: Roster) -> None:
        """Other agents are about to answer: what hangs on their settings comes before them. Raises ReloadRefused."""
        self.sieve.keep_out(*settings.secrets())
        await self._settle_loopback(roster)
        tools = await self.equipment.made(settings)
        self.settings = settings
        self._set_boot(settings)
        if tools is not None:
            self.equipment.exchange(tools, self.host.hands)

    def _set_boot(self, settings: Settings) -> None:
        """What every record from now on says of the process."""
        assert self.server is not None
        facts = boot_facts(settings, self.public_url, self.server.port)
        self.journals.boot = {**facts, "server": dict(self.store.server)}

    def _make_journals(self) -> JournalDir:
        settings = self.settings
        return JournalDir(
            data_dir(settings),
            max_bytes=settings["record.max_mb"] * 1024 * 1024,
            on_failure=self._journal_fails,
            on_recovery=lambda text: log.warning("records are written again", extra={"where": text}),
            clean=self.sieve.clean_bytes,
            digits=settings["record.digits"],
            on_begin=self.store.begun,
            on_whole=self._whole,
        )

    def _make_host(self) -> Host:
        settings = self.settings
        return Host(
            carrier=twilio,
            carrier_settings=self._carrier(judge.carrier_settings(settings, self.public_url or "http://127.0.0.1")),
            answer_for=self.switchboard.answer_for,
            journals=self.journals,
            clock=self._clock,
            limits=Limits(
                max_calls=settings["limits.max_calls"],
                dials_per_minute=settings["limits.dials_per_minute"],
                start_timeout_s=settings["limits.start_timeout_s"],
                drain_s=settings["server.drain_s"],
            ),
            token_secret=self._token_secret(),
            metrics=self.metrics,
            dial_options={
                "timeout_s": settings["provider.dial_timeout_s"],
                "limits": provider_limits(settings["server.compiled"]),
                **self._dial_options,
            },
            observer=self._observer(),
            rest_proxy=lambda url: choose_proxy(url, settings.environment),
            recorder=self._recorder if settings["record.audio"] else None,
            oracle=oracle,
            number_id=self.store.number_id,
            tools=self.equipment.box,
            spending=self._spending(),
            screen=browser,
        )

    def _spending(self) -> Spending | None:
        """The caps on what calls cost, if there are any."""
        settings = self.settings
        caps = Caps(
            settings["limits.spend_call_usd"],
            settings["limits.spend_day_usd"],
            settings["cost.carrier_usd_per_minute"] or None,
        )
        if not caps.any:
            return None
        spending = Spending(caps, lambda who: price_of(who.provider.NAME, who.session.model), self._clock)
        if caps.day_usd > 0:
            self._spent = SpentBefore(settings, data_dir(settings), spending, self.store.detail)
        return spending

    async def _listen(self) -> Server:
        settings, carrier = self.settings, self.host.carrier.settings
        host_name, port = settings["server.host"], settings["server.port"]
        paths = Paths(
            carrier.webhook_path, carrier.media_path, carrier.status_path, carrier.after_path, carrier.call_path
        )
        app: Any = make_app(self.host, paths, self.detail)
        server = Server(
            under(self._prefix, self.api.beside(app) if self.api is not None else app),
            self._upgrade,
            host=host_name,
            port=port,
            max_sockets=settings["limits.max_calls"] + 256,
            limits=SocketLimits(
                max_message_bytes=settings["limits.max_message_bytes"], compiled=settings["server.compiled"]
            ),
        )
        try:
            await server.start()
        except OSError as error:
            if self._child is not None:
                await self._child.stop()
            raise ListenError(host_name, port, error) from error
        if not self.public_url:  # signatures are off and we are on a loopback address: it is our own
            self.public_url = f"http://127.0.0.1:{server.port}"
            self.host.carrier.settings = structs.replace(carrier, public_url=self.public_url)
        return server

    def _observer(self) -> Observer | None:
        """Who hears what happens in calls."""
        told = [one for one in (self.live, self.api.observe if self.api is not None else None) if one is not None]

        def all_of_them(call: str, happened: v.Event | v.Note, at_s: float) -> None:
            for one in told:
                one(call, happened, at_s)

        return told[0] if len(told) == 1 else all_of_them if told else None

    def _upgrade(self, request: UpgradeRequest) -> Refusal | Listener:
        """A WebSocket: a screen's, a program's under /api, else the carrier's."""
        taken = self.host.screens(request)
        if taken is not None:
            return taken
        path = request.path.removeprefix(self._prefix)
        if self.api is not None and path.startswith("/api/"):
            return self.api.upgrade(structs.replace(request, path=path))
        return self.host.streams.upgrade(request)

    def _make_traces(self) -> Traces | None:
        """What sends calls as traces, begun; None where nobody asked for them."""
        settings = self.settings
        endpoint = settings["otel.endpoint"]
        if not endpoint:
            return None
        from offhook.traces.export import Traces

        made = Traces(
            endpoint,
            headers=headers_of(settings["otel.headers"].reveal()),
            service=settings["otel.service"],
            version=__version__,
            lost=self.metrics.traces_lost.inc,
            proxy=choose_proxy(endpoint, settings.environment),
        )
        made.start()
        return made

    def _judged(self, report: Report) -> None:
        """A call's record is whole; on the writer's thread."""
        begin = report.call.begin
        rules = [finding.rule for finding in report.roots]
        self.metrics.judged(str(begin.get("agent")), str(begin.get("direction")), report.verdict, rules)

    def _whole(self, path: Path) -> Mapping[str, Any] | None:
        line = self.store.whole(path)
        if self.traces is not None:
            self.traces.offer(path)
        if self.api is not None:
            self.api.judged(path, line)
        return line

    def detail(self) -> dict[str, Any]:
        """What ``/readyz`` says besides."""
        after = self.store.after()
        return {
            "records": self.journals.state(), "store": self.store.detail(), "agents": self.reload.state(),
            **({"hooks": after} if after is not None else {}),
        }  # fmt: skip

    def _token_secret(self) -> bytes:
        return secrets.token_bytes(32)

    def _recorder(self, record: Path, now: float) -> StereoRecorder:
        made = tape(self.settings["server.compiled"])
        recorder = StereoRecorder(record.with_suffix(".wav"), now, self._journal_fails, made)
        self.journals.each_round(recorder.each_round)
        return recorder

    def _journal_fails(self, text: str) -> None:
        self.metrics.journal_failures.inc()
        log.error("records cannot be written; calls go on", extra={"where": text})

    def _store_stalls(self, ms: float, error: str) -> None:
        """On the store's thread: calls that run say so, for whoever blames the store for what they heard."""

        def note() -> None:
            for call in self.host.calls.running.values():
                call.journal.note("store.stall", self._clock.now(), ms=round(ms), error=error[:200], beside=True)

        with contextlib.suppress(RuntimeError):  # the loop is closed: there are no calls any more
            self.loop.call_soon_threadsafe(note)

    async def stop(self) -> None:
        """Drain, then close everything."""
        self._placing.take_no_more()
        if self._spent_task is not None:
            self._spent_task.cancel()
        await self.reload.stop()
        await self.host.drain()
        if self.api is not None:
            await self.api.stop()
        if self.server is not None:
            await self.server.stop()
        if self._child is not None:
            await self._child.stop()
        await self.equipment.stop()
        self.switchboard.stop()
        await self._placing.stop()
        self.journals.stop()
        if self.traces is not None:
            self.traces.stop()
        self.store.stop()

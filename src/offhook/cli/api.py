"""The API put together: what it sees of the server, and its making beside the calls once the port is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from offhook import __version__
from offhook import vocab as v
from offhook.api.access import Access
from offhook.api.giving_way import giving_way
from offhook.api.live import Hub
from offhook.api.running import RunningCall
from offhook.cli.places import data_dir
from offhook.cli.stored import OFF, price_of, projection, reader, store_url
from offhook.console.pages import with_console
from offhook.evidence.cost import Used, cost
from offhook.evidence.files import PLAYGROUND as FOLDER
from offhook.evidence.files import call_of
from offhook.evidence.record import SCREENS, VERSION, Recording
from offhook.net.app import with_api
from offhook.net.server import UpgradeRequest
from offhook.net.sockets import Listener
from offhook.settings import SPECS, Settings
from offhook.store.tokens import Token, Tokens
from offhook.wires._wire import Refusal

if TYPE_CHECKING:
    from offhook.cli.serve import Serving
    from offhook.store.queries import Reader
    from offhook.store.queue import QueueTable

__all__ = ["Api", "state_file", "tokens_of"]

log = logging.getLogger("offhook")

STATE = ".server.json"
PLAY_S = 60.0
FETCH_S = 60.0  # of a recording from a bucket: somebody waits for it


def state_file(settings: Settings) -> Path:
    """Where a running server says how its API is reached."""
    return data_dir(settings) / STATE


def tokens_of(settings: Settings) -> Tokens | None:
    """The tokens of the store; None where there is no store."""
    url = store_url(settings, data_dir(settings))
    return None if url == OFF else Tokens(url)


class Api:
    """
    The API of one server. Its hub hears of the calls from the first one on; the application itself is imported on
    a thread of its own when the server listens, and whoever asks before waits for it.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        settings = serving.settings
        self._usd = settings["cost.carrier_usd_per_minute"] or None
        self.hub = Hub(serving.sieve.clean_data, digits=settings["record.digits"], spent=self._spent)
        self.access = Access(self._load, open_to_loopback=settings["api.open"] == "loopback")
        self._app: asyncio.Future[Any] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._queued: QueueTable | None = None
        self._state: Path | None = None
        self._own = ""

    # ------------------------------------------------------------------------------------- while it runs

    def observe(self, call: str, happened: v.Event | v.Note, at_s: float) -> None:
        """What the host's calls tell: to those who watch, and to the metrics."""
        if type(happened) is v.Note:
            if happened.kind == "reply":
                running = self.hub.calls.get(call)
                wire = str(running.told["wire"]) if running is not None else ""
                self._serving.metrics.replied(wire, float(happened.data["ms"] or 0))
            elif happened.kind == "tool.done":
                data = happened.data
                self._serving.metrics.tool_done(str(data.get("name")), str(data.get("outcome")))
        self.hub(call, happened, at_s)

    def judged(self, path: Path, said: Mapping[str, Any] | None) -> None:
        """A record is whole; on the writer's thread. ``said``: None where it is too long to be judged at once."""
        told = {"record": path.stem, **(said or {"verdict": "", "findings": [], "because": "a long record"})}
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
            self._serving.loop.call_soon_threadsafe(self.hub.publish, "verdict", call_of(path), told)

    async def application(self) -> Any:
        """The ASGI application, as soon as it is there."""
        assert self._app is not None
        return await asyncio.shield(self._app)

    async def made(self) -> None:
        """Wait until it is there, or has turned out to be broken: then calls go on, and every request is told."""
        try:
            await self.application()
        except Exception:
            log.exception("there is no API")

    def beside(self, core: Any) -> Any:
        """``core``, with the API under ``/api`` and the console under ``/console/``."""
        return with_console(with_api(core, self.application), self._hosts)

    def link(self) -> str:
        """Where a browser of this machine finds the console; with a login code, good once, where it needs one."""
        server, settings = self._serving.server, self._serving.settings
        assert server is not None
        host = settings["server.host"]
        at = "127.0.0.1" if host in ("", "0.0.0.0", "::", "*") else f"[{host}]" if ":" in host else host
        address = f"http://{at}:{server.port}/console/"
        if settings["api.open"] == "loopback":
            return f"{address}  [open to this machine: api.open]"
        return f"{address}#/login?code={self.access.code()}  [good once, for ten minutes]"

    def upgrade(self, request: UpgradeRequest) -> Refusal | Listener:
        """A WebSocket under /api."""
        if self._app is None or not self._app.done() or self._app.exception() is not None:
            return Refusal(503, "the API is not there yet\n", "starting")
        found: Refusal | Listener = self._app.result().upgrade(request)
        return found

    def start(self) -> None:
        """Begin to make it; the server listens."""
        running = self._serving.host.calls.running
        self.hub.levels = lambda call: running[call].levels() if call in running else None
        self.hub.agent_plays = lambda call: (
            call in running and running[call].bridge.agent_plays(running[call].clock.now())
        )
        self._serving.metrics.watch_subscribers(lambda: self.hub.watched)
        self._serving.host.outbound.watchers.append(self._placed)
        loop = asyncio.get_running_loop()
        self._app = loop.run_in_executor(None, self._make)
        self._warming = loop.create_task(self._warm_up())

    def say_where(self) -> None:
        """Write down how this server is reached, for commands of the same user on this machine."""
        assert self._serving.server is not None
        self._own = self.access.own_token()
        path = state_file(self._serving.settings)
        data = {"pid": os.getpid(), "url": f"http://127.0.0.1:{self._serving.server.port}", "token": self._own,
                "public_url": self._serving.public_url, "version": __version__}  # fmt: skip
        try:
            beside = path.with_name(f"{STATE}.{os.getpid()}")
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(data, file)
            beside.replace(path)
            self._state = path
        except OSError as error:
            log.warning("offhook ctl will not find this server", extra={"where": str(path), "why": error.strerror})

    async def stop(self) -> None:
        if self._state is not None:
            try:
                if json.loads(self._state.read_text("utf-8")).get("pid") == os.getpid():
                    self._state.unlink()
            except (OSError, ValueError):
                pass  # another server's by now, or gone
        if self._warming is not None:
            self._warming.cancel()
        if self._app is not None:
            try:
                await (await self._app).stop()
            except Exception as error:  # made() has told it in full
                log.debug("no API to stop", extra={"why": str(error)})
        self.hub.stop()
        for opened in (self._reader, self._queued):
            if opened is not None:
                opened.close()

    # ---------------------------------------------------------------------------------------- its making

    def _make(self) -> Any:
        """On a thread: importing FastAPI and building the routes takes half a second."""
        with giving_way():
            return self._made()

    async def _warm_up(self) -> None:
        try:
            await self.application()
        except Exception:
            return  # made() tells it
        await asyncio.to_thread(self._warm)

    @staticmethod
    def _warm() -> None:
        """What the first call's page would wait for: the rules and patterns of the diagnosis, and who outlines."""
        import numpy  # noqa: F401

        from offhook.claims import claims
        from offhook.diagnosis.engine import rule_modules
        from offhook.diagnosis.report import report

        with giving_way():
            rule_modules()
            claims("I have sent it.")
            report(Recording.parse([msgspec.json.encode({"k": "begin", "t": 0, "version": VERSION})]))

    def _made(self) -> Any:
        from offhook.api.app import make_api
        from offhook.api.world import World
        from offhook.cli.call import options_of

        serving = self._serving
        return make_api(
            World(
                host=serving.host, hub=self.hub, access=self.access, metrics=serving.metrics,
                directory=serving.journals.directory, settings=lambda: serving.settings, reader=self._store,
                unstored=serving.store.unstored, clean=serving.sieve.clean_data,
                fetch=self._fetch, public_url=lambda: serving.public_url, detail=serving.detail,
                numbers=self._numbers, point=self._point, restore=self._restore, queue=self._queue,
                agents=self._agents, agent=self._agent, check=self._check, play=self._play,
                options=lambda given: options_of(serving.settings, **given), project=projection(serving.settings),
                version=__version__, began_at=round(time.time() * 1000), hosts=self._hosts,
                tokens=lambda: tokens_of(serving.settings),
            )
        )  # fmt: skip

    def _load(self) -> Sequence[Token]:
        tokens = tokens_of(self._serving.settings)
        return tokens.all() if tokens is not None else ()

    def _store(self) -> Reader | None:
        with self._lock:
            if self._reader is None:
                self._reader = reader(self._serving.settings, self._serving.journals.directory)
            return self._reader

    def _fetch(self, url: str, path: Path, most_bytes: int) -> None:
        from offhook.after.bucket import BucketError
        from offhook.cli.after import plan_of

        bucket = plan_of(self._serving.settings, self._serving.journals.directory).bucket
        if bucket is None:
            raise LookupError("record.s3 names no bucket any more")
        try:
            msgspec.structs.replace(bucket, timeout_s=FETCH_S).fetch(url, path, most_bytes)
        except (BucketError, OSError) as error:
            raise LookupError(str(error)) from None

    def _queue(self) -> QueueTable | None:
        from offhook.cli.queued import table_of

        with self._lock:
            if self._queued is None:
                self._queued = table_of(self._serving.settings)
                if self._queued is not None:
                    self._queued.prepare()
            return self._queued

    def _hosts(self) -> Sequence[str]:
        public = urlsplit(self._serving.public_url).netloc
        return (public, *self._serving.settings["api.hosts"])

    async def _numbers(self) -> Sequence[Mapping[str, Any]]:
        from offhook.cli.carrier_rest import NoRest
        from offhook.cli.numbers import pointing

        try:
            return await pointing(self._serving.settings)
        except NoRest as error:
            raise LookupError(str(error)) from None

    async def _point(self, number: str) -> str:
        from offhook.cli.carrier_rest import NoRest
        from offhook.cli.numbers import point_number

        if not self._serving.settings["server.public_url"] and urlsplit(self._serving.public_url).scheme != "https":
            raise LookupError("server.public_url is not set; the number would point at this machine's loopback")
        try:
            return await point_number(self._serving.settings, number, self._serving.public_url)
        except NoRest as error:
            raise LookupError(str(error)) from None

    async def _restore(self, number: str) -> str:
        from offhook.cli.carrier_rest import NoRest
        from offhook.cli.numbers import restore_number

        try:
            return await restore_number(self._serving.settings, number)
        except NoRest as error:
            raise LookupError(str(error)) from None

    def _agents(self) -> Mapping[str, Any]:
        from offhook.cli.agent import overview

        told = overview(self._serving.settings, self._serving.declared)
        return {**{name: told[name] for name in ("agents", "routes", "problems")}, "default": told["else"]}

    def _agent(self, name: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        from offhook.cli.agent import AgentError, Asked, described

        try:
            call = Asked(outbound=bool(asked["outbound"]), verified=bool(asked["verified"]))
            return described(self._serving.settings, name, call, self._serving.declared)
        except AgentError as error:
            raise LookupError(str(error)) from None

    def _placed(self, placed: Any) -> None:
        from offhook.api.acting import shown

        mask = self._serving.host.carrier.wire.mask_number
        told = {**shown(placed), "to": mask(placed.to), "from": mask(placed.options.from_)}
        self.hub.publish("outbound", placed.sid, told)

    def _spent(self, call: RunningCall) -> tuple[float | None, tuple[str, ...]]:
        """What a running call has cost so far, as far as it can be counted."""
        minutes = (time.time() * 1000 - call.began_at) / 60_000
        model = str(call.told["model"])
        phone = call.told["carrier"] not in SCREENS
        used = Used(usage=call.usage, minutes=minutes, carrier_minutes=minutes, phone=phone)
        prices = price_of(str(call.told["wire"]), model)
        spent = cost(used, prices, model=model, carrier_usd_per_minute=self._usd)
        return spent.usd, spent.unknown

    # ---------------------------------------------------------------------------------- checks, playground

    async def _play(self, row: str) -> Mapping[str, Any]:
        """Play a fault in a process of its own: it holds the interpreter for a second."""
        folder = self._serving.journals.directory / FOLDER
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook.cli.play", row, str(folder), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1024 * 1024,
        )  # fmt: skip
        try:
            out, complaints = await asyncio.wait_for(process.communicate(), PLAY_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise RuntimeError(f"{row} could not be played: {complaints.decode('utf-8', 'replace').strip()[-200:]}")
        told: Mapping[str, Any] = json.loads(out)
        return told

    async def _check(
        self, names: Sequence[str], live: bool, full: bool, told: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """
        Run checks in a process of their own: some hold the interpreter for seconds, and no call may wait for that.

        The process gets the settings that this one has: flags as variables, the same file and folder.
        """
        settings = self._serving.settings
        command = [sys.executable, "-m", "offhook", "check", *names, "--lines"]
        command += ["--live"] if live else []
        command += ["--full"] if full else []
        command += ["--config", str(settings.file)] if settings.file is not None else []
        variables = {spec.name: spec.variable for spec in SPECS}
        flags = {variables[name]: str(value) for name, value in settings.flags.items() if value is not None}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=settings.base, env={**os.environ, **flags}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1024 * 1024,
        )  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        complaints = asyncio.ensure_future(process.stderr.read())
        try:
            async for line in process.stdout:
                told(json.loads(line))
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            said = (await complaints).decode("utf-8", "replace").strip()
        if code not in (0, 1, 3):
            raise RuntimeError(f"offhook check ended with {code}: {said[-200:]}")

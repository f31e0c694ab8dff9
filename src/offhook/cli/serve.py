"""``offhook serve``: put the parts together and answer the phone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import platform
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from offhook import __version__
from offhook import vocab as v
from offhook.agent.tools.box import ToolBox
from offhook.agent.tools.declared import declared as declared_tools
from offhook.bridge import BridgeSettings
from offhook.checks import settings as judge
from offhook.cli.boot import boot_facts
from offhook.cli.places import data_dir
from offhook.cli.stored import StoreKeeper
from offhook.cli.verdict import prepare
from offhook.evidence.journal import JournalDir
from offhook.evidence.recording import StereoRecorder
from offhook.evidence.redact import Sieve
from offhook.loopback.child import Receptionist
from offhook.media.lines import spoken_lines
from offhook.net.answerer import Answerer, always
from offhook.net.app import Paths, make_app
from offhook.net.calls import Limits
from offhook.net.client import choose_proxy, default_tls
from offhook.net.clock import LoopClock
from offhook.net.host import Host
from offhook.net.metrics import Metrics
from offhook.net.server import Server
from offhook.net.sockets import Limits as SocketLimits
from offhook.settings import Settings, shown
from offhook.testing.effects import side_effects_allowed
from offhook.wires.carriers import twilio
from offhook.wires.carriers._twilio_oracle import oracle

__all__ = ["ListenError", "Serving", "run"]

log = logging.getLogger("offhook")


class _Line(logging.Formatter):
    """One line a record: time, level, what happened, then its data; known secrets never pass."""

    def __init__(self, sieve: Sieve) -> None:
        super().__init__()
        self._sieve = sieve
        self._own = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        data = self._sieve.clean_data({name: value for name, value in vars(record).items() if name not in self._own})
        words = [stamp, record.levelname.lower(), record.getMessage()]
        words += [f"{name}={json.dumps(value, default=str)}" for name, value in data.items()]
        text = " ".join(words)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return self._sieve.clean(text)


def log_to_stderr(sieve: Sieve) -> None:
    """
    The service's log: a line when a call starts, one when it ends, one for what was refused.

    What libraries warn of, and exceptions that nobody caught, go the same way: through the sieve.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(sieve))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    sys.excepthook = lambda *error: log.critical("defect", exc_info=error)
    threading.excepthook = lambda told: log.critical(
        "defect in a thread", exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)
    )


def banner(settings: Settings, session: Any, label: str, public_url: str, port: int) -> list[str]:
    """What is running, and where each value came from."""

    def row(name: str, value: str, origin: str) -> str:
        return f"  {name:<11} {value:<44}  [{origin}]"

    def own(name: str, value: str) -> tuple[str, str]:
        given = settings[name]
        return (str(given), settings.origin(name)) if given else (value, "default of the provider")

    name = settings["provider.name"]
    model, voice, url = (
        own("provider.model", session.model),
        own("provider.voice", session.voice),
        own("provider.url", session.url),
    )
    lines = [
        f"offhook {__version__}",
        row("provider", label, settings.origin("provider.name")),
        row("model", *model),
        row("voice", *voice),
        row("endpoint", *url),
    ]
    if session.api_key:
        lines.append(row("key", shown(settings[f"provider.{name}_key"]), settings.origin(f"provider.{name}_key")))
    if settings["provider.allow_unlisted"]:
        lines.append(row("unlisted", "taken: the provider's echo decides", settings.origin("provider.allow_unlisted")))
    auth = settings["carrier.auth"]
    lines += [
        row("public URL", public_url, settings.origin("server.public_url")),
        row("webhook", public_url + "/twilio/voice", "set this at the carrier's number"),
        row("signatures", "checked" if auth == "signature" else "NOT CHECKED (loopback only)",
            settings.origin("carrier.auth")),
        row("call end", "by REST", settings.origin("carrier.account_sid"))
        if judge.carrier_settings(settings, public_url).rest_credentials else
        row("call end", "by closing the stream: 31921 in Twilio's debugger", "REST needs TWILIO_ACCOUNT_SID and token"),
        row("records", str(data_dir(settings)), settings.origin("record.dir")),
        row("listening", f"{settings['server.host']}:{port}", settings.origin("server.port")),
    ]  # fmt: skip
    return lines


class Live:
    """What happens in calls, on standard output: for people, or as JSON lines; sieved as everything is."""

    def __init__(self, how: str, sieve: Sieve, digits: bool = False) -> None:
        self._json = how == "json"
        self._sieve = sieve
        self._digits = digits

    def say(self, what: str, **given: Any) -> None:
        data = self._sieve.clean_data(given)
        if self._json:
            sys.stdout.write(json.dumps({"event": what, **data}) + "\n")
        else:
            sys.stdout.write(f"{what}: {', '.join(f'{key} {value}' for key, value in data.items())}\n")
        sys.stdout.flush()

    def __call__(self, call: str, happened: v.Event | v.Note, at_s: float) -> None:
        told = _told(happened)
        if told is None:
            return
        what, data = told
        if what == "key" and not self._digits:
            data = {"text": v.MASKED}
        if self._json:
            self.say(what, call=call, at_s=round(at_s, 3), **data)
        else:
            data = self._sieve.clean_data(data)
            text = data.get("text") or ", ".join(f"{key} {value}" for key, value in data.items())
            sys.stdout.write(f"{at_s:7.2f}s {what:<12} {text}\n")
            sys.stdout.flush()


def _told(happened: v.Event | v.Note) -> tuple[str, dict[str, Any]] | None:
    """What is worth telling of an event, and in which words."""
    match happened:
        case v.CallerTranscript(text=text, final=True):
            return "caller", {"text": text}
        case v.AgentTranscript(text=text, final=True, item_id=item):
            return "agent", {"text": text, "item": item}
        case v.KeyPressed(digit=digit):
            return "key", {"text": digit}
        case v.ToolCalled(name=name):
            return "tool", {"text": name}
        case v.StreamStarted():
            return "stream", {"text": "started"}
        case v.StreamStopped():
            return "stream", {"text": "stopped"}
        case v.SessionConfigured(differences=differences):
            return "session", {"text": "as asked" if not differences else f"{len(differences)} difference(s)"}
        case v.DialFailed(cause=cause):
            return "dial failed", {"text": cause}
        case v.ProviderError(message=message, benign=False):
            return "error", {"text": message}
        case v.Note(kind="reply", data=data):
            return "reply", {"ms": data["ms"]}
        case v.Note(kind="barge-in", data=data):
            return "barge-in", {"heard_ms": data["heard_ms"], "of_ms": data["sent_ms"]}
        case v.Note(kind="ending", data=data):
            return "ending", {"text": str(data["why"])}
        case v.Note(kind="deadline.missed", data=data):
            return "missed", {"text": str(data["name"])}
    return None


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
        live: str = "",
        clock_rate: float = 1.0,
        bridge: Callable[[BridgeSettings], BridgeSettings] = lambda given: given,
        dial_options: Mapping[str, Any] | None = None,
        carrier: Callable[[twilio.CarrierSettings], twilio.CarrierSettings] = lambda given: given,
    ) -> None:
        self.settings = settings
        self.sieve = Sieve(*settings.secrets())
        self.live = Live(live, self.sieve, settings["record.digits"]) if live else None
        self._rate = clock_rate
        self._bridge = bridge
        self._dial_options = dict(dial_options or {})
        self._carrier = carrier
        self._child: Receptionist | None = None

    async def start(self) -> None:
        """Bring everything up; the server answers when this returns."""
        settings = self.settings
        log_to_stderr(self.sieve)
        provider = judge.provider_module(settings["provider.name"])
        session = judge.session_settings(settings, judge.instructions(settings))
        if provider.NAME == "loopback" and not settings["provider.url"]:
            self._child = Receptionist()
            session = structs.replace(session, url=await self._child.start())
        self.metrics = Metrics()
        self.store = StoreKeeper(settings, data_dir(settings), self.metrics, self._store_stalls)
        self.journals = JournalDir(
            data_dir(settings),
            max_bytes=settings["record.max_mb"] * 1024 * 1024,
            on_failure=self._journal_fails,
            on_recovery=lambda text: log.warning("records are written again", extra={"where": text}),
            clean=self.sieve.clean_bytes,
            digits=settings["record.digits"],
            on_begin=self.store.begun,
            on_whole=self.store.whole,
        )
        prepare()
        self.tools = declared_tools(settings)
        self.box: ToolBox | None = None
        if self.tools:
            self.box = ToolBox(self.tools.tools, self.tools.sources, effects=side_effects_allowed())
        self.server: Server | None = None
        loop = asyncio.get_running_loop()
        self._clock = clock = LoopClock(loop, self._rate)
        public = settings["server.public_url"].rstrip("/")
        host_name = settings["server.host"]
        self.host = Host(
            carrier=twilio,
            carrier_settings=self._carrier(judge.carrier_settings(settings, public or "http://127.0.0.1")),
            answer_for=always(
                Answerer(
                    provider,
                    session,
                    self._bridge(self._bridge_settings()),
                    spoken_lines(settings.path("record.lines_dir"), self.tools.lines),
                    tools=settings["agent.tools"],
                )
            ),
            journals=self.journals,
            clock=clock,
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
                "proxy": choose_proxy(session.url, settings.environment),
                **self._dial_options,
            },
            observer=self.live,
            rest_proxy=lambda url: choose_proxy(url, settings.environment),
            recorder=self._recorder if settings["record.audio"] else None,
            oracle=oracle,
            number_id=self.store.number_id,
            tools=self.box,
        )
        carrier = self.host.carrier.settings
        paths = Paths(carrier.webhook_path, carrier.media_path, carrier.status_path, carrier.after_path)
        self.server = Server(
            make_app(self.host, paths, lambda: {"store": self.store.detail()}),
            self.host.streams.upgrade,
            host=host_name,
            port=settings["server.port"],
            max_sockets=settings["limits.max_calls"] + 256,
            limits=SocketLimits(max_message_bytes=settings["limits.max_message_bytes"]),
        )
        try:
            await self.server.start()
        except OSError as error:
            if self._child is not None:
                await self._child.stop()
            raise ListenError(host_name, settings["server.port"], error) from error
        if not public:  # signatures are off and we are on a loopback address: it is our own
            public = f"http://127.0.0.1:{self.server.port}"
            self.host.carrier.settings = structs.replace(carrier, public_url=public)
        self.public_url = public
        self.session = session
        self.journals.boot = {
            **boot_facts(settings, provider, session, public, self.server.port),
            "server": dict(self.store.server),
            "offhook": __version__,
            "python": platform.python_version(),
            "settings": {
                name: {
                    "value": value if len(value) <= 200 else f"{value[:60]}… <{len(value)} characters>",
                    "origin": origin,
                }
                for name, value, origin in settings.table()
                if origin != "default"  # what is not named has the default of this version
            },
            "public_url": public,
            "provider": provider.LABEL,
            "model": session.model,
            "voice": session.voice,
            "endpoint": session.url,
        }
        try:
            self.journals.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # said now, not when the first call has gone unrecorded
            self._journal_fails(f"{self.journals.directory}: {error.strerror}")
        self._loop = loop
        self.store.start()
        self.journals.start()
        self.host.start()
        if self.box is not None:
            await self.box.start()
        default_tls()  # 21 ms once, at start and not in the first call

    def _token_secret(self) -> bytes:
        return secrets.token_bytes(32)

    def _bridge_settings(self) -> BridgeSettings:
        settings = self.settings
        return BridgeSettings(
            greeting=settings["agent.greeting"] or None,
            on_failure=settings["failure.policy"],
            note_digits=settings["record.digits"],
            max_call_s=settings["limits.max_call_s"],
            idle_s=settings["limits.idle_s"],
            stream_s=settings["limits.stream_timeout_s"],
            open_s=settings["provider.dial_timeout_s"] + 2,
        )

    def _recorder(self, record: Path, now: float) -> StereoRecorder:
        recorder = StereoRecorder(record.with_suffix(".wav"), now, self._journal_fails)
        self.journals.each_round(recorder.flush)
        return recorder

    def _journal_fails(self, text: str) -> None:
        self.metrics.journal_failures.inc()
        log.error("records cannot be written; calls go on", extra={"where": text})

    def _store_stalls(self, ms: float, error: str) -> None:
        """On the store's thread: calls that run say so, for whoever blames the store for what they heard."""

        def note() -> None:
            for call in self.host.calls.running.values():
                call.journal.note("store.stall", self._clock.now(), ms=round(ms), error=error[:200])

        with contextlib.suppress(RuntimeError):  # the loop is closed: there are no calls any more
            self._loop.call_soon_threadsafe(note)

    async def stop(self) -> None:
        """Drain, then close everything."""
        await self.host.drain()
        if self.server is not None:
            await self.server.stop()
        if self._child is not None:
            await self._child.stop()
        if self.box is not None:
            await self.box.stop()
        self.journals.stop()
        self.store.stop()


def run(settings: Settings, *, live: str = "") -> int:
    """Serve until SIGTERM or SIGINT. The exit code."""
    found = judge.problems(settings)
    if found:
        sys.stderr.write(Sieve(*settings.secrets()).clean(refusal(found)))
        return 2
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_serve(settings, live))


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one, with the transports that the WebSocket path is made for."""
    import aiofastnet

    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return aiofastnet.patch_loop(asyncio.new_event_loop())
    return aiofastnet.patch_loop(uvloop.new_event_loop())


def refusal(found: list[Any]) -> str:
    """Why it does not start, problem by problem."""
    lines = [f"offhook: refuses to start: {len(found)} problem{'s' if len(found) > 1 else ''}"]
    for problem in found:
        lines += [f"  {problem.setting}: got {problem.got}", f"    wanted {problem.wanted}", f"    fix: {problem.fix}"]
        if problem.source:
            lines.append(f"    source: {problem.source}")
    return "\n".join(lines) + "\n"


async def _serve(settings: Settings, live: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = Serving(settings, live=live)
    await serving.start()
    assert serving.server is not None
    port = serving.server.port
    if live == "json":
        assert serving.live is not None
        serving.live.say("listening", port=port, public_url=serving.public_url)
    else:
        label = judge.provider_module(settings["provider.name"]).LABEL
        sys.stdout.write("\n".join(banner(settings, serving.session, label, serving.public_url, port)) + "\n")
        sys.stdout.flush()
    _settle_memory()
    _notify("READY=1")
    await stop.wait()
    _notify("STOPPING=1")
    await serving.stop()
    return 0


def _settle_memory() -> None:
    """
    Keep the garbage collector out of the calls.

    What start-up made stays for good and need not be looked at again; the audio path makes no cycles, so rounds
    may be rare. With the defaults a full round over 200,000 objects stood in the way of a frame every few seconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _notify(state: str) -> None:
    """Tell systemd, if it asked to be told (Type=notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(state.encode())

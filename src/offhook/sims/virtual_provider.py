"""
Simulated providers in virtual time: hosts that can be dialled, phase by phase, each connection with a session of its
own. What is wrong with a host is in its ``ProviderHost``: a phase that fails or takes long, faults of the simulation,
or a ``twist`` of what it says. Knows no client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from offhook.sims.observer import Observer
from offhook.sims.provider import SimProvider, first_id
from offhook.sims.provider_dial import Act
from offhook.sims.provider_scene import Binary, LatePongs, StopReading
from offhook.sims.virtual import By, Ear, End, Link, Process, World, connect
from offhook.sims.virtual_sim import WorldProvider
from offhook.wires._wire import ConnectRequest, PeerClose, Refusal

__all__ = ["DialFailure", "Net", "ProviderHost", "Twist"]

PHASES = ("dns", "tcp", "tls", "upgrade")
# What each phase costs where nothing is wrong: a nearby data centre.
USUAL_S = {"dns": 0.004, "tcp": 0.02, "tls": 0.03, "upgrade": 0.08}

Twist = Callable[[SimProvider, list[Act], float], list[Act]]


class DialFailure(Exception):
    """A dial that did not come about; the phases are those of net/client.py."""

    def __init__(self, phase: str, cause: str, status: int | None = None, body: str = "") -> None:
        super().__init__(phase, cause)
        self.phase, self.cause, self.status, self.body = phase, cause, status, body


class ProviderHost:
    """
    One provider at one address. ``knobs`` go to SimProvider; ``slow_s`` adds to phases (also ``greeting`` and
    ``updated``); ``fails`` is a phase and its cause; ``pong_delay_s`` is how late it answers pings.
    """

    def __init__(
        self,
        name: str,
        *,
        slow_s: Mapping[str, float] | None = None,
        fails: tuple[str, str] | None = None,
        refuse: Callable[[int, str, Mapping[str, str]], Refusal | None] = lambda n, path, headers: None,
        twist: Twist | None = None,
        link: Link | None = None,
        pong_delay_s: float = 0.0,
        max_sessions: int | None = None,
        make: Callable[[int], Any] | None = None,
        **knobs: Any,
    ) -> None:
        self.name = name
        self.sessions: list[Any] = []
        self.live: list[_Session] = []
        self.dials = 0
        self.slow_s = dict(slow_s or {})
        self.fails = fails
        self.twist = twist
        self.link = link or Link()
        self.pong_delay_s = pong_delay_s
        self._refuse = refuse
        self._max_sessions = max_sessions
        self._make = make or (lambda n: WorldProvider(name, **{"first_id": first_id(n), **knobs}))

    def session(self, path_qs: str, headers: Mapping[str, str]) -> Any:
        """A new session, or why the upgrade is refused."""
        self.dials += 1
        refusal: Refusal | None = self._refuse(self.dials, path_qs, headers)
        if refusal is None and self._max_sessions is not None and len(self.live) >= self._max_sessions:
            refusal = Refusal(429, '{"error":{"message":"too many concurrent sessions"}}', "limit")
        session = self._make(self.dials)
        refusal = refusal or session.upgrade(path_qs, headers)
        return refusal if refusal is not None else session


class Net:
    """The providers of a world, by host name; an unknown name fails in dns."""

    def __init__(self, world: World, hosts: Mapping[str, ProviderHost]) -> None:
        self.world = world
        self.hosts = dict(hosts)

    def dial(
        self,
        process: Process,
        request: ConnectRequest,
        ear: Ear,
        *,
        opened: Callable[[End], None],
        failed: Callable[[DialFailure], None],
        on_phase: Callable[[str, float], None] = lambda phase, ms: None,
        timeout_s: float = 10.0,
        proxy: str | None = None,
        observer: Observer | None = None,
    ) -> Callable[[], None]:
        """Dial; either callback follows in ``process``. What is returned calls it off."""
        attempt = _Dial(self, process, request, ear, opened, failed, on_phase, timeout_s, proxy, observer)
        attempt.start()
        return attempt.stop


class _Dial:
    """One attempt."""

    def __init__(
        self, net: Net, process: Process, request: ConnectRequest, ear: Ear, opened: Callable[[End], None],
        failed: Callable[[DialFailure], None], on_phase: Callable[[str, float], None], timeout_s: float,
        proxy: str | None, observer: Observer | None,
    ) -> None:  # fmt: skip
        self._net, self._process, self._request, self._ear = net, process, request, ear
        self._opened, self._failed, self._on_phase = opened, failed, on_phase
        self._timeout_s, self._proxy, self._observer = timeout_s, proxy, observer
        self._over = False
        self._phase = "dns"
        self._phases = [*PHASES]

    def start(self) -> None:
        self._process.after(self._timeout_s, self._late)
        self._net.world.after(0, self._next)

    def stop(self) -> None:
        self._over = True

    def _late(self) -> None:
        self._fail(DialFailure(self._phase, f"{self._phase}: no answer within {self._timeout_s:g} s"))

    def _fail(self, failure: DialFailure) -> None:
        if not self._over:
            self._over = True
            self._process.enter(lambda: self._failed(failure))

    def _next(self) -> None:
        if self._over:
            return
        host = self._net.hosts.get(urlsplit(self._request.url).hostname or "")
        self._phase = phase = self._phases.pop(0)
        if self._proxy is not None and phase == "tcp":
            self._fail(DialFailure("proxy", f"proxy {self._proxy}: connection refused"))
        elif host is None:
            self._fail(DialFailure("dns", f"dns: no address for {urlsplit(self._request.url).hostname}"))
        elif host.fails is not None and host.fails[0] == phase:
            self._net.world.after(0.05, lambda: self._fail(DialFailure(phase, host.fails[1] if host.fails else "")))
        else:
            took = USUAL_S[phase] + host.slow_s.get(phase, 0.0)
            self._net.world.after(took, lambda: self._passed(phase, took, host))

    def _passed(self, phase: str, took: float, host: ProviderHost) -> None:
        if self._over:
            return
        if phase != "upgrade":
            self._on_phase(phase, took * 1000)
            self._next()
            return
        parts = urlsplit(self._request.url)
        given = host.session(f"{parts.path}?{parts.query}" if parts.query else parts.path, dict(self._request.headers))
        if isinstance(given, Refusal):
            self._fail(DialFailure("upgrade", f"upgrade refused: HTTP {given.status}", given.status, given.body))
            return
        self._over = True
        self._on_phase(phase, took * 1000)
        client, theirs = connect(self._process, self._net.world.outside, host.link)
        session = _Session(self._net.world, host, given, theirs)
        theirs.ear, theirs.pong_delay_s = session, host.pong_delay_s
        client.ear = self._ear
        if self._observer is not None:
            self._observer.session(client, theirs, host.name)
            session.observer = self._observer
        host.sessions.append(given)
        host.live.append(session)
        self._process.enter(lambda: self._opened(client))
        session.begin()


class _Session:
    """One connection, on the provider's side."""

    def __init__(self, world: World, host: ProviderHost, sim: Any, end: End) -> None:
        self.observer: Observer | None = None
        self._world, self._host, self._sim, self._end = world, host, sim, end
        self._timer: Any = None
        self._held: list[Act] = []
        self._free_at = 0.0
        self._gone = False

    def begin(self) -> None:
        self._answer("greeting", self._sim.opened(self._world.now()))

    def opened(self, socket: End) -> None:
        """The world made the connection."""

    def text(self, data: bytes) -> None:
        phase = "updated" if b'"session.update"' in data[:200] else ""
        self._answer(phase, self._sim.receive(data, self._world.now()))

    def binary(self, data: bytes) -> None:
        self._answer("", self._sim.receive(data, self._world.now(), binary=True))

    def closed(self, code: int | None, reason: str, by: By) -> None:
        self._gone = True
        if self in self._host.live:
            self._host.live.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.observer is not None:
            self.observer.closed("provider", code, reason, by, self._world.now())

    def paused(self, n_bytes: int) -> None:
        """A simulated provider never stops speaking for its listener's sake."""

    def resumed(self) -> None:
        """See ``paused``."""

    def _answer(self, phase: str, out: list[Act]) -> None:
        """Send, unless the phase is held back; nothing overtakes what is."""
        now = self._world.now()
        if self._host.twist is not None:
            out = self._host.twist(self._sim, out, now)
        if phase and phase in self._host.slow_s:
            self._free_at = max(self._free_at, now + self._host.slow_s[phase])
            self._world.call_at(self._free_at, self._send)
        self._held += out
        self._send()
        due = self._sim.deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and not self._gone:
            self._timer = self._world.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._answer("", self._sim.tick(self._world.now()))

    def _send(self) -> None:
        if self._world.now() < self._free_at - 1e-6:
            return
        held, self._held = self._held, []
        for message in held:
            match message:
                case bytes():
                    self._end.send(message)
                case Binary(data=data):
                    self._end.send(data, binary=True)
                case StopReading():
                    self._end.stop_reading()
                case LatePongs(seconds=seconds):
                    self._end.pong_delay_s = seconds
                case PeerClose(code=int(code), reason=reason):
                    self._end.close(code, reason)
                case PeerClose():
                    self._end.abort(1006, "")

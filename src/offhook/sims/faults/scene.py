"""
The scenes of the catalogue: one call of our server, or of the naive bridge, played in virtual time.

Returns the recordings that such a call leaves. Everything not said is as on a good day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from offhook.evidence.record import Recording
from offhook.media import g711
from offhook.media.lines import spoken_lines
from offhook.sims.boot import boot_facts, fingerprint
from offhook.sims.foreign import Foreign
from offhook.sims.foreign_knobs import Knobs
from offhook.sims.observer import Observer
from offhook.sims.provider import Answer
from offhook.sims.run_world import TOKEN, OurServer
from offhook.sims.virtual import Link, World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_faulty import FaultyLine
from offhook.sims.virtual_provider import Net, ProviderHost
from offhook.wires.carriers import twilio
from offhook.wires.providers import openai, xai

__all__ = [
    "AGENT",
    "ALL",
    "CALLER",
    "FOREIGN_URL",
    "HOSTS",
    "LONG",
    "SHORT",
    "TOKEN",
    "Play",
    "foreign",
    "ours",
    "mute",
    "patient",
    "talk",
    "wait",
]

LINES = spoken_lines()
AGENT = LINES["provider_failed"]  # 5.1 s
SHORT = LINES["time_up"]  # 3.5 s
CALLER = LINES["draining"]  # 4.1 s
LONG = AGENT + LINES["provider_lost"] + SHORT  # 13 s
WORDS = "We are sorry. The assistant cannot be reached right now. Please call again later."
HOSTS = {"openai": "api.openai.com", "xai": "api.x.ai", "loopback": "loopback"}
WIRES: Mapping[str, Any] = {"openai": openai, "xai": xai}
FOREIGN_URL = "https://bridge.example.net/voice"
ALL = ("webhook", "carrier", "provider", "bridge")
SCRIPT = (Answer(audio=AGENT, transcript=WORDS),)

Play = Callable[[Line], None]


def talk(line: Line) -> None:
    """A short good call: the caller speaks twice, hears both answers, and hangs up."""
    line.then(5.0, lambda: line.say(CALLER)).then(16.0, lambda: line.say(SHORT)).then(27.0, line.hang_up)


def mute(seconds: float) -> Play:
    """A caller who says nothing and leaves after so long."""

    def play(line: Line) -> None:
        line.then(seconds, line.hang_up)

    return play


def patient(seconds: float) -> Play:
    """A caller who says a short word late, when whatever plays has long been played."""

    def play(line: Line) -> None:
        line.then(24.0, lambda: line.say(SHORT[:12000])).then(seconds, line.hang_up)

    return play


def wait(seconds: float) -> Play:
    """A caller who says something and then waits so long."""

    def play(line: Line) -> None:
        line.then(5.0, lambda: line.say(CALLER)).then(seconds, line.hang_up)

    return play


def host(provider: str, **given: Any) -> ProviderHost:
    """A provider's host; a good one speaks a sentence to every turn."""
    given.setdefault("script", SCRIPT)
    given.setdefault("greeting", Answer(audio=SHORT, transcript="Hello, how can I help you?"))
    return ProviderHost(provider, **given)


def ours(
    provider: str = "openai",
    play: Play = talk,
    *,
    net: Mapping[str, Any] | None = None,
    line: Mapping[str, Any] | None = None,
    limit_s: float = 120.0,
    seed: int = 1,
    calls: int = 1,
    apart_s: float = 0.0,
    then: Callable[[World, OurServer, list[Line]], None] | None = None,
    hosts: Mapping[str, ProviderHost] | None = None,
    settle_s: float = 8.0,
    **server: Any,
) -> list[Recording]:
    """Calls to our own server."""
    with World(seed) as world:
        known = hosts if hosts is not None else {HOSTS[provider]: host(provider, **(net or {}))}
        program = OurServer(world, Net(world, known), provider, **server)
        lines = []
        for n in range(calls):
            kind = FaultyLine if line and "faults" in line else Line
            one = kind(world, program, **{"auth_token": TOKEN, **(line or {})})
            program.came_in(one)
            play(one)
            world.after(n * apart_s, one.begin)
            lines.append(one)
        if then is not None:
            then(world, program, lines)
        world.run_until(lambda: all(one.over for one in lines), limit_s)
        world.run(settle_s)
        return program.recordings()


def foreign(
    knobs: Knobs | None = None,
    play: Play = talk,
    *,
    net: Mapping[str, Any] | None = None,
    line: Mapping[str, Any] | None = None,
    sees: tuple[str, ...] = ("webhook", "carrier", "provider"),
    boot: Mapping[str, Any] | None = None,
    source: str = "tap",
    limit_s: float = 120.0,
    seed: int = 1,
    calls: int = 1,
    apart_s: float = 2.0,
    hosts: Mapping[str, ProviderHost] | None = None,
    then: Callable[[World, Foreign, list[Line]], None] | None = None,
    keep: int | None = None,
    cut: bool = False,
    begins: bool = True,
    answered_before_s: float | None = None,
    selftest: float | None = None,
    **turned: Any,
) -> list[Recording]:
    """Calls to the naive bridge, watched from between its parts; ``turned`` are knobs."""
    knobs = knobs or Knobs(**turned)
    with World(seed) as world:
        known = hosts or {HOSTS[knobs.provider]: host(knobs.provider, **(net or {}))}
        program = Foreign(world, Net(world, known), knobs)
        facts = _facts(knobs, boot) if "bridge" in sees else {}
        lines, observers = [], []
        for n in range(calls):
            observer = Observer(world.now(), source=source, sees=sees, boot=facts, provider=WIRES[knobs.provider].LABEL)
            one = Line(world, program, **{"url": FOREIGN_URL, "observer": observer, **(line or {})})
            program.observers[one.call_sid] = observer
            program.observers.setdefault("", observer)
            play(one)
            if answered_before_s is not None:
                _answered(world, one, observer)
            if begins:
                world.after(n * apart_s + (answered_before_s or 0.0), one.begin)
            lines.append(one)
            observers.append(observer)
        if then is not None:
            then(world, program, lines)
        world.run_until(lambda: all(one.over for one in lines), limit_s)
        world.run(4.0)
        if selftest is not None:
            _self_test(lines[0], observers[0], selftest)
        made = [observer.recording(world.now(), cut=cut) for observer in observers]
        return made if keep is None else [made[keep]]


def _answered(world: World, line: Line, observer: Observer) -> None:
    """An outbound call with machine detection that blocks: answered now, the webhook comes when it is done."""
    observer.call_placed(line.call_sid, "outbound-api", line.form)
    observer.note(
        "rest.result", world.now(), op="create", http=201, code=None, ok=True, ms=120, machine_detection="Enable"
    )
    observer.note("call.status", world.now(), status="in-progress", answered_by="", direction="outbound-api",
                  **{"from": "callback"})  # fmt: skip


def _self_test(line: Line, observer: Observer, hz: float) -> None:
    """A tone went in at the provider's side; what of it came out at the phone, and what else."""
    assert line.phone is not None
    samples = g711.decode(line.phone.audio()[1600:25600]).astype(np.float64)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    at = np.arange(len(power)) * 8000 / (2 * (len(power) - 1))
    near = np.abs(at - hz) < 15
    kept, rest = float(power[near].sum()), float(power[~near & (at > 60)].sum())
    snr = 10 * math.log10(max(kept, 1e-9) / max(rest, 1e-9))
    alias = 10 * math.log10(max(rest, 1e-9) / (len(samples) ** 2 * 8000.0**2 / 16 * 1.5))
    observer.note("audio.selftest", line.world.now(), tone_hz=hz, snr_db=round(snr, 1) if hz < 4000 else None,
                  alias_db=round(alias, 1) if hz > 4000 else None)  # fmt: skip


def _facts(knobs: Knobs, boot: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is known of a process that was started under observation."""
    wire = WIRES[knobs.provider]
    key = wire.KEY_PREFIX.value + "foreign-1" if knobs.key == "right" else knobs.key
    given: dict[str, Any] = {"model": knobs.model} if knobs.model else {}
    session = wire.SessionSettings(api_key=key or "", **given)
    carrier = twilio.CarrierSettings(public_url="https://bridge.example.net")
    facts = dict(boot or {})
    facts.setdefault("keys", [fingerprint(wire.KEY_ENV, key)])
    facts.setdefault("agent", {"instructions": "You answer the phone.", "uses_parameters": sorted(knobs.parameters)})
    facts.setdefault("limits", {"max_calls": knobs.max_calls})
    return boot_facts(wire, session, carrier, origin=facts.pop("origin", "config.yaml:3"), **facts)


def jittery(latency_s: float, jitter_s: float) -> Link:
    """A network with some jitter."""
    return Link(latency_s, jitter_s)

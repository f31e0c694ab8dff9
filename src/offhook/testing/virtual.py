"""
A call to our own server in virtual time: the real bridge between a simulated carrier and a fake provider.

A minute takes a tenth of a second, the same test gives the same call, and nothing leaves the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from offhook.agent.tools.declared import declared
from offhook.agent.tools.function import function_tool, marked
from offhook.agent.tools.jobs import Jobs
from offhook.agent.tools.loop_box import LoopBox
from offhook.agent.tools.spec import Tool
from offhook.checks import settings as judge
from offhook.checks.agents import default_ready
from offhook.evidence.record import Recording
from offhook.settings import load
from offhook.sims.carrier import Phone
from offhook.sims.provider_scene import Answer
from offhook.sims.run_world import HANG_UP, TOKEN, OurServer
from offhook.sims.virtual import Link, World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_faulty import FaultyLine
from offhook.sims.virtual_provider import Net, ProviderHost
from offhook.testing.effects import side_effects_allowed
from offhook.testing.heard import HeardCall
from offhook.testing.speech import Said, speech

__all__ = ["VirtualCall"]

HOSTS = {"openai": "api.openai.com", "xai": "api.x.ai", "loopback": "loopback"}
QUIET_S = 0.6  # an answer is over when nothing has come for so long


class VirtualCall(HeardCall):
    """
    One call; it is answered when this returns. ``with VirtualCall(provider="xai") as call: call.say(2.0)``.

    ``config`` names your offhook.toml: instructions, greeting, model, voice and language come from it. ``script`` is
    what the provider answers, ``faults`` are names of ``offhook fake NAME --list-faults``. ``carrier`` is how the line
    behaves: ``link``, ``quiet``, or ``faults``, names of ``offhook dial --list-faults``.

    ``tools`` are functions that the agent can call, with ``@tool`` or without; of those that change something nothing
    is carried out, unless side effects are on. ``ran`` says what was: name, arguments, outcome. Hanging up ends the
    simulated call.
    """

    def __init__(
        self,
        provider: str = "openai",
        *,
        config: str | Path | None = None,
        greeting: str | None = "Say hello.",
        instructions: str = "",
        script: Iterable[Answer] | None = None,
        faults: Iterable[str] = (),
        think_s: float = 0.5,
        carrier: Mapping[str, Any] | None = None,
        seed: int = 1,
        answered_within_s: float = 5.0,
        tools: Iterable[Callable[..., Any] | Tool] = (),
        **server: Any,
    ) -> None:
        session: dict[str, Any] = dict(server.pop("session", {}))
        if config is not None:
            provider, greeting, session = _configured(Path(config), session)
            tools = [*tools, *_declared(Path(config))]
        elif instructions:
            session["instructions"] = instructions
        self.world = World(seed)
        answers = tuple(script) if script is not None else (Answer(audio=speech(2.5), transcript="Of course."),)
        self.provider = ProviderHost(provider, script=answers, faults=tuple(faults), think_s=think_s)
        self._box = LoopBox(map(_tool, tools), effects=side_effects_allowed())
        if self._box.tools:
            server["tools"] = self._box
        self._server = OurServer(
            self.world, Net(self.world, {HOSTS[provider]: self.provider}), provider, greeting=greeting, session=session,
            **server,
        )  # fmt: skip
        given = dict(carrier or {})
        given.setdefault("link", Link(0.03))
        kind = FaultyLine if "faults" in given else Line
        self.line: Line = kind(self.world, self._server, auth_token=TOKEN, **given)
        self._server.came_in(self.line)
        self._utterances = []
        self._made: Recording | None = None
        self.line.begin()
        started = {"yet": False}
        self.line.then(0.0, lambda: started.update(yet=True))
        self.world.run_until(lambda: started["yet"] or self.line.over, answered_within_s)

    def __enter__(self) -> VirtualCall:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the call; what it was can still be asked."""
        self._recording()
        self.world.__exit__()

    # ------------------------------------------------------------------------------------- the caller

    def say(self, said: Said = 2.0) -> VirtualCall:
        """Speak, and wait until it has been said."""
        audio = speech(said)
        began = self.world.now()
        self.line.say(audio)
        self.world.run_until(lambda: not self.line.speaking or self.line.over, len(audio) / 8000 + 5, 0.02)
        self._utterances.append((began, self.world.now()))
        return self

    def press(self, keys: str) -> VirtualCall:
        """Keys, a quarter of a second each."""
        for key in keys:
            self.line.press(key)
            self.world.run(0.25)
        return self

    def wait(self, seconds: float) -> VirtualCall:
        """Let time pass."""
        self.world.run(seconds)
        return self

    def wait_for_reply(self, limit_s: float = 15.0) -> VirtualCall:
        """Until something new was heard, and it is over; or the limit, or the call's end."""
        before = self.heard_ms
        self.world.run_until(lambda: self.heard_ms > before or self.line.over, limit_s, 0.02)
        state = {"ms": self.heard_ms, "at": self.world.now()}

        def quiet() -> bool:
            if self.heard_ms != state["ms"]:
                state.update(ms=self.heard_ms, at=self.world.now())
            return self.line.over or self.world.now() - state["at"] > QUIET_S

        self.world.run_until(quiet, limit_s + 60.0, 0.02)
        return self

    def hang_up(self) -> VirtualCall:
        """The caller leaves; the call is written down to its end."""
        self.line.hang_up()
        self._finish()
        return self

    @property
    def ran(self) -> list[tuple[str, dict[str, Any], str]]:
        """The tools that were run: name, arguments, and how it ended (ok, error, timeout, dry run, …)."""
        return [(name, json.loads(arguments), outcome) for name, arguments, outcome in self._box.ran]

    @property
    def over(self) -> bool:
        """Whether the call has ended, whoever ended it."""
        return self.line.over

    @property
    def told(self) -> list[dict[str, Any]]:
        """Everything but audio that the provider was told, of its latest session."""
        sessions = self.provider.sessions
        return list(sessions[-1].peer.received) if sessions else []

    def _finish(self) -> None:
        self.world.run_until(lambda: self.line.over, 30.0)
        self.world.run(8.0)

    def _phone(self) -> Phone | None:
        return self.line.phone

    def _recording(self) -> Recording:
        if self._made is None:
            if not self.line.over:
                self.line.hang_up()
            self._finish()
            made = self._server.recordings()
            assert made, "the webhook was refused: there is no call to judge"
            self._made = made[0]
        return self._made


def _declared(path: Path) -> list[Tool]:
    """The tools of a settings file, but for those of MCP servers: none is started here."""
    made = declared(load(file=path, environment=dict(os.environ)))
    if made.problems:
        raise made.problems[0]
    return [*made.tools, *(tool for source in made.sources if isinstance(source, Jobs) for tool in source.tools)]


def _tool(given: Callable[..., Any] | Tool) -> Tool:
    return given if isinstance(given, Tool) else marked(given) or function_tool(given)


def _configured(path: Path, session: dict[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
    """Provider, greeting and session of a settings file; keys and addresses are the test's own."""
    settings = load(file=path, environment={})
    ready = default_ready(settings)
    name = ready.profile["provider"] if ready is not None else settings["provider.name"]
    if ready is None or name not in HOSTS:
        raise ValueError(f"{path}: provider.name: got {name!r}, wanted one of {', '.join(HOSTS)}")
    made = judge.session_settings(settings, judge.instructions(settings))
    kept = {field: getattr(made, field) for field in ("model", "voice", "instructions", "language", "allow_unlisted")}
    kept["tools"] = (HANG_UP,) if ready.profile["hang_up"] else ()
    return name, ready.profile["greeting"] or None, {**kept, **session}

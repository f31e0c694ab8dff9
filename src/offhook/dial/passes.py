"""
One server, as many calls as its faults need: each fault hides the next, so after each pass the one that was found is
overridden from outside, or the fakes take it, and the server is called again. Nothing of the server is changed.

A fault that no call can show is proven by an isolated check instead, and marked as what would be hit next. What goes
away with an earlier fault was its consequence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from offhook.diagnosis.report import judge
from offhook.dial.behind import Behind
from offhook.dial.call import OnEvent, place
from offhook.dial.foreign import Foreign
from offhook.dial.overrides import WIRES, Declared, Mend, mend_of, setting_for
from offhook.dial.plan import Plan
from offhook.dial.story import Pass, Story, told
from offhook.evidence.journal import JournalDir
from offhook.sims.provider import Answer

__all__ = ["MOST", "Passes"]

MOST = 8
LOG_LINES = 20
GIVE_UP_S = 2.0
# A provider that takes a dead name in silence hides it; the strict one of the two ways that were seen is played.
STRICT = ("xai:refuse-dead-model",)


class Passes:
    """``run`` starts the server anew for each pass. ``plan_for(port)`` is the call, ``journals()`` keeps its record."""

    def __init__(
        self, command: str, given: Declared, *, fakes: Sequence[str], journals: Callable[[], JournalDir],
        plan_for: Callable[[int], Plan], greeting: Answer, answers: Sequence[Answer], faults: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, tell: Mapping[str, str | None] | None = None,
        most: int = MOST, audio: bool = False,
        on_pass: Callable[[Pass], None] = lambda done: None, on_event: OnEvent = lambda kind, data: None,
    ) -> None:  # fmt: skip
        self._command, self._given, self._fakes = command, given, tuple(fakes)
        self._journals, self._plan_for = journals, plan_for
        self._said: dict[str, Any] = {"greeting": greeting, "answers": answers}
        self._dialled_faults = tuple(faults)
        self._environment = dict(os.environ if environment is None else environment)
        self._tell = dict(tell or {})
        self._most, self._audio = most, audio
        self._on_pass, self._on_event = on_pass, on_event
        self._set: dict[str, str] = {}  # overridden so far
        self._mended: list[tuple[Mend, str]] = []  # and what was tried for each
        self._lends = False  # a key for every fake
        self._strict = True
        self.passes: list[Pass] = []

    async def run(self) -> Story:
        what = "as it is"
        while True:
            done = await self._pass(what)
            self.passes.append(done)
            self._on_pass(done)
            step = self._next(done) if len(self.passes) < self._most else None
            if step is None:
                return told(self.passes, self._given, [mend for mend, _ in self._mended])
            what = step

    # --------------------------------------------------------------------------------------- one pass

    async def _pass(self, what: str) -> Pass:
        behind, journals = Behind(bool(self._given.provider)), self._journals()
        intended = {"intended": self._given.provider} if self._given.provider else {}
        journals.boot = {"overridden": sorted(self._set), **intended}
        strict = [fault for fault in STRICT if self._strict and fault.partition(":")[0] in self._fakes]
        started = Foreign(
            self._command, fakes=self._fakes, environment={**self._tell, **self._keys(), **self._set}, watch=behind.of,
            faults=(*self._dialled_faults, *strict), **self._said,
        )  # fmt: skip
        journals.start()
        try:
            async with started as foreign:
                before = len(foreign.log)
                result = await place(
                    self._plan_for(foreign.port), journals=journals, audio=self._audio, on_event=self._on_event,
                    behind=behind, give_up_s=GIVE_UP_S, spoken_ms=foreign.spoken_ms,
                )  # fmt: skip
                log = tuple(foreign.log[before:][-LOG_LINES:])
            fakes = {name: watch.seen for name, watch in foreign.watches.items()}
        finally:
            journals.stop()
        return Pass(
            number=len(self.passes) + 1, what=what, environment=dict(self._set), lent=self._lends,
            dialled=tuple(behind.dialled), result=result, report=judge(Path(result.record)), log=log, fakes=fakes,
        )  # fmt: skip

    def _keys(self) -> dict[str, str | None]:
        """No key that the server has not in real life, or somebody else's default would find one."""
        if self._lends or not self._given.provider:
            return {}
        has = {self._given.provider, *(name for name in self._fakes if self._environment.get(_key_of(name)))}
        return {_key_of(name): None for name in self._fakes if name not in has}

    # --------------------------------------------------------------------------------- the next pass

    def _next(self, done: Pass) -> str | None:
        """What to do from outside before the next pass; None: there is nothing left to lift."""
        if done.verdict == "healthy":
            return None
        if not done.dialled and not self._lends and any(value is None for value in self._keys().values()):
            self._lends = True
            return "a key for every provider, lent"
        for finding in done.report.roots:
            mend = mend_of(finding, self._given.provider)
            if mend is None or any(mend == tried for tried, _ in self._mended):
                continue
            step = self._lift(mend)
            if step is not None:
                return step
        return None

    def _lift(self, mend: Mend) -> str | None:
        setting = setting_for(mend, self._given)
        if setting is not None:
            name, value = setting
            self._set[name] = value
            self._lends = False
            step = f"{name}={value}"
        elif mend.kind == "provider":
            step = "still at the wrong provider: no override is declared for it"
            self._mended.append((mend, step))
            return None
        elif mend.kind == "model" and self._strict:
            self._strict = False
            step = "the fake takes the dead model"
        else:
            return None
        self._mended.append((mend, step))
        return step


def _key_of(name: str) -> str:
    return str(WIRES[name].KEY_ENV)

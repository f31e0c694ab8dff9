"""
What a caller does during a call: steps in a file, played against a simulated stream in anybody's time.

TOML: ``[[step]]`` tables, each with one action of ACTIONS and the options that go with it. Knows no sockets, no clock
and no files: text comes in, callers pass ``now``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from offhook.media.levels import level_dbfs
from offhook.sims.carrier import Phone
from offhook.sims.line import Message, SimCarrier

__all__ = ["ACTIONS", "Player", "Scenario", "ScenarioError", "Step", "first_audible", "parse_scenario"]

QUIET_S = 0.4  # so long nothing new: the agent has said what it had to say
AHEAD_MS = 5000  # of silence that a server may have sent ahead: more is not looked at
AUDIBLE_DBFS = -45.0  # a word on a phone line; line noise is below
FRAME = 160

# Action -> the options it takes, besides ``optional`` (a miss is no failure).
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "say": (),  # words, a shipped line, a file, tone:HZ:S, noise:DBFS:S, babble:S
    "silence": (),  # seconds
    "press": (),  # keys, one after the other
    "wait-for-agent": ("within_s",),  # "begins" or "done"
    "heard-within": (),  # ms from the end of the caller's last words (or from the start) to the first audible word
    "barge-in": ("after_ms",),  # speaks after so many ms of the agent's voice
    "hang-up": (),  # true
}


class ScenarioError(Exception):
    """A scenario that cannot be played."""


class Step(Struct, frozen=True):
    """One thing the caller does, or waits for."""

    do: str
    value: str | float
    within_s: float = 10.0
    after_ms: float = 1000.0
    optional: bool = False

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return self.do if self.do == "hang-up" else f"{self.do} {value}"


class Scenario(Struct, frozen=True):
    """Steps in order; ``max_s`` ends a call that goes on for ever."""

    steps: tuple[Step, ...]
    name: str = ""
    max_s: float = 60.0


def parse_scenario(text: str) -> Scenario:
    """Raises ScenarioError, which names the step and what was wanted."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"no TOML: {error}") from None
    strange = sorted(set(data) - {"name", "max_s", "step"})
    if strange:
        raise ScenarioError(f"{strange[0]!r}: wanted name, max_s and [[step]] tables")
    given = data.get("step")
    if not isinstance(given, list) or not given:
        raise ScenarioError("no steps: wanted at least one [[step]] table")
    steps = tuple(_step(number, table) for number, table in enumerate(given, 1))
    return Scenario(steps, str(data.get("name", "")), _number("max_s", data.get("max_s", 60.0)))


def _step(number: int, table: Any) -> Step:
    where = f"step {number}"
    actions = [key for key in table if key in ACTIONS] if isinstance(table, dict) else []
    if len(actions) != 1:
        raise ScenarioError(f"{where}: got {len(actions)} actions, wanted one of {', '.join(ACTIONS)}")
    do = actions[0]
    allowed = (do, "optional", *ACTIONS[do])
    strange = sorted(set(table) - set(allowed))
    if strange:
        raise ScenarioError(f"{where} ({do}): option {strange[0]!r}; it takes {', '.join(allowed[1:])}")
    value = table[do]
    if do in ("silence", "heard-within"):
        value = _number(f"{where} ({do})", value)
    elif do == "hang-up":
        if value is not True:
            raise ScenarioError(f"{where} (hang-up): got {value!r}, wanted true")
    elif not isinstance(value, str) or not value:
        raise ScenarioError(f"{where} ({do}): got {value!r}, wanted text")
    if do == "wait-for-agent" and value not in ("begins", "done"):
        raise ScenarioError(f"{where} (wait-for-agent): got {value!r}, wanted begins or done")
    if do == "press" and set(value) - set("0123456789*#ABCD"):
        raise ScenarioError(f"{where} (press): got {value!r}, wanted keys 0-9 * #")
    options = {name: _number(f"{where} ({name})", table[name]) for name in ACTIONS[do] if name in table}
    return Step(do, str(value) if do == "hang-up" else value, optional=bool(table.get("optional")), **options)


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value > 86400:
        raise ScenarioError(f"{where}: got {value!r}, wanted a number")
    return float(value)


def first_audible(phone: Phone, since: float) -> float | None:
    """When the caller heard the first word after ``since``; silence and line noise are no words."""
    for segment in phone.heard:
        if segment.ended <= since:
            continue
        skip = max(0, round((since - segment.began) * 8000))
        for at in range(skip, len(segment.audio), FRAME):
            if level_dbfs(bytes(segment.audio[at : at + FRAME])) > AUDIBLE_DBFS:
                return segment.began + at / 8000
    return None


class Player:
    """
    Plays a scenario on a stream. ``voice`` gives PCMU for what a step says; ``tick`` wants to come every 20 ms.

    ``missed`` holds what was waited for in vain; ``latencies_ms`` what was heard after each thing said.
    """

    def __init__(
        self,
        scenario: Scenario,
        line: SimCarrier,
        voice: Callable[[str], bytes],
        *,
        presses: Sequence[tuple[float, str]] = (),
        on_step: Callable[[Step, str], None] = lambda step, how: None,
    ) -> None:
        self.scenario = scenario
        self.done = False
        self.missed: list[str] = []
        self.latencies_ms: list[float] = []
        self.barge_ins: list[float] = []  # when the caller cut in
        self._line = line
        self._voice = voice
        self._presses = sorted(presses)
        self._on_step = on_step
        self._index = 0
        self._began: float | None = None
        self._entered: float | None = None
        self._since = 0.0  # what is heard from here on answers the caller
        self._zero = 0.0  # the caller's last words ended, or the stream began

    def follow(self, line: SimCarrier) -> None:
        """The call goes on on another stream."""
        self._line = line

    def tick(self, now: float) -> list[Message]:
        """What the caller does now."""
        if self._began is None:
            self._began = self._since = self._zero = now
        out: list[Message] = []
        while self._presses and now - self._began >= self._presses[0][0]:
            out += self._line.press(self._presses.pop(0)[1], now)
        if now - self._began > self.scenario.max_s:
            self.missed.append(f"the call was not over within {self.scenario.max_s:g} s")
            return out + self._leave(now)
        while not self.done and self._index < len(self.scenario.steps):
            step = self.scenario.steps[self._index]
            if self._entered is None:
                self._entered = now
                out += self._enter(step, now)
            how = self._finished(step, now)
            if how is None:
                return out
            self._on_step(step, how)
            self._index += 1
            self._entered = None
        return out if self.done else out + self._leave(now)

    def _leave(self, now: float) -> list[Message]:
        if self.done:
            return []
        self.done = True
        return self._line.hang_up(now)

    def _enter(self, step: Step, now: float) -> list[Message]:
        if step.do == "say":
            # an agent who was quiet and speaks during the caller's words answers them as well
            self._since = now if self._quiet(now) else float("inf")
            self._line.say(self._voice(str(step.value)))
        elif step.do == "press":
            self._since = self._zero = now
            return [message for key in str(step.value) for message in self._line.press(key, now)]
        elif step.do == "hang-up":
            return self._leave(now)
        return []

    def _finished(self, step: Step, now: float) -> str | None:
        """How a step ended; None while it runs."""
        assert self._entered is not None
        if step.do == "say":
            return self._said(now)
        if step.do == "silence":
            return "done" if now - self._entered >= float(step.value) else None
        if step.do == "wait-for-agent":
            return self._waited(step, now)
        if step.do == "heard-within":
            return self._heard(step, now)
        if step.do == "barge-in":
            return self._barged(step, now)
        return "done"

    def _said(self, now: float) -> str | None:
        if self._line.speaking:
            return None
        self._zero = self._line.said[-1].ended if self._line.said else now
        self._since = min(self._since, self._zero)
        return "done"

    def _waited(self, step: Step, now: float) -> str | None:
        assert self._entered is not None
        heard = first_audible(self._line.phone, self._since)
        if heard is not None and (step.value == "begins" or self._quiet(now)):
            return "done"
        if heard is None and now - self._entered > step.within_s:
            return self._miss(step, f"nothing was heard within {step.within_s:g} s")
        return None

    def _quiet(self, now: float) -> bool:
        """Whether the agent has said what it had to say; some send silence for ever, and never stop."""
        phone = self._line.phone
        if not phone.heard or phone.unplayed_ms > AHEAD_MS or now - phone.heard[0].began < QUIET_S:
            return False
        return first_audible(phone, now - QUIET_S) is None and level_dbfs(phone.unplayed) <= AUDIBLE_DBFS

    def _heard(self, step: Step, now: float) -> str | None:
        heard = first_audible(self._line.phone, self._since)
        limit = float(step.value)
        if heard is not None:
            ms = round(max(0.0, heard - self._zero) * 1000, 1)
            self.latencies_ms.append(ms)
            if ms <= limit:
                return f"after {ms:.0f} ms"
            return self._miss(step, f"the first word came after {ms:.0f} ms, wanted within {limit:.0f} ms")
        if (now - self._zero) * 1000 > limit:
            return self._miss(step, f"nothing was heard within {limit:.0f} ms")
        return None

    def _barged(self, step: Step, now: float) -> str | None:
        """Waits for so much of the agent's voice, then speaks into it."""
        assert self._entered is not None
        begun = self.barge_ins and self.barge_ins[-1] >= self._entered
        if begun:
            return self._said(now)
        heard = first_audible(self._line.phone, self._since)
        if heard is not None and (now - heard) * 1000 >= step.after_ms:
            if not self._line.phone.unplayed_ms and self._quiet(now):
                return self._miss(step, f"the agent had nothing left to say {step.after_ms:g} ms after it began")
            self.barge_ins.append(now)
            self._since = float("inf")  # what still plays answers nothing
            self._line.say(self._voice(str(step.value)))
        elif heard is None and now - self._entered > step.within_s:
            return self._miss(step, f"nothing to cut into within {step.within_s:g} s")
        return None

    def _miss(self, step: Step, why: str) -> str:
        if not step.optional:
            self.missed.append(f"{step.do}: {why}")
        return f"missed: {why}"

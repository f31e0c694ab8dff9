"""
Settings that change under a running server: what they say of agents and tools holds for the next call, running calls
keep theirs.

Read anew on SIGHUP and when a file that they came from changes. What cannot work is refused by name, and the agents
before go on. Nothing here runs on the media loop but the exchange itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.agent.aside import Aside
from offhook.agent.profile import Agent
from offhook.agent.tools.declared import python_files
from offhook.checks import settings as judge
from offhook.checks.agents import Roster, ready_agents
from offhook.cli.agents import Switchboard
from offhook.settings import FALLS_TO, Settings, SettingsError

__all__ = ["Reload", "ReloadRefused"]

log = logging.getLogger("offhook")

LOOK_EVERY_S = 1.0
# Read by each call as it begins; a change of any other setting takes a restart.
_LIVE = (
    *FALLS_TO.values(), "provider.", "agent.", "agents.", "tools.", "route ", "limits.stream_timeout_s",
    "record.lines_dir",
)  # fmt: skip


class ReloadRefused(Exception):
    """Settings that cannot work, problem by problem."""

    def __init__(self, problems: list[str], where: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems
        self.where = where  # the settings alone, without a value

    def __str__(self) -> str:
        return "\n".join(self.problems)


class _Fresh(Struct, frozen=True):
    settings: Settings
    roster: Roster
    lines: Mapping[str, bytes]


class Reload:
    """
    Watches where the settings came from. ``prepare`` is awaited before each exchange, and may refuse it too; what it
    does last is done with it.
    """

    def __init__(
        self,
        board: Switchboard,
        declared: Sequence[Agent],
        aside: Aside,
        prepare: Callable[[Settings, Roster], Awaitable[None]],
        lines: Callable[[Settings], Mapping[str, bytes]],
    ) -> None:
        self._board = board
        self._declared = declared
        self._aside = aside
        self._prepare = prepare
        self._lines = lines
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._known: dict[Path, tuple[int, int, int]] = {}  # as the files were when they were last read
        self._since = time.time()
        self._times = 0
        self._refused: ReloadRefused | None = None
        self._begun_with = board.settings
        self._waiting: list[str] = []  # settings that a restart would change

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="watch settings")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def state(self) -> dict[str, Any]:
        """For ``/readyz``: which agents answer, since when, and what keeps newer settings out; no value of any."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since))
        said: dict[str, Any] = {"names": list(self._board.roster.ready), "since": stamp, "reloads": self._times}
        if self._refused is not None:
            said["refused"] = self._refused.where
        if self._waiting:
            said["wants_restart"] = self._waiting
        return said

    # ---------------------------------------------------------------------------------------------- watching

    async def _watch(self) -> None:
        """An edit counts when it has stood still for a round: editors write a file in several steps."""
        self._known = pending = await asyncio.to_thread(_looks, self._files())
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now, known = await asyncio.to_thread(_looks, self._files()), self._known
            if now != known and now == pending:
                changed = sorted(path.name for path in now.keys() | known.keys() if now.get(path) != known.get(path))
                await self.again(f"changed: {', '.join(changed)}")
                now = self._known
            pending = now

    def _files(self) -> list[Path]:
        settings = self._board.settings
        own = [settings.file] if settings.file is not None else []
        return [*own, settings.base / ".env", *self._board.roster.files, *python_files(settings)]

    # --------------------------------------------------------------------------------------------- exchanging

    async def again(self, why: str) -> bool:
        """Read the settings anew and let their agents take the next calls; False when they are refused."""
        async with self._lock:
            looked = await asyncio.to_thread(_looks, self._files())
            try:
                fresh = await asyncio.to_thread(self._read)
                await self._prepare(fresh.settings, fresh.roster)
            except ReloadRefused as refused:
                self._refused = refused
                for problem in refused.problems:
                    told = {"why": why, "problem": problem}
                    log.error("settings refused; the agents and tools before go on", extra=told)
                self._known = looked
                return False
            self._board.swap(fresh.settings, fresh.roster, fresh.lines)
            # an edit that came while this one was read is a new one; only newly watched files are as they are
            self._known = {path: looked.get(path) or _look(path) for path in self._files()}
            self._refused, self._since, self._times = None, time.time(), self._times + 1
            self._waiting = _elsewhere(self._begun_with, fresh.settings)
            log.info("settings read anew", extra={"why": why, "agents": list(fresh.roster.ready)})
            if self._waiting:
                log.warning("takes a restart", extra={"settings": self._waiting})
            return True

    def _read(self) -> _Fresh:
        """Raises ReloadRefused."""
        try:
            settings = self._board.settings.again()
        except SettingsError as error:
            raise ReloadRefused(error.problems, [_name(problem) for problem in error.problems]) from None
        roster, problems = ready_agents(settings, self._declared, self._aside)
        problems += judge.beside_agents(settings, self._declared)
        if problems:
            shown = [f"{p.setting}: got {p.got}, wanted {p.wanted}; {p.fix}" for p in problems]
            raise ReloadRefused(shown, [problem.setting for problem in problems])
        return _Fresh(settings, roster, self._lines(settings))


def _looks(files: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    return {path: _look(path) for path in files}


def _look(path: Path) -> tuple[int, int, int]:
    """What tells one state of a file from another; a missing one is a state too."""
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _elsewhere(begun_with: Settings, now: Settings) -> list[str]:
    """Settings that are no longer what the process began with, and are not read by each call."""
    then = {name: value for name, value, _ in begun_with.table()}
    return sorted(name for name, value, _ in now.table() if then.get(name) != value and not name.startswith(_LIVE))


def _name(problem: str) -> str:
    """The setting and the line of a problem, as far as it names them."""
    return Path(problem.partition(": ")[0]).name[:80]  # of a whole path its last part: this is told to anybody

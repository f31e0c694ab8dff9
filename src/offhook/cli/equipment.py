"""
The tools of a running server: made of its settings, and exchanged when those change; calls that run keep theirs.

A box that was replaced goes on until no call has it and nothing runs in it, jobs that outlive their call among it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from offhook.agent.profile import Agent
from offhook.agent.tools.box import ToolBox
from offhook.agent.tools.declared import Declared, fingerprint
from offhook.agent.tools.declared import declared as declared_tools
from offhook.cli.reload import ReloadRefused
from offhook.net.hands import Hands
from offhook.net.hot import nudge
from offhook.settings import Settings
from offhook.testing.effects import side_effects_allowed

__all__ = ["Equipment", "Fresh"]

log = logging.getLogger("offhook")

LOOK_S = 1.0  # whether a box that was replaced is still needed


class Fresh(Struct, frozen=True):
    """Tools that are ready to take the place of those before."""

    mark: Any
    declared: Declared
    box: ToolBox | None


class Equipment:
    """Belongs to the media loop. ``agents`` are declared in Python, and bring tools of their own."""

    def __init__(self, settings: Settings, agents: Sequence[Agent]) -> None:
        self._agents = agents
        self._mark = fingerprint(settings)
        self.declared = declared_tools(settings)
        self.box = self._box_of(self.declared)
        self._retiring: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def _box_of(self, declared: Declared) -> ToolBox | None:
        own = [declared.ready(tool) for agent in self._agents for tool in agent.own_tools()]
        if not declared and not own:
            return None
        return ToolBox([*declared.tools, *own], declared.sources, effects=side_effects_allowed(), nudge=nudge)

    async def start(self) -> None:
        if self.box is not None:
            await self.box.start()

    async def made(self, settings: Settings) -> Fresh | None:
        """The tools of other settings, started; None where they are the same as before. Raises ReloadRefused."""
        mark = await asyncio.to_thread(fingerprint, settings)
        if mark == self._mark:
            return None
        declared = await asyncio.to_thread(declared_tools, settings)
        if declared.problems:
            named = [f"tools.{one.tool}" for one in declared.problems]
            raise ReloadRefused([str(one) for one in declared.problems], named)
        box = self._box_of(declared)
        if box is not None:
            await box.start()
        return Fresh(mark, declared, box)

    def exchange(self, fresh: Fresh, hands: Hands) -> None:
        """The next call has these."""
        old, self.box = self.box, fresh.box
        self._mark, self.declared = fresh.mark, fresh.declared
        hands.exchange(fresh.box)
        log.info("tools read anew", extra={"tools": list(fresh.box.tools) if fresh.box is not None else []})
        if old is not None:
            task = asyncio.create_task(self._retire(old, hands), name="retire tools")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retire(self, box: ToolBox, hands: Hands) -> None:
        while (hands.uses(box) or box.busy) and not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), LOOK_S)
        await box.stop()

    async def stop(self) -> None:
        """End every box that there is."""
        self._ending.set()
        own = [self.box.stop()] if self.box is not None else []
        await asyncio.gather(*own, *self._retiring)

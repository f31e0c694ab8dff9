"""
All isolated checks, in the order in which a report reads them; none needs another.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence

from offhook.checks._check import Ask, Check, Outcome

__all__ = ["NAMES", "checks", "run_all"]

# settings first, as in the order of boundaries; what needs the network last
NAMES = (
    "settings",
    "audio",
    "store",
    "tools",
    "credentials",
    "public",
    "webhook",
    "proxy",
    "stream",
    "provider",
    "account",
    "call",
)
# These two load the machine or each other's port of the loopback receptionist: one after the other.
_ALONE = ("stream", "provider")


def checks(names: Sequence[str] = NAMES) -> list[Check]:
    """The checks of these names. KeyError for a name that is none."""
    for name in names:
        if name not in NAMES:
            raise KeyError(name)
    return [importlib.import_module(f"offhook.checks.{name}").CHECK for name in names]


async def run_all(
    chosen: Sequence[Check], ask: Ask, on_outcome: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Run them side by side where they are independent; every one reports, whatever the others find."""

    async def one(check: Check) -> Outcome:
        outcome = await check.outcome(ask)
        on_outcome(outcome)
        return outcome

    async def in_turn() -> list[Outcome]:
        return [await one(check) for check in chosen if check.name in _ALONE]

    side = [one(check) for check in chosen if check.name not in _ALONE]
    turned, done = await asyncio.gather(in_turn(), asyncio.gather(*side))
    found = {outcome.check: outcome for outcome in [*done, *turned]}
    return [found[check.name] for check in chosen]

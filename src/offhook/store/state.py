"""How a store is, and what can be wrong with it. Imports no database, so that asking costs nothing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["State", "StoreBusy", "StoreError", "Word"]

Word = Literal["starting", "ok", "behind", "off"]


class StoreError(Exception):
    """The store cannot be used until somebody mends something; calls are not touched by that."""


class StoreBusy(Exception):
    """The store takes nothing now: it is stalled, locked, full or away, and is tried again."""


class State(Struct, frozen=True):
    """``starting``, ``ok``, ``behind`` (it fails and is tried again), ``off`` (it cannot be used as it is)."""

    word: Word
    waiting: int = 0  # calls that it has not got yet
    why: str = ""
    since_s: float = 0.0

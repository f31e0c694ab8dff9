"""How a store is, what can be wrong with it, what it can be asked. Imports no database, so that this costs nothing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["CallFilter", "State", "StoreBusy", "StoreError", "Word"]

Word = Literal["starting", "ok", "behind", "off"]


class StoreError(Exception):
    """The store cannot be used until somebody mends something; calls are not touched by that."""


class NoStoreYet(StoreError):
    """Nobody has made it: the writer of a server does, in its first moments."""


class StoreBusy(Exception):
    """The store takes nothing now: it is stalled, locked, full or away, and is tried again."""


class State(Struct, frozen=True):
    """``starting``, ``ok``, ``behind`` (it fails and is tried again), ``off`` (it cannot be used as it is)."""

    word: Word
    waiting: int = 0  # calls that it has not got yet
    why: str = ""
    since_s: float = 0.0


class CallFilter(Struct, frozen=True, kw_only=True):
    """Which calls. What is empty does not narrow; times are milliseconds since 1970."""

    number: str = ""  # of either side: in full, or its last digits
    agent: str = ""
    verdict: str = ""
    finding: str = ""  # a rule, its name alone, or the boundary it is of
    state: str = ""
    direction: str = ""
    text: str = ""  # words that were said, all of them
    since_at: int | None = None
    until_at: int | None = None
    min_usd: float | None = None
    call: str = ""  # the beginning of its id
    limit: int = 20
    before: tuple[int, int] | None = None  # (began_at, n) of the last one of the page before

"""
What a fault of a simulated provider may say, do and look at: the words that ``provider_effects.py`` is written in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from offhook.wires._wire import PeerClose

__all__ = [
    "Answer", "Binary", "Heard", "Hold", "Item", "LatePongs", "Later", "Message", "Reply", "Says", "Scene",
    "StopReading",
]  # fmt: skip

Message = dict[str, Any]


class Answer(Struct, frozen=True):
    """One scripted response."""

    audio: bytes = b""  # PCMU; empty: a short tone
    transcript: str = "ok"
    tool: str | None = None  # called after the audio, or instead of it when there is none
    arguments: str = "{}"
    echo: bool = False  # says what the caller said
    more_calls: tuple[tuple[str, str], ...] = ()  # further tools and their arguments
    nothing: bool = False  # a response without anything in it


class Binary(Struct, frozen=True):
    """A binary frame."""

    data: bytes


class StopReading(Struct, frozen=True):
    """Read nothing from the socket any more."""


class LatePongs(Struct, frozen=True):
    """Answer pings so late from now on."""

    seconds: float


class Hold(Struct, frozen=True):
    """Say nothing for so long; nothing that follows overtakes it."""

    seconds: float


class Later(Struct, frozen=True):
    """Say this one message later than the ones behind it."""

    seconds: float
    message: Message


Item = Message | bytes | PeerClose | Binary | StopReading | LatePongs | Hold | Later


class Scene(Struct):
    """What an effect may look at."""

    wire: str
    peer: Any
    amount: float = 0.0  # what was dialled, where a fault takes an amount
    now: float = 0.0
    open_s: float = 0.0  # since the opening
    responses: int = 0  # that have begun
    deltas: int = 0  # of the running response
    last_delta: Message | None = None
    memory: dict[str, str] = {}  # of effects that need one


Says = Callable[[Message, Scene], list[Item] | None]  # None: as it is
Heard = Callable[[Message, Scene], Message | None]  # None: as if it had not come
Reply = Callable[[Answer, Scene], Answer | None]  # None: no answer

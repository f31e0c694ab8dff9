"""
Who answers one call, made for that call alone and kept by it: settings that change later change nothing here.

Whoever keeps the agents (``cli/agents.py``) makes it from what is known of the call. Knows no agent and no wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from msgspec import Struct

from offhook import vocab as v
from offhook.agent.prompt import CallFacts, render
from offhook.bridge import BridgeSettings

__all__ = ["AnswerFor", "Answerer", "Declined", "Farewell", "always"]


class Answerer(Struct, frozen=True):
    """
    The provider's wire, what its session is asked for, the manners of the bridge: all for one call.

    ``brief`` is awaited beside the path of audio when the call begins and says what was found out about the caller;
    the session is configured after it, or when ``bridge.briefing_s`` has passed.
    """

    provider: ModuleType
    session: Any  # instructions as they are told, nothing left to be filled in
    bridge: BridgeSettings  # with the greeting as it is said
    lines: Mapping[str, bytes]
    agent: str = "default"
    why: str = ""  # this agent answers
    dial_options: Mapping[str, Any] = {}
    tools: tuple[str, ...] | None = None  # of those there are; None: all
    fallback_say: str = ""  # what the carrier says when the stream breaks; empty: its own
    brief: Callable[[], Awaitable[v.Briefed]] | None = None
    farewell: Callable[[Farewell], None] | None = None  # told at the end; must not block
    boot: Mapping[str, Any] = {}  # of the record's first line: what is otherwise than for the whole process
    notes: Mapping[str, Mapping[str, Any]] = {}  # written into the record when it begins, by kind


class Farewell(Struct, frozen=True):
    """How a call ended, and the last of what was said: of the agent what the caller heard."""

    end: v.EndCall
    said: Sequence[tuple[str, str]]  # who (caller, agent) and what


class Declined(Struct, frozen=True):
    """A call that nobody takes: why, and what the caller is told. ``say`` None: it is not even answered."""

    why: str
    say: str | None = None
    detail: str = ""


AnswerFor = Callable[[CallFacts], Answerer | Declined]


def always(answerer: Answerer) -> AnswerFor:
    """One agent for every call; its placeholders are filled in anew each time."""
    from msgspec import structs

    def answer_for(facts: CallFacts) -> Answerer:
        session = structs.replace(answerer.session, instructions=render(answerer.session.instructions, facts))
        greeting = answerer.bridge.greeting
        bridge = structs.replace(answerer.bridge, greeting=render(greeting, facts) if greeting else None)
        return structs.replace(answerer, session=session, bridge=bridge)

    return answer_for

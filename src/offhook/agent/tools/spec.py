"""
One tool, whatever it is made of: what the model is told of it, how it is run, and what it may take.

Knows no thread and no call: ``runner.py`` runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal

from msgspec import Struct

from offhook import vocab as v
from offhook.agent.tools.context import CallContext

__all__ = ["NAME", "BadArguments", "DeclarationError", "Limits", "Tool", "ToolError", "spell"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")  # what OpenAI takes: ^[a-zA-Z0-9_-]{1,64}$
Run = Callable[[Mapping[str, Any], CallContext], Coroutine[Any, Any, Any]]


class ToolError(Exception):
    """Raised by a tool to tell the model in words what went wrong: its text is the answer."""


class BadArguments(Exception):
    """Arguments that the tool's schema does not take; the text says which field, got and wanted."""


class DeclarationError(Exception):
    """A tool that cannot be declared: what, got, wanted, and what to do."""

    def __init__(self, tool: str, got: str, wanted: str, fix: str, where: str = "") -> None:
        super().__init__(tool, got, wanted, fix, where)
        self.tool, self.got, self.wanted, self.fix, self.where = tool, got, wanted, fix, where

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"tool {self.tool}{place}: got {self.got}, wanted {self.wanted}; {self.fix}"


class Limits(Struct, frozen=True, kw_only=True):
    """What a tool may take, and how a call treats it; ``ToolPolicy`` says more of the first five."""

    deadline_s: float = 20.0
    filler: str = "cue"
    filler_ms: int = 1500
    changes: bool = True  # False: it only reads, so it may be retried, repeated, and run in tests
    repeat_s: float = 10.0
    retries: int = 0  # of a failure, within the deadline; only where running twice does no harm
    idempotent: bool = False  # it changes something, but twice is as once
    max_parallel: int = 16  # runs at once, of all calls
    max_chars: int = 8000  # of a result; the model is told of a cut
    background: bool = False  # a receipt at once, the result when it is there
    does: tuple[str, ...] = ()
    dry_run: Any = None  # what is answered where nothing may be changed; None: that it was not carried out

    @property
    def may_retry(self) -> bool:
        return self.idempotent or not self.changes


class Tool(Struct, frozen=True, kw_only=True):
    """``read`` makes arguments of what the model sent, or raises BadArguments; ``run`` does it."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON schema
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    run: Run
    kind: Literal["python", "http", "mcp", "delegate", "built in"]
    source: str  # the function, address, server or command
    where: str = ""  # the file and line that declare it
    limits: Limits = Limits()
    own_code: bool = False  # the user's own coroutine: it might block its loop
    in_thread: bool = False  # a sync function: it cannot be stopped
    job_s: float = 0.0  # of a job: how long the work may take; its limits are those of the receipt

    @property
    def spec(self) -> v.ToolSpec:
        return v.ToolSpec(name=self.name, description=self.description, parameters=dict(self.parameters))

    @property
    def policy(self) -> v.ToolPolicy:
        given = self.limits
        return v.ToolPolicy(
            deadline_s=given.deadline_s, filler=given.filler, filler_ms=given.filler_ms,
            changes=given.changes and not given.idempotent, repeat_s=given.repeat_s, does=given.does,
        )  # fmt: skip


def spell(text: str) -> str:
    """``text`` as a name that every provider takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:64] or "tool"

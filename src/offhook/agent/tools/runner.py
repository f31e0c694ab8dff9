"""
One run of a tool, from the model's text to the text for the model: checked, timed, retried where that does no harm.

Whatever happens inside, there is a result. Belongs to the tool's loop; knows no thread and no bridge.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from offhook.agent.tools.context import CallContext
from offhook.agent.tools.spec import BadArguments, Tool, ToolError
from offhook.agent.tools.threads import give_up, runs_on

__all__ = ["Result", "Runner", "text_of"]

log = logging.getLogger("offhook")

BACKOFF_S = 0.25
_DETAIL_CHARS = 400


class Result(Struct, frozen=True):
    """How a run went; ``output`` is for the model, ``detail`` for the record."""

    outcome: str
    output: str
    detail: str = ""
    retried: int = 0


class Runner:
    """
    Runs tools within their limits; ``effects`` False: what changes something is only said, not done.

    A run that was given up counts as running until it really ends, so that stuck ones cannot pile up.
    """

    def __init__(self, *, effects: bool = True) -> None:
        self.effects = effects
        self.running: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[Any]] = set()

    async def run(self, tool: Tool, arguments: str, call: CallContext) -> Result:
        """Run ``tool`` once, or as often as it may be tried."""
        try:
            given = tool.read(_object(arguments))
        except BadArguments as error:
            return _failed("invalid", f"{tool.name} cannot be called like this: {error}", str(error))
        if not self.effects and tool.limits.changes:
            said = tool.limits.dry_run
            output = {"ok": True, "dry_run": f"{tool.name} was not carried out"} if said is None else said
            return Result("dry run", text_of(output))
        detail = runs_on(tool.name)
        if not detail and self.running[tool.name] >= tool.limits.max_parallel:
            detail = f"{self.running[tool.name]} run at once, {tool.limits.max_parallel} at most"
        if detail:
            return _failed("busy", f"{tool.name} is busy: try again in a moment", detail)
        return await self._within(tool, given, call)

    async def _within(self, tool: Tool, given: Mapping[str, Any], call: CallContext) -> Result:
        loop = asyncio.get_running_loop()
        until = loop.time() + tool.limits.deadline_s
        tries = 1 + (tool.limits.retries if tool.limits.may_retry else 0)
        for attempt in range(tries):
            result = await self._once(tool, given, call, until - loop.time())
            pause = BACKOFF_S * 2**attempt
            last = attempt + 1 == tries or loop.time() + pause >= until
            if last or result.outcome in ("ok", "error", "timeout"):
                break
            await asyncio.sleep(pause)
        return msgspec.structs.replace(result, retried=attempt) if attempt else result

    async def _once(self, tool: Tool, given: Mapping[str, Any], call: CallContext, seconds: float) -> Result:
        task = asyncio.ensure_future(tool.run(given, call))
        self.running[tool.name] += 1
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._over(tool.name, done))
        try:
            await asyncio.wait({task}, timeout=max(0.0, seconds))
        finally:
            # What waits for a thread is left to its end: it goes on, and counts as running for so long.
            if not task.done() and not tool.in_thread:
                task.cancel()
        if not task.done():
            return self._too_late(tool, give_up(tool.name, task))
        try:
            return _fitting(tool, text_of(task.result()))
        except ToolError as error:
            return _failed("error", str(error) or "it did not work", "")
        except asyncio.CancelledError:
            return _failed("cancelled", f"{tool.name} was stopped", "")
        except Exception as error:  # the tool's own: its text may hold anything, so the model is not given it
            return _failed(f"raised {type(error).__name__}", f"{tool.name} failed", _where(error))

    def _too_late(self, tool: Tool, place: str) -> Result:
        said = f"{tool.name} did not answer within {tool.limits.deadline_s:g} s"
        note = "; it may still happen: do not say that it did, or that it did not" if tool.limits.changes else ""
        if place:
            log.warning("a tool runs on after its deadline: give what it waits for a timeout", extra={
                "tool": tool.name, "seconds": tool.limits.deadline_s, "at": place,
            })  # fmt: skip
        return _failed("timeout", said + note, said + (f"; it runs on, at {place}" if place else ""))

    def _over(self, name: str, task: asyncio.Task[Any]) -> None:
        self.running[name] -= 1
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # of one that was given up: nobody else will ask


def _object(arguments: str) -> Mapping[str, Any]:
    try:
        given = msgspec.json.decode(arguments.strip() or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadArguments(f"no JSON: {error}") from None
    if not isinstance(given, dict):
        raise BadArguments("no JSON object")
    return given


def text_of(result: Any) -> str:
    """A tool's result as the model reads it: text as it is, never encoded again; all else as JSON."""
    if isinstance(result, str):
        return result
    if result is None:
        return '{"ok":true}'
    return msgspec.json.encode(result).decode()


def _fitting(tool: Tool, text: str) -> Result:
    most = tool.limits.max_chars
    if len(text) <= most:
        return Result("ok", text)
    said = {"cut": f"the result has {len(text)} characters; these are the first {most}", "text": text[:most]}
    return Result("ok", text_of(said), f"cut from {len(text)} characters to {most}")


def _failed(outcome: str, said: str, detail: str) -> Result:
    return Result(outcome, text_of({"error": said}), detail[:_DETAIL_CHARS])


def _where(error: BaseException) -> str:
    """The exception and the line of the user's code that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {last[0].filename.rpartition('/')[2]}:{last[0].lineno}" if last else ""
    return f"{type(error).__name__}{place}: {error}"

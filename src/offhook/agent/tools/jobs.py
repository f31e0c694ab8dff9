"""
Work that goes on while the call does: a receipt at once, the result when it is there, status and cancel in between.

The result is given to the agent when the line is free (the bridge sees to that). When the caller has left, it is kept
in what belongs to the call's record. Belongs to one loop; knows no program.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from offhook import vocab as v
from offhook.agent.tools.context import CallContext
from offhook.agent.tools.runner import Result, text_of
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import Limits, Tool, ToolError
from offhook.agent.tools.threads import INLINE, give_up, in_thread, runs_on

__all__ = ["Job", "Jobs", "Work", "in_background"]

MOST = 8  # of one call, at once
TOLD_CHARS = 4000


class Work(Protocol):
    """Something longer. ``run`` is awaited once; ``cancel`` ends it and says what it proved."""

    async def run(self) -> Result: ...
    async def cancel(self) -> str: ...


class Job(Struct):
    """One piece of work of one call."""

    id: str
    name: str
    task: str
    began: float
    work: Work
    call: CallContext
    after_call: str = "keep"
    state: str = "running"  # running, done, failed, cancelled
    result: Result | None = None
    proof: str = ""
    call_over: bool = False


class Jobs:
    """All jobs of this process; also the tools that ask after them."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Job]] = {}  # by call, by id
        self._tasks: set[asyncio.Task[None]] = set()
        self.tools: Sequence[Tool] = ()

    def offer(self) -> None:
        """Jobs may be started: the model can ask after them."""
        which = Arguments("job", [("job", str | None, None)])
        given = {"which": "the job's id; none: the only one that runs, or all"}
        which.schema["properties"]["job"]["description"] = given["which"]
        limits = Limits(changes=False, filler="")
        self.tools = (
            Tool(name="job_status", description="How the tasks that were handed on are doing.", kind="built in",
                 parameters=which.schema, read=which.read, run=self._status, source="jobs", limits=limits),
            Tool(name="job_cancel", description="Stop a task that was handed on. Say so only when this has answered.",
                 parameters=which.schema, read=which.read, run=self._cancel, source="jobs", kind="built in",
                 limits=Limits(idempotent=True, deadline_s=30.0)),
        )  # fmt: skip

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def start(self) -> None:
        """Nothing to be fetched."""

    def begin(self, name: str, task: str, work: Work, call: CallContext, after_call: str = "keep") -> Mapping[str, Any]:
        """Start, and the receipt for the model. Raises ToolError when too many run."""
        jobs = self._jobs.setdefault(call.call_id, {})
        if sum(job.state == "running" for job in jobs.values()) >= MOST:
            raise ToolError(f"{MOST} tasks run already: wait for one, or cancel it")
        job = Job(f"j{len(jobs) + 1}", name, task, time.monotonic(), work, call, after_call)
        jobs[job.id] = job
        call.remark("job", {"id": job.id, "name": name, "state": "queued"})
        running = asyncio.ensure_future(self._run(job))
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        note = "it was handed on, and is not done: the result comes by itself; go on talking meanwhile"
        return {"job": job.id, "state": "running", "note": note}

    async def _run(self, job: Job) -> None:
        try:
            result = await job.work.run()
        except asyncio.CancelledError:
            job.proof = job.proof or await job.work.cancel()
            job.state = "cancelled"
            self._report(job, Result("stopped", "", "the server stopped"))
            raise
        except Exception as error:
            result = Result(f"raised {type(error).__name__}", "", str(error)[:400])
        if job.state == "cancelled":
            return
        job.state = "done" if result.outcome == "ok" else "failed"
        job.result = result
        self._report(job, result)
        self._tell(job, result)

    def _report(self, job: Job, result: Result) -> None:
        """Into the record of the call, or what is kept beside it when the call is over."""
        ms = round((time.monotonic() - job.began) * 1000)
        job.call.remark("job", {
            "id": job.id, "name": job.name, "state": "done", "outcome": result.outcome, "ms": ms,
            "out_bytes": len(result.output), "result": result.output[:TOLD_CHARS] if job.call_over else "",
            "detail": result.detail[:400], "proof": job.proof[:200],
        })  # fmt: skip

    def _tell(self, job: Job, result: Result) -> None:
        if job.call_over:
            return
        if result.outcome == "ok":
            text = f"[Result of {job.name}, {job.id}, for: {job.task[:200]}]\n{result.output[:TOLD_CHARS]}"
        else:
            text = f"[{job.name}, {job.id}, did not succeed: {result.outcome}] {result.output[:400]}"
        telling = asyncio.ensure_future(self._told(job, f"{text}\nTell the caller now, in your own words.", result))
        self._tasks.add(telling)
        telling.add_done_callback(self._tasks.discard)

    async def _told(self, job: Job, text: str, result: Result) -> None:
        """What the call did not take is kept as if the caller had left."""
        done = await job.call.order(v.InjectAsked(text, respond=True))
        if done.outcome != "told":
            kept = {"result": result.output[:TOLD_CHARS], "why": done.detail[:200]}
            job.call.remark("job", {"id": job.id, "name": job.name, "state": "untold", **kept})

    # ------------------------------------------------------------------------------------ what the model asks

    def _of(self, call: CallContext, which: Any) -> list[Job]:
        jobs = self._jobs.get(call.call_id, {})
        if which and which not in jobs:
            raise ToolError(f"there is no job {which}; there are: {', '.join(jobs) or 'none'}")
        return [jobs[which]] if which else list(jobs.values())

    async def _status(self, given: Mapping[str, Any], call: CallContext) -> Any:
        now = time.monotonic()
        return {"jobs": [
            {"job": job.id, "what": job.name, "task": job.task[:200], "state": job.state,
             "seconds": round(now - job.began), **({"result": job.result.output[:500]} if job.result else {})}
            for job in self._of(call, given["job"])
        ]}  # fmt: skip

    async def _cancel(self, given: Mapping[str, Any], call: CallContext) -> Any:
        running = [job for job in self._of(call, given["job"]) if job.state == "running"]
        if not running:
            raise ToolError("nothing runs that could be cancelled")
        done = await asyncio.gather(*(self._stop(job, "cancelled by the agent") for job in running))
        return {"cancelled": done}

    async def _stop(self, job: Job, why: str) -> Mapping[str, Any]:
        job.state = "cancelled"
        job.proof = await job.work.cancel()
        self._report(job, Result("cancelled", "", why))
        return {"job": job.id, "proof": job.proof}

    # -------------------------------------------------------------------------------------------------- ends

    def call_ended(self, call_id: str) -> None:
        """The caller has left: jobs go on and are kept, or end, as they were declared."""
        for job in self._jobs.pop(call_id, {}).values():
            job.call_over = True
            if job.state == "running" and job.after_call == "cancel":
                stopping = asyncio.ensure_future(self._stopped(job))
                self._tasks.add(stopping)
                stopping.add_done_callback(self._tasks.discard)

    async def _stopped(self, job: Job) -> None:
        await self._stop(job, "the caller hung up")

    async def stop(self) -> None:
        """The server ends: everything is cancelled, and proven so."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=15)
        self._jobs.clear()


def in_background(tool: Tool, jobs: Jobs) -> Tool:
    """The same tool, with a receipt at once."""

    async def run(given: Mapping[str, Any], call: CallContext) -> Any:
        return jobs.begin(tool.name, text_of(dict(given)), _Background(tool, given, call), call)

    limits = msgspec.structs.replace(tool.limits, deadline_s=5.0, filler="")
    within = tool.limits.deadline_s
    return msgspec.structs.replace(tool, run=run, limits=limits, job_s=within, own_code=False, in_thread=False)


class _Background:
    """One run of a tool as work."""

    def __init__(self, tool: Tool, given: Mapping[str, Any], call: CallContext) -> None:
        self._tool = tool
        self._given = given
        self._call = call
        self._doing: asyncio.Future[Any] | None = None

    async def run(self) -> Result:
        limits = self._tool.limits
        if busy := runs_on(self._tool.name):
            return Result("busy", "it is busy: try again later", busy)
        self._doing = doing = asyncio.ensure_future(self._begun())
        done, _ = await asyncio.wait({doing}, timeout=limits.deadline_s)
        if not done:
            place = give_up(self._tool.name, doing)
            doing.cancel()
            return Result("timeout", f"no answer within {limits.deadline_s:g} s", place and f"it runs on, at {place}")
        try:
            return Result("ok", text_of(doing.result())[: limits.max_chars])
        except ToolError as error:
            return Result("error", str(error))
        except asyncio.CancelledError:
            return Result("cancelled", "")

    async def _begun(self) -> Any:
        """The user's coroutine gets a thread with a loop of its own: this loop is everybody's."""
        work = self._tool.run(self._given, self._call)
        if self._tool.own_code and not INLINE.get():
            return await in_thread(f"job {self._tool.name}", lambda: asyncio.run(work))
        return await work

    async def cancel(self) -> str:
        if self._doing is None:
            return "it had not begun"
        place = give_up(self._tool.name, self._doing)
        self._doing.cancel()
        await asyncio.wait({self._doing}, timeout=5)
        if place:
            return f"its result is not waited for; it runs on, at {place}"
        if self._tool.kind in ("http", "mcp"):
            return "the request was ended; whether the service goes on with it cannot be seen from here"
        if self._tool.in_thread or self._tool.own_code or not self._doing.done():
            return "its result is not waited for; whether it goes on cannot be seen"
        return "it has stopped"

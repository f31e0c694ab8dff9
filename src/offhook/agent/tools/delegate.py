"""
Delegates: a longer task given to a program, with what was said and a deadline, while the call goes on.

What the program writes to its result file, or else to its standard output, is the result. Its standard error is
evidence for the record and never told to anybody. Knows no call but what the context says.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.agent.tools.context import CallContext, Turn
from offhook.agent.tools.jobs import Jobs
from offhook.agent.tools.process import Program
from offhook.agent.tools.runner import Result
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import Limits, Tool

__all__ = ["Delegate", "delegate_tool", "gptme"]

TAIL_TURNS = 8
TAIL_CHARS = 1600
MOST_FILE_BYTES = 256 * 1024
_PLACES = ("task", "transcript_file", "result_file", "deadline_s")


class Delegate(Struct, frozen=True, kw_only=True):
    """A program for tasks; its arguments may hold {task}, {transcript_file}, {result_file} and {deadline_s}."""

    argv: Sequence[str]
    env: Mapping[str, str] = {}
    cwd: str | None = None
    stdin: str = ""  # "", "task" or "json"
    after_call: str = "keep"
    deadline_s: float = 300.0


def gptme(model: str = "", executable: str = "gptme") -> tuple[str, ...]:
    """
    The command line of gptme for one task.

    Source: ``gptme --help`` of 0.35.1 (checked 2026-11-25): --non-interactive answers every question with yes, and
    --context files leaves out the context command, which may take longer than a caller waits.
    """
    model_args = ("--model", model) if model else ()
    return (executable, "--non-interactive", "--context", "files", *model_args, "{prompt}")


PROMPT = """\
{task}

You were asked this during a phone call that goes on. You have {deadline_s} seconds. Write your answer, at most ten \
sentences that can be read aloud, to the file {result_file} and end.{tail}"""


def delegate_tool(name: str, given: Delegate, jobs: Jobs, *, description: str, limits: Limits, where: str = "") -> Tool:
    """The tool that starts one: it answers with a receipt."""
    words = description or "Hand a longer task to an assistant that works while the call goes on."
    arguments = Arguments(name, [("task", str)])
    arguments.schema["properties"]["task"]["description"] = "What shall be found out or done, with all that is needed."
    jobs.offer()

    async def run(arguments: Mapping[str, Any], call: CallContext) -> Any:
        work = _Work(given, arguments["task"], call)
        return jobs.begin(name, arguments["task"], work, call, given.after_call)

    return Tool(
        name=name, description=words + " Its result comes later, by itself.", parameters=arguments.schema,
        read=arguments.read, run=run, kind="delegate", source=" ".join(given.argv), where=where, limits=limits,
        job_s=given.deadline_s,
    )  # fmt: skip


class _Work:
    """One task given to one program."""

    def __init__(self, given: Delegate, task: str, call: CallContext) -> None:
        self._given = given
        self._task = task
        self._call = call
        self._program: Program | None = None
        self._proof = ""

    async def run(self) -> Result:
        folder = Path(tempfile.mkdtemp(prefix="offhook-task-"))  # 0700: transcripts are nobody else's
        try:
            return await self._in(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _in(self, folder: Path) -> Result:
        given = self._given
        result_file = folder / "result.txt"
        facts = {
            "task": self._task, "transcript_file": str(folder / "transcript.txt"), "result_file": str(result_file),
            "deadline_s": f"{given.deadline_s:g}",
        }  # fmt: skip
        tail = _tail(self._call.transcript)
        (folder / "transcript.txt").write_text(tail, encoding="utf-8")
        facts["prompt"] = PROMPT.format(tail=f"\n\nWhat was said last:\n{tail}" if tail else "", **facts)
        env = {
            **given.env, "OFFHOOK_TASK": self._task,
            "OFFHOOK_TRANSCRIPT": facts["transcript_file"], "OFFHOOK_RESULT": facts["result_file"],
            "OFFHOOK_DEADLINE_S": facts["deadline_s"], "OFFHOOK_CALL": self._call.call_id,
            "OFFHOOK_PARAMETERS": json.dumps(self._call.parameters),
        }  # fmt: skip
        self._program = program = Program([_filled(part, facts) for part in given.argv], env=env, cwd=given.cwd)
        try:
            await program.start(_stdin(given, facts, tail))
        except OSError as error:
            return Result("not started", "", f"{given.argv[0]}: {os.strerror(error.errno or 0)}")
        try:
            status = await asyncio.wait_for(program.wait(), given.deadline_s)
        except TimeoutError:
            await self.cancel()
            return Result("timeout", f"no result within {given.deadline_s:g} s", _evidence(program, self._proof))
        ended = await program.end()  # what it may have left behind
        self._proof = ended.how
        return _result(program, status, result_file)

    async def cancel(self) -> str:
        """End the program; what was proven of it."""
        if self._program is None:
            return "it had not begun"
        ended = await self._program.end()
        self._proof = ended.how + (f" ({ended.signals}, {ended.ms} ms)" if ended.signals else "")
        return self._proof


def _filled(part: str, facts: Mapping[str, str]) -> str:
    """One argument with its places filled in; a task cannot pose as an option."""
    made = part
    for name, value in facts.items():
        made = made.replace("{" + name + "}", value)
    return f" {made}" if made.startswith("-") and not part.startswith("-") else made


def _stdin(given: Delegate, facts: Mapping[str, str], tail: str) -> bytes | None:
    placed = any(place in part for part in given.argv for place in ("{task}", "{prompt}", "OFFHOOK_TASK"))
    kind = given.stdin or ("" if placed else "task")
    if kind == "json":
        return json.dumps({"task": facts["task"], "transcript": tail, "deadline_s": given.deadline_s}).encode()
    return facts["task"].encode() if kind == "task" else None


def _tail(turns: Sequence[Turn]) -> str:
    """The last things said, oldest first."""
    lines: list[str] = []
    room = TAIL_CHARS
    for turn in reversed(turns[-TAIL_TURNS:]):
        line = f"{turn.who}: {' '.join(turn.text.split())}"[:room]
        room -= len(line)
        lines.append(line)
        if room <= 0:
            break
    return "\n".join(reversed(lines))


def _result(program: Program, status: int, result_file: Path) -> Result:
    try:
        with result_file.open("rb") as file:
            written = file.read(MOST_FILE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        written = ""
    text = written or program.stdout.strip()
    evidence = _evidence(program, "")
    if status == 0 and text:
        return Result("ok", text, evidence)
    if status == 0:
        return Result("no result", "it ended without a word", evidence)
    return Result(_status(status), "it failed", evidence)


def _status(status: int) -> str:
    if status >= 0:
        return f"exit {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _evidence(program: Program, proof: str) -> str:
    """The program's last words, for the record alone."""
    words = " | ".join(line for line in program.stderr.splitlines() if line.strip())[-300:]
    return "; ".join(part for part in (proof, f"stderr: {words}" if words else "") if part)

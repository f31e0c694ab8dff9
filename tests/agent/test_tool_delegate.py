"""Delegates: real programs, real groups of processes, and the proof that none of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offhook import vocab as v
from offhook.agent.tools import CallContext, Turn, guardian, process
from offhook.agent.tools.delegate import Delegate, delegate_tool, gptme
from offhook.agent.tools.function import function_tool
from offhook.agent.tools.jobs import Jobs, in_background
from offhook.agent.tools.process import Program
from offhook.agent.tools.runner import Runner
from offhook.agent.tools.spec import Limits

# A family: a child that ignores TERM, a grandchild that left the group and the session, a pipe held open by both.
FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
subprocess.Popen(["sh", "-c", "trap '' TERM; while true; do sleep 60; done"])
print("ready", flush=True)
time.sleep(60)
"""


class Call:
    """A call that notes what its jobs ask for and remark."""

    def __init__(self, call_id: str = "CA1") -> None:
        self.asked: list[v.Event] = []
        self.remarks: list[dict[str, Any]] = []
        self.call_id = call_id
        self.takes = "told"

    def context(self) -> CallContext:
        said = [Turn("caller", "I need a plumber."), Turn("agent", "I will look.")]
        made = CallContext(self.call_id, transcript=said, order=self._order)
        made.remark = lambda kind, data: self.remarks.append({"kind": kind, **data})
        return made

    async def told(self) -> v.Event:
        async with asyncio.timeout(40):
            while not self.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return self.asked[0]

    async def _order(self, event: v.Event) -> v.Done:
        self.asked.append(event)
        return v.Done("", "inject", self.takes)

    async def until(self, n: int) -> dict[str, Any]:
        async with asyncio.timeout(40):
            while len(self.remarks) < n:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return self.remarks[-1]


def delegate(jobs: Jobs, code: str = "", **given: Any) -> Any:
    argv = given.pop("argv", (sys.executable, "-c", code, "{task}"))
    return delegate_tool("plumber", Delegate(argv=argv, **given), jobs, description="Find one.", limits=Limits())


async def run(tool: Any, task: str, call: Call) -> str:
    return (await Runner().run(tool, f'{{"task":"{task}"}}', call.context())).output


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_ending_a_program_ends_all_it_started_and_proves_it():
    async def body() -> None:
        program = Program([sys.executable, "-c", FAMILY], env={})
        await program.start()
        async with asyncio.timeout(40):
            while not program.out_bytes:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        family = program.members()
        assert len(family) >= 3, "the child, the one that ignores TERM, the one that left the group"
        assert [pid for pid in family if os.getpgid(pid) != program.pid], "one has left the group"
        ended = await program.end(grace_s=0.2)
        assert ended.proven and ended.signals == "TERM KILL" and "no process that came of" in ended.how
        assert not [pid for pid in family if alive(pid)]

    asyncio.run(body())


# It leaves group and session, forks twice so that its parent is gone, wipes its environment, and ignores TERM.
ESCAPES = """
import os, sys, time
if not os.fork():
    os.setsid()
    if not os.fork():
        os.closerange(0, 3)
        code = "import signal, sys, time; signal.signal(15, 1); open(sys.argv[1], 'w').write('here'); time.sleep(60)"
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, sys.argv[1]], {})
    os._exit(0)
time.sleep(float(sys.argv[2]))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="a subreaper is Linux's")


async def escaped(there: Path, seconds: float = 60) -> tuple[Program, int]:
    program = Program([sys.executable, "-c", ESCAPES, str(there), str(seconds)], env={})
    await program.start()
    async with asyncio.timeout(40):
        while not there.exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    (pid,) = [pid for pid in program.members() if pid != program.pid]
    assert os.getsid(pid) != program.pid and pid not in program._marked(), "nothing but its descent gives it away"
    return program, pid


@linux
def test_a_grandchild_that_left_session_and_group_and_wiped_its_environment_is_found_and_killed(tmp_path: Path):
    async def body() -> None:
        program, pid = await escaped(tmp_path / "here")
        ended = await program.end(grace_s=0.1)
        assert ended.proven and ended.signals == "TERM KILL" and not alive(pid)
        program, pid = await escaped(tmp_path / "there", seconds=0)
        assert await program.wait() == 0 and alive(pid), "its program ended well, and left it behind"
        assert (await program.end(grace_s=0.1)).proven and not alive(pid)

    asyncio.run(body())


@linux
def test_a_program_dies_with_a_server_that_is_killed(tmp_path: Path):
    code = (
        "import asyncio, os, sys\n"
        "from offhook.agent.tools.process import Program\n"
        "async def main():\n"
        "    await Program([sys.executable, '-c', sys.argv[1], sys.argv[2], '60'], env={}).start()\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    there = tmp_path / "here"
    server = subprocess.Popen([sys.executable, "-c", code, ESCAPES, str(there)])

    def came_of_it() -> list[int]:
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and mentions(pid) and alive(int(pid))]

    def mentions(pid: str) -> bool:
        try:
            return str(there).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:  # gone meanwhile
            return False

    until = time.monotonic() + 40
    while not there.exists() and time.monotonic() < until:
        time.sleep(0.02)
    server.kill()
    server.wait()
    while came_of_it() and time.monotonic() < until:
        time.sleep(0.05)
    assert there.exists() and not came_of_it(), "guardian, program and grandchild"


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_program_that_ends_or_stops_its_guardian_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch, how: int):
    monkeypatch.setattr("offhook.agent.tools.process.KILL_S", 0.1)
    monkeypatch.setattr("offhook.agent.tools.process.ANSWER_S", 0.1)

    async def body() -> None:
        code = f"import os, time; os.kill(os.getppid(), {int(how)}); print('done', flush=True); time.sleep(60)"
        program = Program([sys.executable, "-c", code], env={})
        await program.start()
        async with asyncio.timeout(40):
            while not program.out_bytes:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        ended = await program.end(grace_s=0.1)
        assert ended.proven and "its guardian was ended" in ended.how and not alive(program.pid)

    asyncio.run(body())


# A guardian on a machine that is busy: late to begin, and between the program's start and the word of it.
SLOW = """
import sys, time
sys.path.insert(0, {folder!r})
import guardian
say = guardian.Guardian.say
guardian.Guardian.say = lambda self, text: (time.sleep(0.5 * text.startswith("started")), say(self, text))
time.sleep({late_s})
guardian.main()
"""


@pytest.fixture
def slow_guardian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "slow_guardian.py"
    made.write_text(SLOW.format(folder=str(Path(guardian.__file__).parent), late_s=0.3))
    monkeypatch.setattr("offhook.agent.tools.guardian.__file__", str(made))


@linux
@pytest.mark.usefixtures("slow_guardian")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_program_that_silences_its_guardian_at_once_is_started_once_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: int
):
    monkeypatch.setattr("offhook.agent.tools.process.KILL_S", 0.1)
    monkeypatch.setattr("offhook.agent.tools.process.ANSWER_S", 1.0)
    runs = tmp_path / "runs"

    async def body() -> None:
        code = f"import os, time; open({str(runs)!r}, 'a').write('once '); os.kill(os.getppid(), {int(how)})"
        program = Program([sys.executable, "-I", "-S", "-c", f"{code}; time.sleep(60)"], env={})
        await program.start()
        async with asyncio.timeout(40):
            while not runs.exists() or not runs.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        ended = await program.end(grace_s=0.1)
        assert ended.proven and not alive(program.pid) and program.pid
        assert runs.read_text() == "once ", "not again without a guardian, as our own child"

    asyncio.run(body())


def test_where_no_guardian_can_be_a_program_is_run_all_the_same_and_its_exit_status_is_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(process, "_PROC", tmp_path)  # as on a system without /proc

    async def body() -> None:
        program = Program([sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"], env={})
        await program.start()
        assert await program.wait() == 7
        await program.end()

    asyncio.run(body())


def test_a_program_that_obeys_gets_no_kill():
    async def body() -> None:
        program = Program(["sleep", "60"], env={})
        await program.start()
        ended = await program.end()
        assert ended.proven and ended.signals == "TERM"
        assert await program.wait() == -15

    asyncio.run(body())


def test_what_is_still_there_is_said(monkeypatch: Any):
    async def body() -> None:
        monkeypatch.setattr("sys.platform", "darwin")  # no guardian there
        program = Program(["sleep", "60"], env={})
        await program.start()
        real = Program._signal
        monkeypatch.setattr(Program, "_signal", lambda *_: None)
        monkeypatch.setattr("offhook.agent.tools.process.KILL_S", 0.05)
        ended = await program.end(grace_s=0.05)
        assert not ended.proven and ended.left == (program.pid,) and str(program.pid) in ended.how
        monkeypatch.setattr(Program, "_signal", real)
        assert (await program.end()).proven

    asyncio.run(body())


def test_a_receipt_at_once_then_the_result_when_the_line_is_free():
    code = "import os, sys; print('found: ' + sys.argv[1]); print(open(os.environ['OFFHOOK_TRANSCRIPT']).read())"

    async def body() -> None:
        jobs, call = Jobs(), Call()
        receipt = await run(delegate(jobs, code), "a plumber near the station", call)
        assert '"job":"j1"' in receipt and "is not done" in receipt
        done = await call.until(2)
        assert (done["state"], done["outcome"], done["result"]) == ("done", "ok", "")
        told = await call.told()
        assert isinstance(told, v.InjectAsked) and told.respond
        assert "found: a plumber near the station" in told.text and "caller: I need a plumber." in told.text

    asyncio.run(body())


def test_the_result_file_goes_before_standard_output_and_stderr_is_evidence_only():
    code = ("import os, sys; print('chatter'); print('a warning with hunter2', file=sys.stderr);"
            "open(os.environ['OFFHOOK_RESULT'], 'w').write('the answer')")  # fmt: skip

    async def body() -> None:
        jobs, call = Jobs(), Call()
        await run(delegate(jobs, code), "x", call)
        done = await call.until(2)
        assert "hunter2" in done["detail"]
        told = await call.told()
        assert isinstance(told, v.InjectAsked) and "the answer" in told.text
        assert "chatter" not in told.text and "hunter2" not in told.text

    asyncio.run(body())


def test_a_program_that_fails_or_says_nothing_or_is_not_there_is_told_as_such():
    async def body() -> None:
        jobs = Jobs()
        for given, outcome in (
            ({"code": "import sys; print('no'); sys.exit(3)"}, "exit 3"),
            ({"code": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"}, "killed by SIGSEGV"),
            ({"code": ""}, "no result"),
            ({"argv": ("/no/such/program",)}, "not started"),
        ):
            call = Call()
            await run(delegate(jobs, **given), "x", call)
            assert (await call.until(2))["outcome"] == outcome
            told = await call.told()
            assert isinstance(told, v.InjectAsked) and "did not succeed" in told.text

    asyncio.run(body())


def test_a_task_is_an_argument_and_no_option_and_no_command():
    async def body() -> None:
        jobs, call = Jobs(), Call()
        await run(delegate(jobs, "import sys; print(sys.argv[1:])"), "--help; touch /tmp/x", call)
        await call.until(2)
        told = await call.told()
        assert isinstance(told, v.InjectAsked) and "[' --help; touch /tmp/x']" in told.text

    asyncio.run(body())


def test_the_deadline_ends_it_and_is_named_as_the_cause():
    async def body() -> None:
        jobs, call = Jobs(), Call()
        began = time.monotonic()
        await run(delegate(jobs, "import time; time.sleep(60)", deadline_s=0.2), "x", call)
        done = await call.until(2)
        assert done["outcome"] == "timeout" and "no process that came of" in done["detail"]
        assert time.monotonic() - began < 50, "not its own minute"

    asyncio.run(body())


def test_cancel_answers_when_it_is_proven():
    async def body() -> None:
        jobs, call = Jobs(), Call()
        await run(delegate(jobs, "import time; time.sleep(60)"), "x", call)
        status, cancel = jobs.tools
        runner = Runner()
        assert '"state":"running"' in (await runner.run(status, "", call.context())).output
        answer = await runner.run(cancel, '{"job":"j1"}', call.context())
        assert "no process that came of" in answer.output
        done = await call.until(2)
        assert done["outcome"] == "cancelled" and not call.asked, "a cancelled task has no result to be told"
        again = await runner.run(cancel, "", call.context())
        assert again.outcome == "error" and "nothing runs" in again.output
        assert "there is no job j9" in (await runner.run(cancel, '{"job":"j9"}', call.context())).output

    asyncio.run(body())


def test_when_the_caller_has_left_the_result_is_kept_or_the_work_ended_as_declared(tmp_path: Path):
    left = tmp_path / "left"

    async def body() -> None:
        jobs, keeps, ends = Jobs(), Call("CA1"), Call("CA2")
        waits = f"import os, time\nwhile not os.path.exists({str(left)!r}): time.sleep(0.01)\nprint('late')"
        await run(delegate(jobs, waits), "x", keeps)
        await run(delegate(jobs, "import time; time.sleep(60)", after_call="cancel"), "x", ends)
        await asyncio.sleep(0.1)
        jobs.call_ended("CA1")
        jobs.call_ended("CA2")
        left.touch()
        kept = await keeps.until(2)
        assert (kept["outcome"], kept["result"]) == ("ok", "late") and not keeps.asked
        cancelled = await ends.until(2)
        assert cancelled["outcome"] == "cancelled" and "no process that came of" in cancelled["proof"]

    asyncio.run(body())


def test_a_result_that_the_call_does_not_take_any_more_is_kept():
    async def body() -> None:
        jobs, call = Jobs(), Call()
        call.takes = "refused"
        await run(delegate(jobs, "print('late')"), "x", call)
        kept = await call.until(3)
        assert (kept["state"], kept["result"]) == ("untold", "late")

    asyncio.run(body())


def stopped_when(there: Path, begun: Callable[[], object]) -> str:
    """What was proven of a program by the server's stop, as soon as ``begun``; it writes its number to ``there``."""

    async def body() -> str:
        jobs, call = Jobs(), Call()
        code = f"import os, time; open({str(there)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        await run(delegate(jobs, code), "x", call)
        async with asyncio.timeout(40):
            while not begun():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await jobs.stop()
        assert call.remarks[-1]["outcome"] == "stopped"
        return call.remarks[-1]["proof"]

    return asyncio.run(body())


def test_the_server_leaves_no_program_behind(tmp_path: Path):
    there = tmp_path / "pid"
    assert "no process that came of" in stopped_when(there, lambda: there.exists() and there.read_text())
    assert not alive(int(there.read_text()))


@linux
@pytest.mark.usefixtures("slow_guardian")
def test_the_server_leaves_no_program_behind_whose_start_it_did_not_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spawned = []
    begin = process._Guard.begin
    monkeypatch.setattr(process._Guard, "begin", lambda guard: (spawned.append(guard), begin(guard))[1])
    proof = stopped_when(tmp_path / "pid", lambda: spawned)
    assert f"no process that came of {spawned[0].pid} is left" in proof and not alive(spawned[0].pid)


def test_any_tool_can_be_a_job():
    async def slow(n: int) -> int:
        """Slow."""
        await asyncio.sleep(0.05)
        return n + 1

    async def body() -> None:
        jobs, call = Jobs(), Call()
        receipt = await Runner().run(in_background(function_tool(slow), jobs), '{"n":1}', call.context())
        assert "j1" in receipt.output
        assert (await call.until(2))["outcome"] == "ok"
        told = await call.told()
        assert isinstance(told, v.InjectAsked) and "\n2\n" in told.text

    asyncio.run(body())


def test_gptme_is_called_with_options_that_it_has():
    assert gptme("openai/gpt-5") == (
        "gptme", "--non-interactive", "--context", "files", "--model", "openai/gpt-5", "{prompt}",
    )  # fmt: skip

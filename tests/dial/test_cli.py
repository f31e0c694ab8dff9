"""`offhook dial` as a user runs it: exit codes, what programs read, Ctrl-C, and the pictures of docs/dial.md."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from tests.dial.endpoints import ROOT

pytestmark = pytest.mark.timeout(240)  # real calls, side by side
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))},
    "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
    "NO_COLOR": "1",
}
SHORT = ["--scenario", "examples/scenarios/short.toml"]


def command(defect: str, *more: str) -> list[str]:
    server = f"{sys.executable} -m tests.dial.endpoints {defect} {{port}}"
    return ["ws://127.0.0.1:{port}/media", "--server", server, *more]


async def dial(folder, *words: str, interrupt_after: float = 0.0) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "offhook", "dial", *words, "--out", str(folder), cwd=ROOT, env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    first = ""
    if interrupt_after:
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()  # the server listens
        await asyncio.sleep(interrupt_after)
        process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    return process.returncode, first + out.decode(), err.decode()


def pictures() -> list[tuple[str, str]]:
    """(command, what it printed) of docs/dial.md."""
    text = (ROOT / "docs" / "dial.md").read_text()
    return re.findall(r"```console\n\$ offhook dial (.*?)\n(.*?)```", text, re.S)


def plain(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"record    \S+", "record    PATH", text)
    text = re.sub(r"(engine    \S+).*", r"\1", text)  # its sentences are the rules' own
    return re.sub(r" +", " ", re.sub(r"-?\d+(\.\d+)?", "N", text)).strip()


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("cli")
    save, junit = folder / "run.json", folder / "junit.xml"

    async def compared(healthy: asyncio.Task) -> dict:
        """Runs beside the saved one: the same again, and another."""
        await healthy
        wanted = {"same": SHORT, "unlike": [*SHORT, "--fault", "loss=0.1"]}
        ran = (dial(folder / name, *command("none", *words, "--baseline", str(save))) for name, words in wanted.items())
        return dict(zip(wanted, await asyncio.gather(*ran), strict=True))

    async def run() -> dict:
        wanted = {
            "healthy": command("none", *SHORT, "--save", str(save), "--json", "--junit", str(junit)),
            "not-proven": command("mute", *SHORT, "--json"),
            "load": command("none", *SHORT, "--calls", "3", "--ramp", "0.3", "--json"),
            **{f"picture-{n}": shlex.split(words) for n, (words, _) in enumerate(pictures())},
        }
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(dial(folder / name, *words)) for name, words in wanted.items()}
            ctrl_c = group.create_task(dial(folder / "c", *command("mute", "--max", "30"), interrupt_after=1.0))
            later = group.create_task(compared(tasks["healthy"]))
        made = {name: task.result() for name, task in tasks.items()} | {"ctrl-c": ctrl_c.result()}
        snake = next(n for n, (words, _) in enumerate(pictures()) if "endpoints snake" in words)
        return made | later.result() | {"broken": made[f"picture-{snake}"], "save": save, "junit": junit}

    return asyncio.run(run())


@pytest.mark.parametrize(("name", "code"), [("healthy", 0), ("broken", 1), ("not-proven", 3), ("ctrl-c", 130)])
def test_the_exit_code_says_how_it_went(runs, name, code):
    assert runs[name][0] == code, runs[name]


def test_programs_read_json_and_junit(runs):
    data = json.loads(runs["healthy"][1])
    assert (
        data["verdict"] == "healthy" and data["call"]["figures"]["latencies_ms"] and data["run"]["target"] == "stream"
    )
    assert json.loads(runs["save"].read_text()) == data
    suite = ET.parse(runs["junit"]).getroot().find("testsuite")
    assert suite is not None and suite.attrib["tests"] == "1" and suite.attrib["failures"] == "0"
    assert json.loads(runs["not-proven"][1])["call"]["findings"][0]["severity"] == "suspicion"


def test_people_read_what_twilio_logs_and_what_to_mend(runs):
    out = runs["broken"][1]
    assert "x O07  media: field streamSid: got 'stream_sid', wanted 'streamSid'" in out
    assert "Twilio logs 31951" in out and "\x1b" not in out and out.rstrip().splitlines()[-1].startswith("broken: ")


def test_a_load_states_its_own_timing(runs):
    made = json.loads(runs["load"][1])["load"]
    assert made["calls"] == 3 and made["gen_late_p99_ms"] is not None
    assert runs["load"][0] == (0 if made["valid"] and made["healthy"] == 3 else {"broken": 1}.get(made["verdict"], 3))


def test_ctrl_c_leaves_nothing_behind(runs):
    port = re.search(r"listens on port (\d+)", runs["ctrl-c"][1])
    assert port is not None and not runs["ctrl-c"][2]
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"tests.dial.endpoints mute {port[1]}" not in processes


def test_a_baseline_compares_what_is_alike_and_refuses_the_rest(runs):
    assert "baseline:" in runs["same"][1] and runs["same"][0] in (0, 1)  # 1: this machine was slower now
    assert runs["unlike"][0] == 2 and "faults: [] then, ['loss=0.1@0s'] now" in runs["unlike"][1]


@pytest.mark.parametrize("n", range(len(pictures())))
def test_the_pictures_of_the_docs_are_what_it_prints(runs, n):
    _, wanted = pictures()[n]
    assert plain(runs[f"picture-{n}"][1]) == plain(wanted)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "wanted a URL"),
        (["ftp://x"], "wanted http://"),
        (["ws://127.0.0.1:1/", "--fault", "sneeze"], "there are unreachable"),
        (["ws://127.0.0.1:1/", "--fault", "rest-gone"], "--rest-port 9090"),
        (["ws://127.0.0.1:1/", "--fault", "rest-fails=200"], "wanted a status from 500"),
        (["ws://127.0.0.1:1/", "--param", "x"], "NAME=VALUE"),
        (["ws://127.0.0.1:1/", "--press", "x@1"], "KEY@SECONDS"),
        (["ws://127.0.0.1:1/", "--auth-token-env", "NO_SUCH"], "is not set"),
        (["ws://127.0.0.1:1/", "--scenario", "README.md"], "no TOML"),
        (["ws://127.0.0.1:1/", "--say-file", "none.wav"], "cannot be read"),
        (["wss://voice.example.com/", "--calls", "50"], "--i-own-this-server"),
        (["ws://127.0.0.1:1/", "--fakes", "all"], "--server"),
        (["ws://127.0.0.1:1/", "--baseline", "none.json"], "--baseline"),
    ],
)
def test_usage_is_refused_before_a_socket_opens(words, says):
    from typer.testing import CliRunner

    from offhook.cli import app
    from offhook.cli.dial import UsageError

    result = CliRunner().invoke(app, ["dial", *words])
    told = result.output + str(result.exception)
    assert says in told and (result.exit_code == 2 or isinstance(result.exception, UsageError)), told


def test_every_fault_is_listed():
    from typer.testing import CliRunner

    from offhook.cli import app

    out = CliRunner().invoke(app, ["dial", "--list-faults"]).output
    assert "loss " in out and "upgrade-signature" in out and "rest-gone " in out

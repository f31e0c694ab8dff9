"""`offhook call`, `offhook numbers` and `serve --tunnel` as a user runs them: a strict simulated account on a port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.cli import call, numbers
from offhook.cli import call_there as there
from offhook.cli.behind import free_port
from offhook.cli.call_there import NoServer, Refused
from offhook.cli.carrier_rest import NoRest, carrier_of, explained
from offhook.cli.tunnel import Tunnel, TunnelError
from offhook.loopback.lines import audio
from offhook.settings import Settings, load
from offhook.sims.run_account import SimAccount, Telephone
from offhook.sims.run_carrier import PhoneCall
from offhook.sims.run_webhook import Route

TOKEN = "rest-token-0123456789abcdef"
OURS, THEM, BUSY, BLOCKED = "+15550100002", "+15550100077", "+15550100078", "+15550100079"


async def hello_and_goodbye(phone: PhoneCall) -> None:
    await asyncio.sleep(0.3)
    phone.say(audio("callee_hello"))
    await asyncio.sleep(1.6)
    phone.hang_up()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with settings for a server behind a simulated account; both ports stand in the file."""
    rest, port = free_port(), free_port()
    (tmp_path / "offhook.toml").write_text(
        f"""
[provider]
name = "loopback"
[agent]
greeting = "Hello."
[carrier]
account_sid = "AC{"0" * 32}"
rest_url = "http://127.0.0.1:{rest}/2010-04-01"
[server]
public_url = "https://voice.example.com"
port = {port}
[record]
dir = "rec"
"""
    )
    (tmp_path / "ports.json").write_text(json.dumps([rest, port]))
    yield tmp_path


def settings(place: Path, **env: str) -> Settings:
    return load(environment={"TWILIO_AUTH_TOKEN": TOKEN, **env}, cwd=place)


def test_a_call_is_placed_followed_and_judged(place: Path):
    """A real server, a real process: everything between the command and a telephone."""
    rest, port = json.loads((place / "ports.json").read_text())
    people = {THEM: Telephone(0.1, talks=hello_and_goodbye, detected_s=0.6)}

    async def main() -> tuple[int | None, str, str]:
        async with SimAccount(TOKEN, (OURS,), people, port=rest, route=Route(connect=("127.0.0.1", port))) as sim:
            made = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "offhook", "call", THEM, cwd=place, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env={**os.environ, "TWILIO_AUTH_TOKEN": TOKEN},
            )  # fmt: skip
            out, err = await made.communicate()
            assert sim.alerts == []
            return made.returncode, out.decode(), err.decode()

    code, out, err = asyncio.run(main())
    assert code == 0, err
    told = [line.split(None, 2)[1:] for line in out.splitlines() if "s " in line[:10]]
    for wanted in (["call", "ringing"], ["call", "answered"], ["hello", "heard"], ["call", "over"]):
        assert wanted in told, out
    assert "healthy: " in out and THEM not in out + err


async def _until_served(place: Path, server: asyncio.subprocess.Process) -> None:
    state = place / "rec" / ".server.json"
    async with asyncio.timeout(40):
        while not (state.exists() and json.loads(state.read_text())["pid"] == server.pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def test_a_server_that_runs_here_is_asked_to_place_the_call(place: Path, capsys: pytest.CaptureFixture[str]):
    rest, port = json.loads((place / "ports.json").read_text())
    people = {THEM: Telephone(0.1, talks=hello_and_goodbye, detected_s=0.6), BUSY: Telephone(how="busy")}
    account = {"people": people, "port": rest, "blocked": {BLOCKED}, "route": Route(connect=("127.0.0.1", port))}
    made = settings(place)

    async def command(*words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook", *words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TWILIO_AUTH_TOKEN": TOKEN},
        )  # fmt: skip

    async def main() -> tuple[int | None, str, str]:
        async with SimAccount(TOKEN, (OURS,), **account) as sim:
            server = await command("serve")
            try:
                await _until_served(place, server)
                asked = await command("call", THEM)
                out, err = await asked.communicate()
                with pytest.raises(Refused, match="21216: number blocked"):
                    await there.place(made, BLOCKED, call.options_of(made), "text")
                sid, status = await there.place(made, BUSY, call.options_of(made), "json")
                assert status == "busy" and sid.startswith("CA")
            finally:
                server.send_signal(signal.SIGTERM)
                await server.communicate()
            assert sim.alerts == []
            return asked.returncode, out.decode(), err.decode()

    code, out, err = asyncio.run(main())
    assert code == 0 and "asking the server that runs here" in err, out + err
    told = [line.split(None, 2)[1:] for line in out.splitlines() if "s " in line[:10]]
    for wanted in (["call", "ringing"], ["call", "answered"], ["hello", "heard"], ["call", "over"]):
        assert told.count(wanted) == 1, out
    assert "healthy: " in out and THEM not in out + err
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    statuses = [line["status"] for line in lines]
    assert statuses[-3:] == ["initiated", "ringing", "busy"]  # "queued" may be over before the stream is followed


def test_what_a_killed_server_left_behind_is_no_server(place: Path):
    made = settings(place)
    state = place / "rec" / ".server.json"
    state.parent.mkdir()
    with pytest.raises(NoServer, match="no server of yours runs"):
        asyncio.run(there.place(made, THEM, call.options_of(made), "text"))
    state.write_text(json.dumps({"pid": 1, "url": f"http://127.0.0.1:{free_port()}", "token": "stale"}))
    with pytest.raises(NoServer, match="nothing answers"):
        asyncio.run(there.place(made, THEM, call.options_of(made), "text"))


def test_what_cannot_be_called_is_said_before_anything_starts(place: Path, capsys: pytest.CaptureFixture[str]):
    made = settings(place)
    assert call.run(made, "5550100", call.options_of(made)) == 2
    assert "wanted + and the country's code" in capsys.readouterr().err
    with pytest.raises(NoRest, match="TWILIO_AUTH_TOKEN"):
        carrier_of(settings(place, TWILIO_AUTH_TOKEN=""))
    assert "21215: country not allowed" in explained(21215, "HTTP 400") and explained(None, "no answer") == "no answer"


def test_a_number_is_pointed_here_and_put_back(place: Path, capsys: pytest.CaptureFixture[str]):
    rest, _ = json.loads((place / "ports.json").read_text())
    made = settings(place)

    async def main() -> None:
        async with SimAccount(TOKEN, (OURS, "+15550100003"), port=rest) as sim:
            row = next(iter(sim.account.numbers.values()))
            row.voice_url, row.trunk_sid = "https://old.example.com/voice", "TK" + "1" * 32
            said = await numbers.point_number(made, OURS, made["server.public_url"])
            assert f"before: trunk TK{'1' * 32}" in said
            assert (row.voice_url, row.trunk_sid) == ("https://voice.example.com/twilio/voice", "")
            assert "already" in await numbers.point_number(made, OURS, made["server.public_url"])
            assert await asyncio.to_thread(numbers.listed, made) == 0
            assert "(this server)" in capsys.readouterr().out
            await numbers.point_number(made, OURS, "https://other.example.com")  # what was first is what comes back
            assert f"trunk TK{'1' * 32} again" in await numbers.restore_number(made, OURS)
            assert (row.voice_url, row.trunk_sid) == ("https://old.example.com/voice", "TK" + "1" * 32)
            for refused in (numbers.restore_number(made, OURS), numbers.point_number(made, THEM, "https://x.example")):
                with pytest.raises(NoRest) as error:
                    await refused
                assert OURS not in str(error.value) and THEM not in str(error.value)

    asyncio.run(main())
    assert stat.S_IMODE((place / "rec" / "numbers.json").stat().st_mode) == 0o600


# -------------------------------------------------------------------------------------------- the tunnel

SAYS = {
    "cloudflared": "echo 'INF |  https://quick-words-here.trycloudflare.com  |' >&2",
    "ngrok": "echo 'lvl=info msg=\"update available\" url=https://ngrok.com/download'; "
    "echo 'lvl=info msg=\"started tunnel\" addr=http://localhost:1 url=https://a1b2.ngrok-free.app'",
    "tailscale": "printf 'Available on the internet:\\n\\nhttps://box.tail1234.ts.net/\\n|-- proxy http://127.0.0.1:1\\n'",
}
URLS = {"cloudflared": "https://quick-words-here.trycloudflare.com", "ngrok": "https://a1b2.ngrok-free.app",
        "tailscale": "https://box.tail1234.ts.net"}  # fmt: skip


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" > {folder}/arguments\n{script}\n')
    path.chmod(0o755)


@pytest.mark.parametrize("name", list(SAYS))
def test_a_tunnels_address_is_read_from_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path, name, f"{SAYS[name]}\nexec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    async def main() -> None:
        deaths: list[str] = []
        tunnel = Tunnel(Tunnel.choose("auto"), 8123, deaths.append)
        assert await tunnel.start() == URLS[name]
        await tunnel.stop()
        assert deaths == []

    asyncio.run(main())
    assert "8123" in (tmp_path / "arguments").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends it for us")
def test_a_tunnel_ends_with_a_server_that_is_killed(tmp_path: Path):
    program(tmp_path, "cloudflared", f"echo $$ > {tmp_path}/pid\n{SAYS['cloudflared']}\nexec sleep 60")
    server = (
        "import asyncio, os, signal; from offhook.cli.tunnel import Tunnel\n"
        "async def main():\n    await Tunnel('cloudflared', 1, print).start()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())"
    )
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", server], env=env, check=False).returncode == -signal.SIGKILL
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 20
    while _lives(pid):
        assert time.monotonic() < until, "the tunnel outlived its server"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_tunnel_that_dies_is_named_and_one_that_never_comes_up_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    async def main() -> None:
        died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        program(tmp_path, "cloudflared", f"{SAYS['cloudflared']}\nsleep 0.2\necho 'ERR lost connection'\nexit 3")
        tunnel = Tunnel("cloudflared", 8123, died.set_result)
        await tunnel.start()
        assert await died == "cloudflared ended with exit code 3: ERR lost connection"
        await tunnel.stop()
        program(tmp_path, "cloudflared", "echo 'ERR no network'\nexit 1")
        with pytest.raises(TunnelError, match="exit code 1: ERR no network"):
            await Tunnel("cloudflared", 8123, died.set_result).start()
        asked = 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF'
        program(tmp_path, "cloudflared", f"echo '{asked}'\nexit 1")  # not the address of a tunnel
        with pytest.raises(TunnelError, match="exit code 1: failed to request"):
            await Tunnel("cloudflared", 8123, died.set_result).start()

    asyncio.run(main())
    with pytest.raises(TunnelError, match="wanted auto"):
        Tunnel.choose("smoke-signals")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TunnelError, match="on PATH"):
        Tunnel.choose("auto")


def test_a_server_behind_a_tunnel_points_its_number_and_puts_it_back(place: Path, tmp_path: Path):
    program(tmp_path, "cloudflared", f"{SAYS['cloudflared']}\nexec sleep 60")
    rest, _ = json.loads((place / "ports.json").read_text())

    async def main() -> None:
        async with SimAccount(TOKEN, (OURS,), port=rest) as sim:
            row = next(iter(sim.account.numbers.values()))
            row.voice_url = "https://old.example.com/voice"
            made = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "offhook", "serve", "--tunnel", "auto", "--number", OURS, cwd=place,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "TWILIO_AUTH_TOKEN": TOKEN, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            )  # fmt: skip
            assert made.stdout is not None
            seen = b""
            while b" now; before: " not in seen:
                seen += await asyncio.wait_for(made.stdout.readline(), 40)
            assert row.voice_url == URLS["cloudflared"] + "/twilio/voice"
            made.send_signal(signal.SIGTERM)
            out, err = await made.communicate()
            assert made.returncode == 0, err
            assert b"https://old.example.com/voice again" in out and b"from https://quick-words" in seen
            assert row.voice_url == "https://old.example.com/voice"

    asyncio.run(main())


def test_a_tool_of_a_call_elsewhere_is_told_by_its_name():
    told = there._happened({"type": "tool", "tool": "call_1", "name": "book", "state": "called"})
    assert there.words_of(told) == ("tool", {"text": "book"})

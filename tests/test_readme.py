"""The README's first real call, command by command as it stands there; only the peers are on this machine."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offhook.net.clock import LoopClock
from offhook.sims.run_carrier import PhoneCall

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://voice.example.com"


def commands() -> list[str]:
    """What a reader types for the first real call, in order, without the remarks."""
    section = README.partition("## Your first real call")[2].partition("\n## ")[0]
    return [line.split("  #")[0].strip() for line in section.splitlines() if re.match(r"(pip|offhook) ", line)]


class Reader:
    """Somebody in an empty folder who does what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
        for name in ("OPENAI_API_KEY", "XAI_API_KEY"):
            clean.pop(name, None)
        self.env = {**clean, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "XDG_DATA_HOME": str(folder / "data")}

    def start(self, command: str) -> subprocess.Popen:
        program, *args = command.split()
        assert program == "offhook"
        return subprocess.Popen(
            [sys.executable, "-m", "offhook", *args], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, command: str) -> str:
        process = self.start(command)
        out, err = process.communicate(timeout=80)
        assert process.returncode == 0, f"{command}\n{out}{err}"
        return out

    def write_secrets(self) -> None:
        """The block of the page, with values in the place of the dots and its remarks left in."""
        block = re.search(r"^OPENAI_API_KEY=(?:.*\n)+?(?=```)", README, re.M)
        assert block is not None
        text = block[0].replace("sk-...", "sk-test-key-0000000000").replace("AC...", "AC" + "0" * 32)
        (self.folder / ".env").write_text(text.replace("TOKEN=...", f"TOKEN={TOKEN}"))

    def set_public_url(self) -> None:
        file = self.folder / "offhook.toml"
        text, n = re.subn(r'public_url = "[^"]*"', f'public_url = "{PUBLIC}"', file.read_text())
        assert n == 1
        file.write_text(text)


def listening(served: subprocess.Popen) -> int:
    """The port, from what the server shows at start: every value with its origin."""
    assert served.stdout is not None
    shown = ""
    while "listening" not in shown:
        line = served.stdout.readline()
        assert line, served.communicate()[1]
        shown += line
    assert f"{PUBLIC}/twilio/voice" in shown and ".env:1" in shown and "offhook.toml:3" in shown
    port = re.search(r"listening +127\.0\.0\.1:(\d+)", shown)
    assert port is not None
    return int(port[1])


async def call(port: int) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    address = ("127.0.0.1", port)
    async with PhoneCall(f"{PUBLIC}/twilio/voice", auth_token=TOKEN, connect_to=address, clock=clock) as placed:
        async with asyncio.timeout(40):
            while not placed.phone.audio():  # noqa: ASYNC110  # the greeting
                await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
def test_the_first_real_call_goes_as_the_page_says(tmp_path):
    typed = commands()
    assert typed[0] == "pip install ."
    reader = Reader(tmp_path)
    served, port = None, 0
    fake = reader.start("offhook fake openai --port 0 --json")
    try:
        assert fake.stdout is not None
        url = json.loads(fake.stdout.readline())["url"]
        for command in typed[1:]:
            if command.startswith("offhook init"):
                reader.run(command)
                reader.write_secrets()
                assert "placeholder" in reader.start("offhook check settings").communicate(timeout=80)[0]
                reader.set_public_url()
                reader.env["OFFHOOK_PROVIDER_URL"] = url  # the one thing that is not as in the page
                reader.env["OFFHOOK_SERVER_PORT"] = "0"
            elif command == "offhook serve &":
                served = reader.start("offhook serve")
                port = listening(served)
            elif command == "offhook check":
                continue  # asks Twilio and the public address, which no test may; tests/checks has a world for it
            elif command == "offhook show last":
                asyncio.run(call(port))
                assert served is not None
                served.terminate()
                served.communicate(timeout=80)
                assert served.returncode == 0
                out = reader.run(command)
                assert "healthy" in out and "OpenAI Realtime" in out
            else:
                reader.run(command)
        assert "offhook service systemd" in README and "ExecStart=" in reader.run("offhook service systemd")
    finally:
        for process in (fake, served):
            if process is not None and process.returncode is None:
                process.terminate()
                process.communicate(timeout=80)
    assert {"offhook check settings", "offhook check provider --live", "offhook serve &", "offhook trace last"} <= set(
        typed
    )

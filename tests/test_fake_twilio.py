"""``offhook fake twilio``: a user's way to calls, transfers and voicemail without an account."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from offhook.cli.behind import free_port
from offhook.cli.fake import FakeError
from offhook.cli.fake_people import CALLED, CALLERS
from offhook.cli.fake_twilio import NUMBER, PEOPLE, TOKEN, run, town_list
from offhook.sims.run_account import ACCOUNT

ROOT = Path(__file__).parent.parent
OFFHOOK = (sys.executable, "-m", "offhook")


@pytest.mark.parametrize(("given", "wanted"), [
    ({"ring": ["nobody"]}, "--ring 'nobody': wanted one of asks, transfer"),
    ({"people": ["+15550100012"]}, "wanted +NUMBER=WHAT"), ({"people": ["012=busy"]}, "wanted +NUMBER=WHAT"),
    ({"people": ["+15550100012=lazy"]}, "of person, silent"), ({"server": "here"}, "--server 'here': wanted HOST:PORT"),
])  # fmt: skip
def test_what_cannot_be_played_is_refused_before_anything_starts(given: dict[str, object], wanted: str):
    usual: dict[str, object] = {
        "host": "127.0.0.1", "port": 0, "numbers": (), "people": (), "ring": (), "server": "127.0.0.1:1", "token": "",
        "once": True, "as_json": True,
    }  # fmt: skip
    with pytest.raises(FakeError, match=re.escape(wanted)):
        run(**{**usual, **given})  # type: ignore[arg-type]


def test_everybody_is_listed():
    said = town_list()
    assert all(number in said for number in PEOPLE) and all(f"--ring {kind}" in said for kind in CALLERS)
    assert set(PEOPLE.values()) == set(CALLED)


def test_what_the_carriers_debugger_would_show_is_told_and_is_the_exit_code(capsys: pytest.CaptureFixture[str]):
    """The number points at a server that nobody runs."""
    port = free_port()
    form = urlencode({"VoiceUrl": "https://voice.example.com/voice"}).encode()
    key = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    where = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers/PN{0:032x}.json"

    def point() -> None:
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                urlopen(Request(where, form, {"Authorization": f"Basic {key}"}), timeout=20).close()
                return
            except URLError:  # it does not listen yet
                time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)  # nobody will call: let the fake end

    with ThreadPoolExecutor() as pool:
        pointing = pool.submit(point)
        code = run(
            host="127.0.0.1", port=port, numbers=(), people=(), ring=["asks"], server=f"127.0.0.1:{free_port()}",
            token="", once=True, as_json=False,
        )  # fmt: skip
        pointing.result()
    said = capsys.readouterr().out
    assert code == 1 and said.count("debugger: 11202") == 1, said
    assert f"waiting: no number has a webhook; offhook numbers point {NUMBER}" in said


def test_a_number_is_pointed_and_called(tmp_path: Path):
    """The way that the page has: fake, serve, numbers point; then somebody calls."""
    rest, port = free_port(), free_port()
    (tmp_path / "offhook.toml").write_text(
        f'[provider]\nname = "loopback"\n[agent]\ninstructions = "Front desk."\n'
        f'[server]\nport = {port}\n[record]\ndir = "rec"\n'
    )

    async def main() -> tuple[list[dict[str, object]], str]:
        async def start(*words: str, **env: str) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *OFFHOOK, *words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **env},
            )  # fmt: skip

        fake = await start(
            "fake", "twilio", "--port", str(rest), "--server", f"127.0.0.1:{port}", "--ring", "leaves", "--once",
            "--json",
        )  # fmt: skip
        assert fake.stdout is not None
        listening = json.loads(await asyncio.wait_for(fake.stdout.readline(), 60))
        server = await start("serve", **listening["environment"])
        try:
            async with asyncio.timeout(60):
                while not (tmp_path / "rec/.server.json").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            pointed = await start("numbers", "point", NUMBER, **listening["environment"])
            said, _ = await asyncio.wait_for(pointed.communicate(), 60)
            told, _ = await asyncio.wait_for(fake.communicate(), 90)
            assert fake.returncode == 0, told.decode()
            return [json.loads(line) for line in told.splitlines()], said.decode()
        finally:
            server.terminate()
            await server.communicate()

    told, said = asyncio.run(main())
    assert f"{NUMBER} points at https://voice.example.com/twilio/voice" in said
    line = next(one for one in told if one["event"] == "line")
    assert line["by_rest"] is False and line["legs"] == []
    assert not any(one["event"] == "alert" for one in told), told
    assert "+15550100001" not in json.dumps(told)

"""Starting somebody else's server: it listens, it is told of the fakes, and nothing of it is left."""

import asyncio
import sys

import httpx2
import pytest
from tests.dial.endpoints import ROOT

from offhook.dial.foreign import FAKE_KEYS, Foreign, ForeignError, alive, fake_environment
from offhook.dial.plan import Plan, UsageError, targets

PYTHON = sys.executable
ENVIRONMENT = """
import http.server, json, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({k: v for k, v in os.environ.items() if 'AI_' in k}).encode())
    def log_message(self, *args): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
"""


def test_a_server_is_told_where_the_fakes_are_and_is_gone_afterwards(tmp_path):
    (tmp_path / "server.py").write_text(ENVIRONMENT)

    async def run():
        async with Foreign(f"{PYTHON} {tmp_path}/server.py {{port}}", fakes=("openai", "xai")) as foreign:
            async with httpx2.AsyncClient(trust_env=False) as http:
                told = (await http.get(f"http://127.0.0.1:{foreign.port}/")).json()
            return told, foreign._process.pid, {name: fake.url for name, fake in foreign.fakes.items()}

    told, pid, urls = asyncio.run(run())
    for name in ("openai", "xai"):
        assert fake_environment(name, urls[name]).items() <= told.items()
    assert told["XAI_API_KEY"] == FAKE_KEYS["xai"] and told["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    assert not alive(pid)


def test_children_and_the_stubborn_end_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("offhook.dial.foreign.STOP_S", 0.5)
    (tmp_path / "server.py").write_text(
        "import signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '60'])\n" + ENVIRONMENT
    )

    async def run():
        async with Foreign(f"{PYTHON} {tmp_path}/server.py {{port}}") as foreign:
            return foreign._process.pid

    assert not alive(asyncio.run(run()))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-program-here", "No such file"),
        (f"{PYTHON} -c \"import sys; sys.exit('no key')\"", "ended with 1 before it listened; it said: no key"),
        (f'{PYTHON} -c "import time; time.sleep(9)"', "nothing listens"),
        ("", "no command"),
    ],
)
def test_a_server_that_does_not_come_up_says_why(command, says):
    async def run():
        async with Foreign(command, listen_s=0.4 if "sleep" in command else 5.0):
            pass

    with pytest.raises(ForeignError, match=says):
        asyncio.run(run())


def test_faults_are_for_one_fake_or_for_all():
    foreign = Foreign("x", fakes=("openai", "xai"), faults=("xai:no-greeting",))
    assert foreign._faults_of("openai") == () and foreign._faults_of("xai") == ("no-greeting",)
    with pytest.raises(ForeignError, match="--provider-fault"):
        Foreign("x", faults=("nonsense",))._faults_of("xai")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("ws://127.0.0.1:8000/m",), {"stream_url": "ws://127.0.0.1:8000/m", "public": None, "connect": None}),
        (("http://127.0.0.1:8000/v", "https://x.example"), {
            "webhook_url": "https://x.example/v", "public": ("x.example", 443), "connect": ("127.0.0.1", 8000)}),
        (("ws://127.0.0.1:8000/m", "https://x.example:8443"), {
            "stream_url": "wss://x.example:8443/m", "public": ("x.example", 8443), "connect": ("127.0.0.1", 8000)}),
        (("https://x.example/v", "", "127.0.0.1:9"), {
            "webhook_url": "https://x.example/v", "public": ("x.example", 443), "connect": ("127.0.0.1", 9)}),
    ],
)  # fmt: skip
def test_a_public_name_stands_for_an_address(given, wanted):
    assert targets(*given) == wanted


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("ftp://x",), "wanted http://"),
        (("http://x:y/",), "Port"),
        (("http://user:pw@x/",), "credentials"),
        (("http://x/", "https://y/path"), "wanted an origin"),
        (("http://x/", "", "y"), "HOST:PORT"),
    ],
)
def test_words_that_name_no_target(given, says):
    with pytest.raises(UsageError, match=says):
        targets(*given)


def test_a_plan_shows_no_secret():
    assert "s3cret" not in repr(Plan(**targets("http://127.0.0.1/"), token="s3cret"))
    assert ROOT.joinpath("pyproject.toml").exists()

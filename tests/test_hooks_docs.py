"""docs/hooks.md: its settings, its command and its program as they stand there; and a real call with its hooks."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.after.kit import clock_in, rounds
from tests.ports import free_port
from typer.testing import CliRunner

from offhook.after.queue import Queue
from offhook.after.sign import headers, key_of
from offhook.after.worker import Worker
from offhook.cli import app
from offhook.cli.after import plan_of
from offhook.settings import load
from offhook.store.database import engine

PAGE = (Path(__file__).parent.parent / "docs" / "hooks.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


clock = pytest.fixture(clock_in)


def genuine() -> Any:
    space: dict[str, Any] = {}
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(program, space)
    return space["genuine"]


def test_the_command_prints_what_the_page_shows(tmp_path, monkeypatch):
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    settings = toml.partition("[record]")[0]  # the bucket wants its extra
    (tmp_path / "offhook.toml").write_text(settings + f'[record]\ndir = "{tmp_path}/calls"\n')
    (tmp_path / ".env").write_text(f"CRM_SECRET={SECRET}\n")
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["hooks"])
    shown = re.findall(r"```console\n\$ offhook hooks\n(.*?)```", PAGE, re.S)[0]
    assert ran.exit_code == 0 and [line.rstrip() for line in ran.output.splitlines()] == shown.splitlines()


def test_the_pages_program_tells_a_genuine_request_from_another():
    made = headers(key_of(SECRET), "msg_1", int(time.time()), b"{}")
    assert genuine()(made, b"{}", SECRET)
    assert not genuine()(made, b"{} ", SECRET)
    assert not genuine()(headers(key_of(SECRET), "msg_1", int(time.time()) - 400, b"{}"), b"{}", SECRET)


class Receiver(BaseHTTPRequestHandler):
    got: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(503 if len(self.got) == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        return None


@pytest.fixture
def receiver():
    handler = type("Handler", (Receiver,), {"got": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield handler.got, f"http://127.0.0.1:{server.server_address[1]}/calls"
    server.shutdown()
    thread.join()
    server.server_close()


def until(there: Any, seconds: float = 8.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := there():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_real_servers_call_is_told_by_the_next_process_with_the_same_key(tmp_path, receiver, clock):
    """The receiver refuses the first try, the server is stopped, and another process tells it again."""
    got, url = receiver
    port = free_port()
    (tmp_path / "offhook.toml").write_text(
        f'[provider]\nname = "loopback"\n[server]\nport = {port}\n[carrier]\nauth = "none"\n[record]\ndir = "calls"\n'
        f'[hooks.crm]\nurl = "{url}"\nallow = ["127.0.0.1"]\nsecret = "env:CRM_SECRET"\n'
    )
    (tmp_path / ".env").write_text(f"CRM_SECRET={SECRET}\n")
    base, offhook = f"http://127.0.0.1:{port}", [sys.executable, "-m", "offhook"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*offhook, "serve"], cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: _ready(base))
        dial = ["dial", f"{base}/twilio/voice", "--say", "tone:440:0.2", "--max", "1", "--out", "dialled"]
        ran = subprocess.run([*offhook, *dial], cwd=tmp_path, capture_output=True, timeout=18, check=False)
        assert ran.returncode in (0, 3), ran.stderr
        failing = until(lambda: _ready(base)["hooks"].get("failing"))
        assert failing == {"crm": "127.0.0.1 answered 503"}
    finally:
        server.terminate()
        server.wait(timeout=10)
    settings = load({}, environment={}, cwd=tmp_path)
    target = engine(f"sqlite:///{tmp_path}/calls/offhook.db", write=True)
    clock.ms += 60_000
    rounds(Worker(lambda: Queue(target, "next"), plan_of(settings, tmp_path / "calls").hooks, lambda server: False))
    (first, body), (again, same) = got
    assert body == same and first["webhook-id"] == again["webhook-id"] == again["idempotency-key"]
    assert genuine()(again, same, SECRET)
    assert json.loads(same)["data"]["end"]["why"] and "a hook fails" in (tmp_path / "log").read_text()


def _ready(base: str) -> Any:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=1) as answer:
            return json.load(answer)
    except OSError:
        return None

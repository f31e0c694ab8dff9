"""docs/hooks.md: its settings, its command and its program as they stand there; and a call told as serve does."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.after.kit import clock_in
from tests.store.kit import record
from typer.testing import CliRunner

from offhook.after.sign import headers, key_of
from offhook.cli import app
from offhook.cli.stored import StoreKeeper
from offhook.net.metrics import Metrics
from offhook.settings import load

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


def until(there: Any, seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := there():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_servers_call_is_told_by_the_next_process_with_the_same_key(tmp_path, receiver, clock, caplog):
    """All that ``serve`` puts together, its threads too: the receiver refuses the first try, and the server stops."""
    got, url = receiver
    (tmp_path / "offhook.toml").write_text(
        f'[provider]\nname = "loopback"\n[record]\ndir = "calls"\n'
        f'[hooks.crm]\nurl = "{url}"\nallow = ["127.0.0.1"]\nsecret = "env:CRM_SECRET"\n'
    )
    settings = load({}, environment={"CRM_SECRET": SECRET}, cwd=tmp_path)
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 9))

    def serve() -> StoreKeeper:
        keeper = StoreKeeper(settings, tmp_path / "calls", Metrics(), lambda ms, error: None)
        keeper.start()
        return keeper

    server = serve()
    try:
        server.whole(record(tmp_path / "calls", "CA1", began=began, boot={"server": dict(server.server)}))
        failing = until(lambda: (server.after() or {}).get("failing"))
        assert failing == {"crm": "127.0.0.1 answered 503"} and "a hook fails" in caplog.text
    finally:
        server.stop()
    clock.ms += 60_000
    server = serve()
    try:
        until(lambda: len(got) == 2)
    finally:
        server.stop()
    (first, body), (again, same) = got
    assert body == same and first["webhook-id"] == again["webhook-id"] == again["idempotency-key"]
    assert genuine()(again, same, SECRET)
    assert json.loads(same)["data"]["end"]["why"] == "caller hung up"

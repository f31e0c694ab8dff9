"""The server of the evening as an operator runs it: a folder with its settings, a process, a database of its own."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from parts import AWAY, BUSY, FRIEND
from town import HOOK_SECRET, OUR_NUMBERS, TOKEN, Town

from offhook.cli.behind import free_port
from offhook.dial.foreign import FAKE_KEYS

__all__ = ["House", "PUBLIC"]

HERE = Path(__file__).parent
PUBLIC = "https://evening.offhook.example"
MARK = "EVENING_OF"
SETTINGS = """
[provider]
name = "openai"
url = "{openai}"

[agent]
instructions = "LINE {{{{caller_number}}}} {{{{called_number}}}} END. You are the front desk."
greeting = "Hello, this is the front desk. How can I help you?"
transfer_to = ["friend = {friend}", "busy = {busy}", "away = {away}"]
keypad = true

[agents.grok]
provider = "xai"
url = "{xai}"

[agents.desk]
provider = "loopback"
tools = ["none_*"]

[[route]]
number = "{n_grok}"
agent = "grok"

[[route]]
number = "{n_desk}"
agent = "desk"

[tools.own]
python = "{here}/desk.py"

[tools.crm]
url = "{http}/crm/{{who}}"
method = "POST"
description = "Book in the other system."
parameters = {{who = "string: who"}}
headers = {{X-Call = "{{call.id}}"}}
allow = ["127.0.0.1"]

[tools.near]
mcp = ["{python}", "{here}/mcp_desk.py", "near"]
env = {{EVENING_LEDGER = "{ledger}"}}

[tools.far]
mcp = "http://127.0.0.1:{far}/mcp"
allow = ["127.0.0.1"]

[tools.research]
command = ["{python}", "{here}/delegate.py", "{{task}}"]
description = "Find something out that takes longer."
env = {{EVENING_LEDGER = "{ledger}"}}
deadline_s = 120

[carrier]
account_sid = "AC{zeros}"
rest_url = "{rest}"

[outbound]
from = "{n_default}"
ring_s = 5
at_once = 2
tries = 2
again_busy_s = 4
again_no_answer_s = 4

[server]
public_url = "{public}"
port = {port}
drain_s = 20

[limits]
dials_per_minute = 3000

[hooks.told]
url = "{http}/hook"
secret = "env:EVENING_SECRET"
allow = ["127.0.0.1"]

[record]
dir = "{records}"
audio = true
"""


class House:
    """One folder of settings and records; ``start``, ``kill`` and ``stop`` its server."""

    def __init__(self, folder: Path, town: Town, *, store_url: str) -> None:
        self.folder = folder
        self.town = town
        self.records = folder / "records"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.mark = secrets.token_hex(8)
        self.log = folder / "server.log"
        self.began: list[float] = []
        self._store_url = store_url
        self._far: subprocess.Popen[bytes] | None = None
        self._far_port = free_port()
        self._token = ""

    @property
    def environment(self) -> dict[str, str]:
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("OFFHOOK_", "TWILIO_"))}
        given = {
            "TWILIO_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": FAKE_KEYS["openai"], "XAI_API_KEY": FAKE_KEYS["xai"],
            "EVENING_LEDGER": str(self.town.ledger.path), "EVENING_SECRET": HOOK_SECRET, MARK: self.mark,
        }  # fmt: skip
        return {**plain, **given, **({"OFFHOOK_STORE_URL": self._store_url} if self._store_url else {})}

    def write_settings(self, rest_url: str) -> None:
        text = SETTINGS.format(
            openai=self.town.fakes["openai"].url, xai=self.town.fakes["xai"].url, http=self.town.http, here=HERE,
            python=sys.executable, ledger=self.town.ledger.path, far=self._far_port, zeros="0" * 32, rest=rest_url,
            public=PUBLIC, port=self.port, records=self.records, friend=FRIEND, busy=BUSY, away=AWAY,
            n_default=OUR_NUMBERS["default"], n_grok=OUR_NUMBERS["grok"], n_desk=OUR_NUMBERS["desk"],
        )  # fmt: skip
        (self.folder / "offhook.toml").write_text(text)

    async def start(self) -> None:
        """Start the server, and the MCP server that it reaches by HTTP; returns when it answers."""
        if self._far is None:
            command = [sys.executable, str(HERE / "mcp_desk.py"), "far", str(self._far_port)]
            quiet = subprocess.DEVNULL
            self._far = subprocess.Popen(command, env=self.environment, stdout=quiet, stderr=quiet)  # noqa: ASYNC220
            await _listening(self._far_port, self._far)
        self.began.append(time.time())
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "offhook", "serve"]
            self.process = subprocess.Popen(  # noqa: ASYNC220
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        await _listening(self.port, self.process)
        await self._tools_are_there()
        if not self._token:
            scopes = [part for scope in ("read", "control", "place") for part in ("--scope", scope)]
            self._token = json.loads(await self.command("token", "create", "evening", *scopes, "--json"))["token"]

    async def _tools_are_there(self) -> None:
        """An MCP server that is slow to start is no fault of the evening's: its tools come when it answers."""
        async with asyncio.timeout(40):
            while not any(  # noqa: ASYNC110
                line["what"] == "mcp server" and line["who"] == "near" and line["t"] > self.began[-1]
                for line in self.town.ledger.lines()
            ):
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)

    async def ask(self, method: str, path: str, data: Any = None) -> dict[str, Any]:
        """The API's answer, whatever its status."""

        def send() -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            body = None if data is None else json.dumps(data).encode()
            url = f"http://127.0.0.1:{self.port}/api{path}"
            request = urllib.request.Request(url, body, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return {"status": answer.status, **json.load(answer)}
            except urllib.error.HTTPError as error:
                return {"status": error.code, **json.load(error)}
            except OSError as error:
                return {"status": 0, "detail": str(error)}

        return await asyncio.to_thread(send)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def stop(self) -> int:
        """As an operator stops it. Its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 40)

    def close(self) -> None:
        for process in (self.process, self._far):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    async def ready(self) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
                return dict(json.load(answer))

        return await asyncio.to_thread(ask)

    async def metrics(self) -> dict[str, float]:
        def ask() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())

        rows = [line.rsplit(" ", 1) for line in (await asyncio.to_thread(ask)).splitlines() if line[:1] != "#"]
        return {name: float(value) for name, value in rows}

    def holds(self) -> dict[str, int]:
        """What the server's process holds now."""
        assert self.process is not None
        place = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        return {
            "files": len(list((place / "fd").iterdir())), "threads": int(status["Threads"]),
            "rss_mb": int(status["VmRSS"].split()[0]) // 1024,
        }  # fmt: skip

    async def command(self, *arguments: str, ok: tuple[int, ...] = (0, 1, 3)) -> str:
        """An ``offhook`` command in the house's folder, as its user runs it: what it prints."""
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook", *arguments, cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await made.communicate()
        if made.returncode not in ok:
            raise SystemExit(f"offhook {' '.join(arguments)}: exit code {made.returncode}: {err.decode()[-400:]}")
        return out.decode()

    def left(self) -> list[str]:
        """Processes that this house started and that still run, whoever their parent is now."""
        found = []
        for place in Path("/proc").iterdir():
            if not place.name.isdigit() or int(place.name) == os.getpid():
                continue
            try:
                marked = f"{MARK}={self.mark}".encode() in (place / "environ").read_bytes().split(b"\0")
                if marked and (self._far is None or int(place.name) != self._far.pid):
                    found.append(
                        f"{place.name} {(place / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()[:80]}"
                    )
            except OSError:
                continue
        return found


async def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(40):
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended with exit code {process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            await writer.wait_closed()
            return

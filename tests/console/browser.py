"""What the browser's tests share: Debian's Chromium, a real server with calls on its disk, and a simulated phone."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.store.kit import agent, caller, note, record

from offhook.loopback.lines import AGENT, audio
from offhook.sims.run_carrier import PhoneCall
from offhook.sims.run_webhook import Route

ROOT = Path(__file__).parent.parent.parent
SIZE = {"width": 1360, "height": 900}
TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://demo.offhook.example"
BROKEN, HOSTILE = "CA" + "8" * 32, "CA" + "9" * 32
MARKUP = "<img src=x onerror=\"document.body.dataset.owned='yes'\"><script>document.body.dataset.owned='yes'</script>"


def chromium() -> str:
    """The distribution's Chromium."""
    return program("chromium", "no page was seen", "chromium-browser", "google-chrome")


def program(name: str, unproven: str, *others: str) -> str:
    """A program of the distribution, installed where it may be; skips, and says so, where it cannot be had."""
    places = os.environ.get("PATH", "") + ":/usr/sbin"
    found = next((path for one in (name, *others) if (path := shutil.which(one, path=places))), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["update"], ["install", "-y", "--no-install-recommends", name]):
            subprocess.run(["apt-get", "-qq", *step], capture_output=True, timeout=180)
        found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"NOT PROVEN: no {name} here and none could be installed (apt-get install {name}): {unproven}")
    return found


def write_calls(directory: Path) -> None:
    """A call whose session was refused, and one in which everything that was said tries to be markup."""
    refusal = {
        "type": "error",
        "error": {"code": "unknown_parameter", "message": MARKUP, "param": "session.temperature"},
    }
    record(
        directory, BROKEN,
        note("milestone", 5.0, id="M6", what="stream started"),
        note("milestone", 9.0, id="M8", what="provider open"),
        {"k": "msg", "t": 12.0, "ch": 2, "bytes": 180, "m": refusal},
        note("session.rejected", 13.0, field="session.temperature", code="unknown_parameter", message=MARKUP),
        note("deadline.missed", 900.0, name="first mark", waited_ms=800),
    )  # fmt: skip
    record(
        directory, HOSTILE,
        note("milestone", 5.0, id="M6", what="stream started"),
        caller(MARKUP, "i1", 1000.0), agent(MARKUP, "i2", 2000.0),
        note("tool", 3000.0, id="t1", name=MARKUP, args_ok=True),
        agent=MARKUP,
    )  # fmt: skip


class Server:
    """``offhook serve`` with the loopback provider; ``more`` are environment variables."""

    def __init__(self, folder: Path, public: str = PUBLIC, **more: str) -> None:
        self.public = public
        self.calls = folder / "calls"
        write_calls(self.calls)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))},
            "PYTHONPATH": str(ROOT / "src"), "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_SERVER_PUBLIC_URL": public,
            "OFFHOOK_SERVER_PORT": "0", "OFFHOOK_RECORD_DIR": str(self.calls), "OFFHOOK_RECORD_AUDIO": "true",
            "OFFHOOK_SERVER_DRAIN_S": "0.2", "OFFHOOK_AGENT_GREETING": AGENT["greeting"], "TWILIO_AUTH_TOKEN": TOKEN,
            **more,
        }  # fmt: skip
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "offhook", "serve"],
            stdout=subprocess.PIPE, stderr=self._log, env=environment, cwd=folder, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        shown = ""
        while "  console " not in shown:
            line = self.process.stdout.readline()
            assert line, shown + (folder / "log").read_text()
            shown += line
        found = re.search(r"console +(http://127\.0\.0\.1:(\d+)/console/)#(/login\?code=\S+)", shown)
        assert found is not None, shown
        self.url, self.port, self.link = found[1], int(found[2]), found[1] + "#" + found[3]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


class Caller:
    """
    A simulated phone on a thread of its own: says the given lines, one when the agent is quiet, then stays.

    ``route`` leads to the server's public URL; without one the server is called past whatever stands before it.
    """

    def __init__(self, server: Server, *says: str, stay_s: float = 12.0, route: Route | None = None) -> None:
        self._route = route or Route(connect=("127.0.0.1", server.port))
        self.sid = ""
        self.closed: tuple[int | None, str, str] | None = None
        self.failed: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(server, says, stay_s)), daemon=True)
        self._thread.start()
        assert self._ready.wait(40) and self.failed is None, self.failed

    async def _run(self, server: Server, says: tuple[str, ...], stay_s: float) -> None:
        try:
            async with PhoneCall(server.public + "/twilio/voice", auth_token=TOKEN, route=self._route) as call:
                self.sid = call.call_sid
                self._ready.set()
                for line in says:
                    await _until(lambda: call.phone.unplayed_ms == 0 and len(call.phone.audio()) > 8000)
                    call.say(audio(line))
                    await _until(lambda: not call.speaking)
                await _until(lambda: call.closed is not None, stay_s)
                self.closed = call.closed
        except BaseException as error:
            self.failed = error
            self._ready.set()

    def ended(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive() and self.failed is None, self.failed


async def _until(true: Callable[[], Any], within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not true() and time.monotonic() < end:  # noqa: ASYNC110  # a phone is in real time
        await asyncio.sleep(0.02)


def seen(page: Any, what: str, arg: Any = None, within_s: float = 60.0) -> None:
    """Wait until it is so. Playwright's own way of waiting is an eval, which the pages' policy forbids."""
    end = time.monotonic() + within_s
    while not page.evaluate(what, arg):
        assert time.monotonic() < end, (what, page.locator("main").inner_text())
        page.wait_for_timeout(30)

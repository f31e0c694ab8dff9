"""``offhook demo``: a whole phone call on this machine, spoken, over the real Twilio wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from offhook.cli.screen import colored, fitted
from offhook.loopback.lines import AGENT, CALLER, audio

__all__ = ["run"]

PUBLIC_URL = "https://demo.offhook.example"  # a name that is never looked up: the simulated carrier knows the way
GIVE_UP_S = 60.0
# The caller's part: what must have happened before, then what to do.
SCRIPT: tuple[tuple[str, str, str], ...] = (
    ("agent heard", "say", "caller_hours"),
    ("agent heard", "say", "caller_services"),
    ("agent speaks 1.5 s", "say", "caller_price"),
    ("agent heard", "say", "caller_nonsense"),
    ("agent heard", "press", "2"),
    ("agent heard", "say", "caller_goodbye"),
)


class Screen:
    """The conversation as it happens."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._color = colored()

    def line(self, who: str, text: str, style: str = "") -> None:
        head = f"{time.monotonic() - self._began:6.2f}s  {who:<9} "
        body = fitted(head, text)[len(head) :]
        self.plain(head + (f"\x1b[{style}m{body}\x1b[0m" if style and self._color else body))

    def plain(self, text: str = "") -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def run(out: Path | None = None, *, swap: bool = False, stay: bool = False) -> int:
    """
    Run the demo; ``swap`` exchanges two of the caller's lines, ``stay`` leaves the server up until Ctrl-C.

    The exit code: 0 when the call was healthy.
    """
    screen = Screen()
    screen.plain("offhook demo: a simulated caller speaks over the real Twilio wire into a real `offhook serve`;")
    screen.plain("loopback (no AI, no network) answers. Half a minute, and nothing leaves this machine.\n")
    folder = (out or Path(tempfile.mkdtemp(prefix="offhook-demo-"))).absolute()  # the server runs inside it
    try:
        return asyncio.run(_Demo(screen, folder, swap, stay).run())
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143


class _Demo:
    def __init__(self, screen: Screen, folder: Path, swap: bool, stay: bool) -> None:
        self._screen = screen
        self._stay = stay
        self._folder = folder
        self._swapped = {"caller_hours": "caller_price", "caller_price": "caller_hours"} if swap else {}
        self._token = secrets.token_hex(16)
        self._port: asyncio.Future[int] | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._barged_in = False

    async def run(self) -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(signal.SIGTERM, task.cancel)  # or the server would outlive us
        self._port = loop.create_future()
        self._folder.mkdir(parents=True, exist_ok=True)
        server = self._server = await self._start_server()
        watching = asyncio.gather(self._watch(server), self._read_log(server))
        try:
            async with asyncio.timeout(GIVE_UP_S):
                port = await self._port
                self._screen.line("server", f"answers on port {port}; the webhook is signed, the stream is wss by name")
                console = f"http://127.0.0.1:{port}/console/"
                self._screen.line("console", f"{console} shows this call as it happens")
                await self._call(port)
            if self._stay:
                return await self._stays(server, console)
        except (TimeoutError, _Broken) as error:
            self._screen.line("demo", f"broken: {error or f'not over within {GIVE_UP_S:g} s'}", "31")
            return 1
        finally:
            if server.returncode is None:
                server.terminate()
                await server.wait()
            await watching
        return self._verdict()

    async def _stays(self, server: asyncio.subprocess.Process, console: str) -> int:
        """Show the verdict once the record is whole, and leave the server to whoever looks."""
        while server.returncode is None and not self._judged():  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.1)
        code = self._verdict()
        self._screen.plain(f"look       {console}   Ctrl-C ends the server")
        await server.wait()
        return code

    def _judged(self) -> bool:
        return any(b'"k":"verdict"' in path.read_bytes() for path in self._folder.glob("*.jsonl"))

    async def _start_server(self) -> asyncio.subprocess.Process:
        """A real server process, set up by environment as any other."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))
        }
        environment |= {
            "OFFHOOK_PROVIDER_NAME": "loopback",
            "OFFHOOK_AGENT_GREETING": AGENT["greeting"],
            "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC_URL,
            "OFFHOOK_SERVER_PORT": "0",
            "OFFHOOK_RECORD_DIR": str(self._folder),
            "OFFHOOK_RECORD_AUDIO": "true",
            "OFFHOOK_STORE_URL": "off",
            "OFFHOOK_API_OPEN": "loopback",  # a server of this machine, for half a minute, with one simulated call
            "TWILIO_AUTH_TOKEN": self._token,
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "offhook", "serve", "--live", "json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment, cwd=self._folder,
        )  # fmt: skip

    async def _watch(self, server: asyncio.subprocess.Process) -> None:
        """Show what the server tells of the call."""
        assert server.stdout is not None and self._port is not None
        while line := await server.stdout.readline():
            told: dict[str, Any] = json.loads(line)
            what = told["event"]
            if what == "listening":
                self._port.set_result(told["port"])
            elif what == "caller":
                self._screen.line("heard", f"“{told['text']}”", "36")
            elif what == "agent":
                self._screen.line("agent", told["text"] + (" [cut off]" if self._barged_in else ""), "32")
                self._barged_in = False
            elif what == "reply":
                self._screen.line("", f"first word {told['ms']} ms after the end of speech", "2")
            elif what == "barge-in":
                self._barged_in = True
                self._screen.line("barge-in", f"the caller heard {told['heard_ms']} of {told['of_ms']} ms", "33")
            elif what == "tool":
                self._screen.line("tool", told["text"], "35")
            elif what in ("dial failed", "error", "missed", "ending"):
                self._screen.line(what, told["text"], "2" if what == "ending" else "31")
        if not self._port.done():
            self._port.set_exception(_Broken("the server did not start; its reason stands above"))

    async def _read_log(self, server: asyncio.subprocess.Process) -> None:
        """The server's own log: what it says of an ordinary call stands on the screen already."""
        assert server.stderr is not None
        while line := await server.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            if text.split(" ")[1:2] != ["info"]:
                self._screen.line("log", text, "31")

    async def _call(self, port: int) -> None:
        from offhook.sims.run_carrier import CallFailed, PhoneCall

        try:
            async with PhoneCall(
                f"{PUBLIC_URL}/twilio/voice", auth_token=self._token, connect_to=("127.0.0.1", port)
            ) as call:
                self._screen.line("carrier", f"webhook answered in {call.webhook_ms:.0f} ms: call {call.call_sid}")
                for when, act, what in SCRIPT:
                    await self._until(call, when)
                    self._act(call, act, what)
                await call.ended()
                self._carrier_log = list(call.peer.logged)
                self._violations = [str(violation) for violation in call.violations]
        except CallFailed as error:
            down = "" if _loopback_is_up() else "; the loopback interface is down here: ip link set lo up"
            raise _Broken(f"the carrier reports {error}{down}") from None

    def _act(self, call: Any, act: str, what: str) -> None:
        if act == "press":
            self._screen.line("caller", f"[presses {what}]", "1")
            call.press(what)
            return
        what = self._swapped.get(what, what)
        self._screen.line("caller", f"says “{CALLER[what]}”", "1")
        call.say(audio(what))

    async def _until(self, call: Any, when: str) -> None:
        """Wait for the agent: until it has said all, or until it has spoken for a while."""
        phone = call.phone
        while call.speaking:  # noqa: ASYNC110  # the caller's own pace is real time
            await asyncio.sleep(0.02)
        before = len(phone.audio())
        seconds = float(when.split()[2]) if "speaks" in when else 0.0
        quiet = 0
        while quiet < 10:
            if call.closed is not None:
                raise _Broken("the server closed the stream before the caller was done")
            await asyncio.sleep(0.02)
            spoken = len(phone.audio()) - before
            if seconds and spoken >= seconds * 8000:
                return
            quiet = quiet + 1 if spoken > 0 and phone.unplayed_ms == 0 else 0

    def _verdict(self) -> int:
        from offhook.cli.show import render
        from offhook.diagnosis.report import judge
        from offhook.evidence.files import find

        path = find("last", self._folder)
        report = judge(path)
        self._screen.plain()
        self._screen.plain(render(report, conversation=False))
        for violation in self._violations:
            self._screen.line("carrier", f"would refuse: {violation}", "31")
        self._screen.plain("\nlisten     stereo, caller left, agent right; both are synthetic voices")
        self._screen.plain(f"           {path.with_suffix('.wav')}")
        self._screen.plain(f"read       offhook show {shlex.quote(str(path))}")
        self._screen.plain(f"           offhook trace {shlex.quote(str(path))}")
        healthy = report.verdict == "healthy" and not self._violations and not self._carrier_log
        return 0 if healthy else 1


def _loopback_is_up() -> bool:
    """A new network namespace has its own loopback interface, and it is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("127.0.0.1", 9))
        except OSError:
            return False
    return True


class _Broken(Exception):
    """The demo cannot go on."""

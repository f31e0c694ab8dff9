"""
The world around a server under test: the server's process, a provider, a carrier's REST stub, and raw carrier sockets.

The raw sockets are those of the ``websockets`` library, an implementation that nobody here wrote.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2
import websockets
from tests.ports import free_port
from tests.standing import Elapsed
from websockets.asyncio.client import ClientConnection

from offhook.evidence.files import find, read
from offhook.evidence.record import Recording
from offhook.net.server import Server
from offhook.sims.run_provider import FakeProvider
from offhook.wires._wire import Refusal
from offhook.wires.carriers.twilio import sign

ROOT = Path(__file__).parent.parent.parent
TOKEN = "test-auth-token-0123456789"
PUBLIC = "https://voice.example.com"
KEY = "sk-test-key-000000000000000000"
XAI_KEY = "xai-test-key-00000000000000000"
# For what comes at once on a machine that has nothing else to do, and in time on one that has.
PATIENCE_S = 40.0


class ServerProcess:
    """One server process; started once and used by many tests."""

    def __init__(
        self, folder: Path, *, provider: str = "openai", env: dict[str, str] | None = None, **given: Any
    ) -> None:
        self.folder = folder
        self.provider_name = provider
        self.provider_port = free_port()
        self.rest_port = free_port()
        self.told: list[dict[str, Any]] = []
        self.port = 0
        carrier = {"rest_base": f"http://127.0.0.1:{self.rest_port}/2010-04-01", **given.pop("carrier", {})}
        self._given = {"carrier": carrier, **given}
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))},
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "OFFHOOK_PROVIDER_NAME": provider,
            "OFFHOOK_PROVIDER_URL": f"ws://127.0.0.1:{self.provider_port}/v1/realtime",
            "OPENAI_API_KEY": KEY,
            "XAI_API_KEY": XAI_KEY,
            "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC,
            "OFFHOOK_SERVER_PORT": "0",
            "OFFHOOK_RECORD_DIR": str(folder / "calls"),
            "OFFHOOK_SERVER_DRAIN_S": "0.2",
            "TWILIO_AUTH_TOKEN": TOKEN,
            **(env or {}),
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "stderr").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.server", json.dumps(self._given)],
            stdout=subprocess.PIPE, stderr=self._log, env=self._env, cwd=folder, text=True,
        )  # fmt: skip
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE_S) and self.port, self.stderr()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            self.told.append(told)
            if told["event"] == "listening":
                self.port = told["port"]
                self._ready.set()
        self._ready.set()

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM, then wait."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def record(self, call_sid: str) -> Recording:
        """The record of a call, once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                recording = read(find(call_sid, self.folder / "calls"))
                if recording.end is not None:
                    return recording
            except Exception as error:  # not there yet
                last = error
            else:
                last = AssertionError("no end yet")
            time.sleep(0.05)
        raise AssertionError(f"no finished record of {call_sid}: {last}\n{self.stderr()}")

    def elapsed(self) -> Elapsed:
        """A watch that counts what this machine gives to the server and to us."""
        return Elapsed(self.process.pid)

    def rss_kb(self) -> int:
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4


class RestStub:
    """The carrier's REST interface: notes what is asked, answers what it is told to."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.answer: tuple[int, dict[str, Any]] = (200, {"status": "completed"})
        self.on_completed: Callable[[], Any] | None = None
        self._server = Server(self._app, lambda request: Refusal(404, "", ""), port=port)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        auth = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.asked.append((scope["method"], scope["path"], dict(parse_qsl(body.decode())), auth))
        status, data = self.answer
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": json.dumps(data).encode()})
        if self.on_completed is not None:
            await self.on_completed()

    async def __aenter__(self) -> RestStub:
        await self._server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.stop()


class World:
    """One test's world."""

    def __init__(self, server: ServerProcess, fake: FakeProvider | None, rest: RestStub) -> None:
        self.server = server
        self.fake = fake
        self.rest = rest
        self.http = httpx2.AsyncClient(timeout=PATIENCE_S, follow_redirects=False)
        self.streams: list[Stream] = []

    async def leave(self) -> None:
        """Close what a test left open, whether it failed or not."""
        await self.http.aclose()
        for stream in self.streams:
            stream.abort()
            await asyncio.gather(stream._reader, stream.ws.wait_closed(), return_exceptions=True)

    @property
    def session(self) -> Any:
        """The provider's side of the last session."""
        assert self.fake is not None
        return self.fake.sessions[-1].peer

    def form(self, call_sid: str, **more: str) -> dict[str, str]:
        return {
            "CallSid": call_sid, "AccountSid": "AC" + "0" * 32, "From": "+15550100001", "To": "+15550100002",
            "CallStatus": "ringing", "Direction": "inbound", "ApiVersion": "2010-04-01", **more,
        }  # fmt: skip

    async def webhook(
        self,
        call_sid: str,
        path: str = "/twilio/voice",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        signature: str | None = "",
        **more: str,
    ) -> httpx2.Response:
        """Ask as the carrier asks; ``signature`` None leaves it out, "" makes the right one."""
        form = self.form(call_sid, **more)
        url = PUBLIC + path + ("?" + urlencode(form) if method == "GET" else "")
        given = {"Host": "voice.example.com", "Content-Type": "application/x-www-form-urlencoded"}
        if signature == "":
            given["X-Twilio-Signature"] = sign(TOKEN, url, list(form.items()) if method == "POST" else [])
        elif signature is not None:
            given["X-Twilio-Signature"] = signature
        target = f"http://127.0.0.1:{self.server.port}" + url.removeprefix(PUBLIC)
        body = urlencode(form) if method == "POST" else None
        return await self.http.request(method, target, content=body, headers={**given, **(headers or {})})

    async def stream(
        self, call_sid: str, *, start: dict[str, Any] | None = None, parameters: dict[str, str] | None = None,
        begin: bool = True,
    ) -> Stream:  # fmt: skip
        """Webhook, then the stream it names, up to ``start``."""
        answer = await self.webhook(call_sid)
        assert answer.status_code == 200, answer.text
        given = twiml_parameters(answer.content)
        stream = await self.connect()
        stream.sid = "MZ" + call_sid[2:]
        stream.call_sid = call_sid
        stream.parameters = {**given, **(parameters or {})}
        if begin:
            await stream.begin(start)
        return stream

    async def connect(self, path: str = "/twilio/media", *, signature: str | None = "", **options: Any) -> Stream:
        headers = dict(options.pop("headers", {}))
        if signature == "":
            headers["X-Twilio-Signature"] = sign(TOKEN, "wss://voice.example.com" + path)
        elif signature is not None:
            headers["X-Twilio-Signature"] = signature
        ws = await websockets.connect(
            f"ws://127.0.0.1:{self.server.port}{path}", additional_headers=headers, compression=None,
            user_agent_header="Twilio.TmeWs/1.0", proxy=None, **options,
        )  # fmt: skip
        self.streams.append(Stream(ws))
        return self.streams[-1]


class Stream:
    """A raw media stream, carrier's side."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.sid = ""
        self.call_sid = ""
        self.parameters: dict[str, str] = {}
        self.got: list[Any] = []  # everything the server sent: parsed, or bytes
        self.raw: list[str | bytes] = []
        self.times: list[float] = []
        self.sequence = 0
        self.chunk = 0
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self.ws:
                self.raw.append(message)
                self.times.append(time.monotonic())
                self.got.append(json.loads(message) if isinstance(message, str) else message)
        except websockets.ConnectionClosed:
            pass  # the tests look at close_code

    async def send(self, message: Any) -> None:
        await self.ws.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def begin(self, start: dict[str, Any] | None = None) -> None:
        await self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.sequence = 1
        body = {
            "accountSid": "AC" + "0" * 32, "streamSid": self.sid, "callSid": self.call_sid, "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }  # fmt: skip
        message = {"event": "start", "sequenceNumber": "1", "streamSid": self.sid, "start": body}
        await self.send({**message, **(start or {})})

    def media(self, audio: bytes, **more: Any) -> dict[str, Any]:
        self.sequence += 1
        self.chunk += 1
        media = {
            "track": "inbound", "chunk": str(self.chunk), "timestamp": str(155 + self.chunk * 20),
            "payload": base64.b64encode(audio).decode(), **more,
        }  # fmt: skip
        return {"event": "media", "sequenceNumber": str(self.sequence), "media": media, "streamSid": self.sid}

    async def speak(self, audio: bytes, frame: int = 160) -> None:
        """Send audio as fast as the socket takes it."""
        for at in range(0, len(audio), frame):
            await self.send(self.media(audio[at : at + frame]))

    async def message(self, event: str, **body: Any) -> None:
        self.sequence += 1
        await self.send({"event": event, "sequenceNumber": str(self.sequence), "streamSid": self.sid, **body})

    async def stop(self) -> None:
        await self.message("stop", stop={"accountSid": "AC" + "0" * 32, "callSid": self.call_sid})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.got if isinstance(message, dict) and message.get("event") == event]

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(message["media"]["payload"]) for message in self.of("media"))

    async def until(self, ready: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
        await until(ready, seconds)

    async def closed(self, seconds: float = PATIENCE_S) -> int | None:
        """The code the server closed with."""
        await asyncio.wait_for(self.ws.wait_closed(), seconds)
        await asyncio.wait_for(self._reader, PATIENCE_S)
        return self.ws.close_code

    async def close(self, code: int = 1000) -> None:
        await self.ws.close(code)
        await asyncio.wait_for(self._reader, PATIENCE_S)

    def abort(self) -> None:
        """TCP is gone without a word."""
        self.ws.transport.abort()


async def until(ready: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait for the other process; the only waiting there is in these tests."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.005)


def twiml_parameters(document: bytes) -> dict[str, str]:
    stream = ET.fromstring(document).find("./Connect/Stream")
    assert stream is not None
    return {parameter.get("name", ""): parameter.get("value", "") for parameter in stream.findall("Parameter")}


@asynccontextmanager
async def world(server: ServerProcess, *, fake: bool = True, **knobs: Any) -> AsyncIterator[World]:
    """A provider (with ``knobs``) and a REST stub around a running server process."""
    async with RestStub(server.rest_port) as rest:
        if not fake:
            made = World(server, None, rest)
            try:
                yield made
            finally:
                await made.leave()
            return
        keys = frozenset({KEY, XAI_KEY})
        async with FakeProvider(server.provider_name, port=server.provider_port, keys=keys, **knobs) as provider:
            made = World(server, provider, rest)
            try:
                yield made
            finally:
                await made.leave()


def sid() -> str:
    import secrets

    return "CA" + secrets.token_hex(16)

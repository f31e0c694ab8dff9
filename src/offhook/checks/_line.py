"""
A media stream as a check opens it: dialled as the carrier dials, spoken by the simulated carrier, every message kept.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from offhook.checks._check import Ask
from offhook.checks._server import carrier
from offhook.net.client import dial
from offhook.net.sockets import Limits, Socket
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import SIGNATURE_HEADER, sign

__all__ = ["Line"]


class Line:
    """One stream. ``open`` dials and starts it; ``ms`` are its phases, by name."""

    def __init__(self, ask: Ask, call_sid: str, parameters: dict[str, str]) -> None:
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.peer = Peer(self.stream_sid, call_sid, "AC" + "0" * 32)
        self.ms: dict[str, float] = {}
        self.came: list[tuple[float, dict[str, Any]]] = []
        self.closed_with: tuple[int | None, str, str] | None = None
        self._ask = ask
        self._parameters = parameters
        self._socket: Socket | None = None
        self._news = asyncio.Event()

    # the socket's callbacks

    def opened(self, socket: Socket) -> None:
        self._socket = socket

    def text(self, data: bytes) -> None:
        self.peer.receive(data, time.monotonic())
        try:
            message = msgspec.json.decode(data)
        except msgspec.DecodeError:
            message = {"event": "not JSON"}
        self.came.append((time.monotonic(), message if isinstance(message, dict) else {"event": "not an object"}))
        self._news.set()

    def binary(self, data: bytes) -> None:
        self.peer.receive(data, time.monotonic(), binary=True)

    def closed(self, code: int | None, reason: str, by: Literal["us", "them", "nobody"]) -> None:
        self.closed_with = (code, reason, by)
        self._news.set()

    def paused(self, n_bytes: int) -> None:
        """A check sends less than any buffer holds."""

    def resumed(self) -> None:
        """See ``paused``."""

    # what a check does with it

    async def open(self, *, connect_to: tuple[str, int] | None = None) -> None:
        """Dial the public stream URL (``connect_to``: past the proxy) as the carrier does. Raises DialError."""
        settings = carrier(self._ask)
        url = settings.stream_url
        headers = [("User-Agent", "Twilio.TmeWs/1.0")]
        if settings.auth == "signature" and settings.auth_token:
            headers.append((SIGNATURE_HEADER.value, sign(settings.auth_token, url)))
        if connect_to is not None:
            parts = urlsplit(url)
            headers.append(("Host", parts.netloc))
            url = parts._replace(scheme="ws").geturl()
        request = ConnectRequest(url=url, headers=tuple(headers))
        limits = Limits(max_message_bytes=1024 * 1024)
        await dial(request, self, connect_to=connect_to, limits=limits, on_phase=self.ms.__setitem__)

    def start(self) -> None:
        self.send(self.peer.connected())
        self.send(self.peer.start(self._parameters))

    def send(self, message: bytes) -> None:
        if self._socket is not None and self.closed_with is None:
            self._socket.send(message)

    async def speak(self, audio: bytes, *, at_ms: int = 155) -> None:
        """Frames of 20 ms in real time."""
        began = time.monotonic()
        for n in range(len(audio) // 160):
            self.send(self.peer.media(audio[n * 160 : n * 160 + 160], at_ms + n * 20))
            await asyncio.sleep(max(0.0, began + (n + 1) * 0.02 - time.monotonic()))

    async def until(self, wanted: Any, seconds: float) -> bool:
        """Wait until ``wanted(self)`` is true; whether it came about."""
        try:
            async with asyncio.timeout(seconds):
                while not wanted(self):
                    if self.closed_with is not None:
                        return False
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def audio(self) -> bytes:
        """All audio that came back."""
        found = [message.get("media") for _, message in self.came if message.get("event") == "media"]
        return b"".join(base64.b64decode(part["payload"]) for part in found if isinstance(part, dict))

    async def hang_up(self) -> None:
        """Stop, then the close; waits for the server's."""
        self.send(self.peer.stop())
        await self.until(lambda line: line.closed_with is not None, 3.0)
        self.drop()

    def drop(self) -> None:
        if self._socket is not None and self.closed_with is None:
            self._socket.close(1000, "")

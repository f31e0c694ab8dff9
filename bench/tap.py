"""
What ``offhook tap`` adds: the same messages to the same echo server, directly and through the tap, in turns.

    python bench/tap.py [calls] [seconds]

Server, tap and client are three processes. Each call sends a media message of Twilio's size every 20 ms and gets it
back; the directions alternate message by message, so whatever else the machine does hurts both alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FRAME_S = 0.02
HEAD = (
    b"GET /media HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
)


def masked(payload: bytes) -> bytes:
    """A text frame as a client sends it; the mask is zero, which costs the reader what any mask costs."""
    return b"\x81" + bytes((0x80 | 126, len(payload) >> 8, len(payload) & 255)) + b"\0\0\0\0" + payload


def unmasked(payload: bytes) -> bytes:
    return b"\x81" + bytes((126, len(payload) >> 8, len(payload) & 255)) + payload


class Echo(asyncio.Protocol):
    """Answers the upgrade, then sends every frame back without its mask."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer, self.open = transport, b"", False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            head, blank, rest = self.buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            self.open, self.buffer = True, rest
            self.transport.write(ANSWER)  # type: ignore[attr-defined]
        while len(self.buffer) > 8:
            size = int.from_bytes(self.buffer[2:4], "big")
            if len(self.buffer) < 8 + size:
                return
            self.transport.write(unmasked(self.buffer[8 : 8 + size]))  # type: ignore[attr-defined]
            self.buffer = self.buffer[8 + size :]


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Line(asyncio.Protocol):
    """One connection of the client: sends, and notes how long the way there and back took."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.took: list[float] = []
        self.sent = 0.0
        self.wanted = 0
        self.got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(HEAD)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
            return
        self.got += len(data)
        if self.got >= self.wanted:
            self.took.append(time.perf_counter() - self.sent)

    def send(self, payload: bytes) -> None:
        self.wanted, self.got = len(payload) + 4, 0
        self.sent = time.perf_counter()
        self.transport.write(masked(payload))  # type: ignore[attr-defined]


async def drive(direct: int, tapped: int, calls: int, seconds: float) -> dict[str, list[float]]:
    loop = asyncio.get_running_loop()
    pairs = []
    for n in range(calls):
        lines = []
        for port in (direct, tapped):
            _, line = await loop.create_connection(Line, "127.0.0.1", port)
            await asyncio.wait_for(line.ready, 5)
            lines.append(line)
        sid = f"MZ{n:032x}"
        start = {"event": "start", "streamSid": sid, "start": {"callSid": f"CA{n:032x}", "streamSid": sid}}
        lines[1].send(json.dumps(start).encode().ljust(200))
        pairs.append((sid, lines))
    await asyncio.sleep(0.3)
    for _, lines in pairs:
        lines[1].took.clear()

    async def one(sid: str, lines: list[Line]) -> None:
        await asyncio.sleep(random.random() * FRAME_S)
        for n in range(int(seconds / FRAME_S)):
            payload = "".join(random.choices("ABCDEFGHabcdefgh0123", k=216))
            body = {"track": "inbound", "chunk": str(n), "timestamp": str(n * 20), "payload": payload}
            media = {"event": "media", "sequenceNumber": str(n), "streamSid": sid, "media": body}
            lines[n % 2].send(json.dumps(media).encode())
            await asyncio.sleep(FRAME_S)

    await asyncio.gather(*(one(*pair) for pair in pairs))
    return {
        "direct": [took for _, lines in pairs for took in lines[0].took],
        "tapped": [took for _, lines in pairs for took in lines[1].took],
    }


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] * 1e6


def main(calls: int, seconds: float) -> None:
    echo = subprocess.Popen([sys.executable, __file__, "echo"], stdout=subprocess.PIPE, text=True)
    assert echo.stdout is not None
    direct = int(echo.stdout.readline())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "offhook", "tap", "--carrier", f"0=http://127.0.0.1:{direct}", "--json"]
        tap = subprocess.Popen([*command, "--record", folder], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert tap.stdout is not None
        port = json.loads(tap.stdout.readline())["taps"][0]["port"]
        try:
            found = asyncio.run(drive(direct, port, calls, seconds))
        finally:
            tap.terminate()
            tap.communicate()
            echo.terminate()
            echo.communicate()
        records = len(list(Path(folder).glob("*.jsonl")))
    print(
        f"{calls} calls, {seconds:g} s, {len(found['direct'])} + {len(found['tapped'])} round trips, {records} records"
    )
    print("round trip      direct     tapped     ratio      added")
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        one, two = quantile(found["direct"], q), quantile(found["tapped"], q)
        print(f"  {name}      {one:7.0f} us {two:7.0f} us   {two / one:5.2f}   {two - one:7.0f} us (there and back)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["echo"]:
        asyncio.run(serve())
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, float(sys.argv[2]) if len(sys.argv) > 2 else 10.0)

"""A REST stub that answers as the carrier's and the provider's do, and refuses other credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

SID = "AC" + "1" * 32
TOKEN = "rest-token-0123456789abcdef"
Answer = Callable[[str, str, bytes], tuple[int, Any]]


@asynccontextmanager
async def stub(answer: Answer, *, ahead_s: float = 0.0):
    """An HTTP server of one answer a connection; refuses other credentials, as the carrier does."""
    wanted = "basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode().lower()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        signed = fields.get("authorization", "")
        refused = signed.startswith("basic") and signed != wanted
        status, data = (401, {"code": 20003}) if refused else answer(method, path, body)
        text = json.dumps(data).encode()
        date = formatdate(time.time() - ahead_s, usegmt=True)
        writer.write(
            f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(text)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(one, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

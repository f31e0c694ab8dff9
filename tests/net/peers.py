"""Peers that a dial meets: they answer, refuse, stall or hang up."""

import asyncio
import ssl
import traceback

import pytest
from tests.net.kit import Ear, Raw
from websockets.utils import accept_key

from offhook.net.client import DialError, dial
from offhook.wires._wire import ConnectRequest

KEY = "sk-proj-abcdefghijklmnop0123456789"
BEARER = ("Authorization", f"Bearer {KEY}")


async def failure(request: ConnectRequest, **options) -> DialError:
    """The error of a dial that must fail; nothing may have been told to the listener."""
    ear = Ear()
    with pytest.raises(DialError) as caught:
        await dial(request, ear, **{"timeout_s": 3, **options})
    assert ear.socket is None and ear.ends == []
    error = caught.value
    shown = f"{error} {error!r} {error.args} {error.body} {''.join(traceback.format_exception(error))}"
    assert KEY not in shown and KEY[8:] not in shown
    return error


class Peer:
    """A TCP server that does one thing with each connection; ``async with Peer(do) as peer: peer.url``."""

    def __init__(self, do, tls: ssl.SSLContext | None = None) -> None:
        self._do = do
        self._tls = tls
        self.heads: list[bytes] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'wss' if self._tls else 'ws'}://localhost:{self.port}/v1?model=m"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader, writer) -> None:
        self._open.add(writer)
        try:
            await self._do(Raw(reader, writer), self)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client gave up, as many of these tests want it to
        finally:
            self._open.discard(writer)
            writer.close()


def answering(*parts: bytes, pause_s: float = 0.0, stay: bool = True):
    """Read one request head, then send ``parts`` with a pause between."""

    async def do(raw: Raw, peer: Peer) -> None:
        peer.heads.append(await raw.head())
        for part in parts:
            raw.send(part)
            await raw.writer.drain()
            await asyncio.sleep(pause_s)
        if stay:
            await raw.reader.read()

    return do


async def mute(raw: Raw, peer: Peer) -> None:
    await raw.reader.read()


async def hang_up(raw: Raw, peer: Peer) -> None:
    await raw.head()


def head(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields]).encode() + b"\r\n\r\n"


async def answer_upgrade(raw: Raw) -> bytes:
    head = await raw.head()
    key = next(line.split(": ")[1] for line in head.decode().split("\r\n") if line.startswith("Sec-WebSocket-Key"))
    raw.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )
    return head

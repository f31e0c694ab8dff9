"""
What the network tests share: loops that must end clean, a listener that writes down what it hears, raw frames.
"""

import asyncio
import base64
import gc
import os
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiofastnet
import uvloop

from offhook.net.server import Server, UpgradeRequest
from offhook.net.sockets import Limits, Socket
from offhook.wires._wire import ConnectRequest, Refusal

LOOPS = ("asyncio", "fast")  # "fast" is what ``serve`` runs on
KEY = base64.b64encode(bytes(range(16))).decode()
SMALL = Limits(max_message_bytes=1024 * 1024, close_grace_s=0.15)


def fast_loop() -> asyncio.AbstractEventLoop:
    return aiofastnet.patch_loop(uvloop.new_event_loop())


def run(main: Callable[[], Coroutine[Any, Any, None]], loop: str = "asyncio") -> None:
    """Run ``main`` to its end, then demand that no task is left and no error went unnoticed."""
    complaints: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] != "SSL handshake failed":  # of a server whose client refused it, as it should
            complaints.append(context)

    async def checked() -> None:
        asyncio.get_running_loop().set_exception_handler(note)
        async with asyncio.timeout(40):
            await main()
        for _ in range(20):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                break
            await asyncio.sleep(0.01)
        assert not left, f"tasks left: {left}"
        gc.collect(1)  # a future whose error nobody took complains when it goes

    with asyncio.Runner(loop_factory=fast_loop if loop == "fast" else asyncio.new_event_loop) as runner:
        runner.run(checked())
    assert not complaints, complaints


class Ear:
    """A listener that writes down everything, and can be waited for."""

    def __init__(self, *, echo: bool = False) -> None:
        self.socket: Socket | None = None
        self.texts: list[bytes] = []
        self.binaries: list[bytes] = []
        self.ends: list[tuple[int | None, str, str]] = []
        self.pauses: list[int] = []
        self.resumes = 0
        self._echo = echo
        self._news = asyncio.Condition()
        self._happened = asyncio.Event()

    def opened(self, socket: Socket) -> None:
        self.socket = socket
        self._happened.set()

    def text(self, data: bytes) -> None:
        self.texts.append(data)
        self._happened.set()
        if self._echo:
            assert self.socket is not None
            self.socket.send(data)

    def binary(self, data: bytes) -> None:
        self.binaries.append(data)
        self._happened.set()

    def closed(self, code: int | None, reason: str, by: str) -> None:
        self.ends.append((code, reason, by))
        self._happened.set()

    def paused(self, n_bytes: int) -> None:
        self.pauses.append(n_bytes)
        self._happened.set()

    def resumed(self) -> None:
        self.resumes += 1
        self._happened.set()

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait until ``what()`` is true; it is looked at after each thing that happens here."""
        async with asyncio.timeout(40):
            while not what():
                self._happened.clear()
                await self._happened.wait()

    async def open(self) -> Socket:
        await self.until(lambda: self.socket is not None)
        assert self.socket is not None
        return self.socket

    async def end(self) -> tuple[int | None, str, str]:
        await self.until(lambda: self.ends)
        assert len(self.ends) == 1, "an end is told once"
        return self.ends[0]


async def hello(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
    """An application: says the method, the path and the length of the body."""
    if scope["path"] == "/broken":
        raise RuntimeError("the application is broken")
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    text = f"{scope['method']} {scope['path']} {size}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


class Serving:
    """A running server and what its upgrades came to."""

    def __init__(self, server: Server, ears: list[Ear], requests: list[UpgradeRequest]) -> None:
        self.server = server
        self.ears = ears
        self.requests = requests
        self.raws: list[Raw] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}/media"

    async def raw(self) -> "Raw":
        self.raws.append(Raw(*await asyncio.open_connection("127.0.0.1", self.server.port)))
        return self.raws[-1]

    async def raw_socket(self, path: str = "/media", **headers: str) -> "Raw":
        """A connection on which a raw upgrade has succeeded."""
        raw = await self.raw()
        raw.send(upgrade_head(path, **headers))
        head = await raw.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return raw


@asynccontextmanager
async def serving(
    *,
    echo: bool = False,
    decide: Callable[[UpgradeRequest], Refusal | Ear] | None = None,
    app: Any = hello,
    **options: Any,
) -> AsyncIterator[Serving]:
    ears: list[Ear] = []
    requests: list[UpgradeRequest] = []

    def upgrade(request: UpgradeRequest) -> Refusal | Ear:
        requests.append(request)
        if decide is not None:
            return decide(request)
        ears.append(Ear(echo=echo))
        return ears[-1]

    server = Server(app, upgrade, **{"limits": SMALL, **options})
    await server.start()
    it = Serving(server, ears, requests)
    try:
        yield it
    finally:
        await server.stop()
        for raw in it.raws:
            raw.writer.transport.abort()


class Raw:
    """One end of a TCP connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(40):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of one HTTP answer."""
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return int(head.split(b" ")[1]), head, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the peer closes."""
        async with asyncio.timeout(40):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of one unmasked frame."""
        async with asyncio.timeout(40):
            first, second = await self.reader.readexactly(2)
            assert second < 128, "a server's frames are not masked"
            size = second
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first & 15, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """The code of the close frame that must be next but for pings and pongs."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")
            assert opcode in (9, 10), f"wanted a close frame, got opcode {opcode}: {payload!r}"

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Drop the connection as a crashed machine's kernel does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: RST instead of FIN
        self.writer.transport.abort()


def upgrade_head(path: str = "/media", **headers: str) -> bytes:
    """An upgrade request; ``None`` as a value leaves a header out, underscores stand for hyphens."""
    fields: dict[str, str | None] = {
        "Host": "example.test",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """A WebSocket frame (RFC 6455, 5.2), right or wrong."""
    n = len(payload)
    flag = 128 if mask else 0
    head = bytes([(128 if fin else 0) | rsv << 4 | opcode])
    if n < 126:
        head += bytes([flag | n])
    elif n < 65536:
        head += bytes([flag | 126]) + n.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + n.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    full = (key * (n // 4 + 1))[:n]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(full, "big")).to_bytes(n, "big")


def asking(url: str, *headers: tuple[str, str], subprotocols: tuple[str, ...] = ()) -> ConnectRequest:
    return ConnectRequest(url=url, headers=headers, subprotocols=subprotocols)


class Certificates:
    """A certificate for ``localhost``, 127.0.0.1 and ``more`` names that signs itself, and who trusts it."""

    def __init__(self, folder: Any, *more: str) -> None:
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "offhook test")])
        now = datetime.datetime.now(datetime.UTC)
        names = [*map(x509.DNSName, ("localhost", *more)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.cert = str(folder / "cert.pem")
        self.key = str(folder / "key.pem")
        (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.cert)

    def serving(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

"""Dialling: every phase ends well or by name, and no error shows a key."""

import asyncio
import os
import socket
import ssl
import traceback

import pytest
import websockets
from tests.net.kit import Ear, Raw, asking, run, serving
from tests.net.test_sockets import answer_upgrade

from offhook.net.client import DialError, default_tls, dial
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


# ------------------------------------------------------------------------------------------- it connects


def test_an_independent_server_gets_headers_path_and_messages_and_phases_are_told(loop):
    async def main():
        async def echo(peer):
            seen.append(peer.request)
            async for message in peer:
                await peer.send(message)

        seen, phases = [], []
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ear = Ear()
            request = asking(f"ws://localhost:{port}/v1/realtime?model=a%20b", BEARER, ("X-Two", "1"), ("X-Two", "2"))
            made = await dial(request, ear, on_phase=lambda name, ms: phases.append((name, ms)))
            assert ear.socket is made
            made.send(b"hello")
            await ear.until(lambda: ear.texts)
            assert ear.texts == [b"hello"]
            made.close(1000, "done")
            assert await ear.end() == (1000, "done", "us")
        assert seen[0].path == "/v1/realtime?model=a%20b"
        assert seen[0].headers["Authorization"] == f"Bearer {KEY}"
        assert seen[0].headers["Host"] == f"localhost:{port}"
        assert seen[0].headers.get_all("X-Two") == ["1", "2"]
        assert "Sec-WebSocket-Extensions" not in seen[0].headers and "Origin" not in seen[0].headers
        assert [name for name, _ in phases] == ["dns", "tcp", "upgrade"]
        assert all(0 <= ms < 5000 for _, ms in phases)

    run(main, loop)


def test_tls_is_a_phase_of_its_own_and_frames_behind_the_answer_are_heard(certificates, loop):
    async def greet(raw: Raw, peer: Peer) -> None:
        head = await answer_upgrade(raw)
        raw.send(b"\x81\x05hello" + b"\x81\x7f" + (70_000).to_bytes(8, "big") + b"x" * 70_000)
        peer.heads.append(head)
        await raw.reader.read()

    async def main():
        phases = []
        async with Peer(greet, certificates.serving()) as peer:
            ear = Ear()
            made = await dial(
                asking(peer.url), ear, tls=certificates.trusting(), on_phase=lambda name, _: phases.append(name)
            )
            await ear.until(lambda: len(ear.texts) == 2)
            assert ear.texts == [b"hello", b"x" * 70_000]
            assert phases == ["dns", "tcp", "tls", "upgrade"]
            made.abort(None, "")
            await ear.end()

    run(main, loop)


def test_a_subprotocol_is_offered_and_may_be_chosen_or_not():
    async def main():
        async def hold(peer):
            await peer.wait_closed()

        for offered, known, chosen in ((("a", "b"), ["b"], "b"), (("a",), None, None)):
            async with websockets.serve(hold, "127.0.0.1", 0, subprotocols=known) as server:
                port = server.sockets[0].getsockname()[1]
                ear = Ear()
                made = await dial(asking(f"ws://127.0.0.1:{port}/", subprotocols=offered), ear)
                (peer,) = server.connections
                assert peer.subprotocol == chosen
                made.close()
                await ear.end()

    run(main)


def test_a_host_header_that_is_given_replaces_ours_and_connect_to_the_address():
    async def main():
        async with serving() as it:
            ear = Ear()
            request = asking("ws://public.example.test/media", ("Host", "other.example.test"))
            made = await dial(request, ear, connect_to=("127.0.0.1", it.server.port))
            hosts = [value for name, value in it.requests[0].headers if name.lower() == "host"]
            assert hosts == ["other.example.test"]
            made.close()
            await ear.end()

    run(main)


# ------------------------------------------------------------------------------------------ dns and tcp


def test_a_name_that_does_not_exist_fails_in_dns(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main():
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        error = await failure(asking("wss://api.example.test/", BEARER))
        assert (error.phase, error.retryable) == ("dns", True)
        assert str(error) == "dns: api.example.test: Name or service not known"

    run(main)


def test_a_name_that_is_none_fails_in_dns():
    async def main():
        error = await failure(asking(f"ws://{'a' * 70}.test/"))
        assert error.phase == "dns"

    run(main)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_a_port_that_nobody_listens_on_fails_in_tcp(loop):
    async def main():
        port = free_port()
        error = await failure(asking(f"ws://localhost:{port}/", BEARER))
        assert (error.phase, error.retryable) == ("tcp", True)
        assert str(error) == f"tcp: localhost:{port}: Connection refused"

    run(main, loop)


def addresses(*targets):
    """A getaddrinfo that finds ``targets``."""

    def found(*args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in targets]

    return found


def test_the_second_address_is_taken_when_the_first_refuses(monkeypatch):
    async def main():
        async with serving() as it:
            found = addresses(("127.0.0.1", free_port()), ("127.0.0.1", it.server.port))
            monkeypatch.setattr(socket, "getaddrinfo", found)
            ear = Ear()
            made = await dial(asking("ws://two.example.test/"), ear)
            made.close()
            await ear.end()

    run(main)


def test_an_address_that_swallows_everything_delays_by_a_quarter_second_only(monkeypatch):
    async def main():
        with socket.socket() as hole:
            hole.bind(("127.0.0.1", 0))
            hole.listen(0)
            fillers = [socket.socket() for _ in range(4)]  # a full backlog answers no SYN
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(hole.getsockname())
            async with serving() as it:
                found = addresses(hole.getsockname(), ("127.0.0.1", it.server.port))
                monkeypatch.setattr(socket, "getaddrinfo", found)
                clock = asyncio.get_running_loop().time
                began = clock()
                ear = Ear()
                made = await dial(asking("ws://two.example.test/"), ear)
                assert 0.2 < clock() - began < 1
                made.close()
                await ear.end()
                monkeypatch.setattr(socket, "getaddrinfo", addresses(hole.getsockname()))
                error = await failure(asking("ws://one.example.test/"), timeout_s=0.1)
                assert str(error) == "tcp: no answer within 0.1 s"
            for filler in fillers:
                filler.close()

    run(main)  # uvloop resolves in C, where no test can name the addresses


# -------------------------------------------------------------------------------------------------- tls


def test_a_certificate_that_nobody_signed_is_refused_in_tls(certificates, loop):
    async def main():
        async with Peer(mute, certificates.serving()) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert (error.phase, error.retryable) == ("tls", False)
            assert str(error) == "tls: localhost: certificate refused: self-signed certificate"

    run(main, loop)


def test_a_certificate_for_another_name_is_refused_in_tls(certificates, loop):
    async def main():
        async with Peer(mute, certificates.serving()) as peer:
            request = asking("wss://another.example.test/", BEARER)
            error = await failure(request, tls=certificates.trusting(), connect_to=("127.0.0.1", peer.port))
            assert error.phase == "tls"
            assert "mismatch" in str(error).lower()

    run(main, loop)


def test_a_peer_that_stalls_in_tls_is_given_up_by_name(loop):
    async def main():
        async with Peer(mute) as peer:
            error = await failure(asking(peer.url.replace("ws:", "wss:"), BEARER), timeout_s=0.15)
            assert (str(error), error.retryable) == ("tls: no answer within 0.15 s", True)

    run(main, loop)


def test_trust_is_loaded_once():
    assert default_tls() is default_tls()
    assert default_tls().verify_mode is ssl.CERT_REQUIRED and default_tls().check_hostname


# ---------------------------------------------------------------------------------------------- upgrade


def test_a_mute_server_is_given_up_in_the_upgrade(loop):
    async def main():
        async with Peer(mute) as peer:
            error = await failure(asking(peer.url, BEARER), timeout_s=0.15)
            assert (str(error), error.retryable) == ("upgrade: no answer within 0.15 s", True)

    run(main, loop)


@pytest.mark.parametrize("secure", [False, True])
def test_a_peer_that_closes_before_its_answer_is_a_failure_and_no_silence(secure, certificates, loop):
    async def main():
        async with Peer(hang_up, certificates.serving() if secure else None) as peer:
            error = await failure(asking(peer.url, BEARER), tls=certificates.trusting())
            assert (error.phase, error.status) == ("upgrade", None)
            assert "closed the connection without an answer" in str(error)
            assert ("wss://" in str(error)) is not secure

    run(main, loop)


BODY = b'{"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: ' + KEY.encode() + b'."}}'


def head(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields]).encode() + b"\r\n\r\n"


@pytest.mark.parametrize("way", ["one piece", "two pieces", "chunked", "until close", "never ends"])
def test_a_refusals_reason_is_read_however_it_comes_without_the_key(way):
    sized = head("401 Unauthorized", f"Content-Length: {len(BODY)}")
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (30, BODY[:30], len(BODY) - 30, BODY[30:])
    do = {
        "one piece": answering(sized + BODY),
        "two pieces": answering(sized, BODY[:20], BODY[20:], pause_s=0.02),
        "chunked": answering(head("401 Unauthorized", "Transfer-Encoding: chunked"), chunks, pause_s=0.02),
        "until close": answering(head("401 Unauthorized"), BODY, pause_s=0.02, stay=False),
        "never ends": answering(head("401 Unauthorized", "Content-Length: 99999"), BODY),
    }[way]

    async def main():
        async with Peer(do) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert (error.phase, error.status, error.retryable) == ("upgrade", 401, False)
            assert error.body == '{"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: ***."}}'
            assert str(error) == f"upgrade: localhost answered 401 instead of 101: {error.body}"

    run(main)


def test_a_body_is_shown_in_its_first_200_characters():
    async def main():
        async with Peer(answering(head("500 Oops") + b"ab\n" * 10_000)) as peer:
            error = await failure(asking(peer.url))
            assert len(error.body) == 200 and len(str(error)) < 260

    run(main)


@pytest.mark.parametrize(("status", "again"), [(400, False), (403, False), (404, False), (429, True), (503, True)])
def test_whether_to_try_again_is_told_by_the_status(status, again):
    async def main():
        async with Peer(answering(head(f"{status} X", "Content-Length: 0"))) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert (error.status, error.retryable) == (status, again)

    run(main)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(status):
    async def main():
        async with Peer(mute) as elsewhere:
            elsewhere_asked = []
            elsewhere._do = answering(b"")
            there = head(f"{status} Moved", f"Location: {elsewhere.url}", "Content-Length: 0")
            async with Peer(answering(there)) as peer:
                error = await failure(asking(peer.url, BEARER))
                assert error.status == status
                assert "redirects" in str(error) and "not followed" in str(error)
                assert elsewhere.heads == elsewhere_asked
                assert len(peer.heads) == 1

    run(main)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"),
        (b"\x15\x03\x03\x00\x02\x02\x32", "the URL must be wss://"),
        (b"HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 abc\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 X\r\n" + b"A: " + b"b" * 20_000, "not HTTP/1.1"),
        (b"\r\n\r\n", "not HTTP/1.1"),
        (head("101 Switching Protocols"), "invalid upgrade header"),
        (head("101 X", "Upgrade: websocket"), "invalid connection header"),
        (head("101 X", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"), "accept"),
        (head("101 X", "broken line"), "malformed header"),
    ],
)
def test_an_answer_that_is_none_is_named(answer, said):
    async def main():
        async with Peer(answering(answer)) as peer:
            error = await failure(asking(peer.url, BEARER))
            assert error.phase == "upgrade"
            assert said in str(error)

    run(main)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Sec-WebSocket-Extensions: permessage-deflate", "an extension, none was offered"),
        ("Sec-WebSocket-Protocol: x", "chose subprotocol 'x', offered was a, b"),
    ],
)
def test_what_was_not_offered_may_not_be_chosen(line, said, monkeypatch):
    async def greedy(raw: Raw, peer: Peer) -> None:
        real = raw.send
        raw.send = lambda data: real(data.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode()))
        await answer_upgrade(raw)
        await raw.reader.read()

    async def main():
        async with Peer(greedy) as peer:
            error = await failure(asking(peer.url, BEARER, subprotocols=("a", "b")))
            assert (error.phase, error.retryable) == ("upgrade", False)
            assert said in str(error)

    run(main)


# ------------------------------------------------------------------------------------------ our own faults


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h/", "wanted ws:// or wss://"),
        ("h:80/x", "wanted ws:// or wss://"),
        ("wss:///x", "a host"),
        (f"wss://user:{KEY}@h/", "credentials in the URL of h"),
        (f"wss://{KEY}@h/", "credentials in the URL"),
        ("wss://h:99999/", "Port out of range"),
        ("wss://[::1/", "url: "),
        ("wss://h/a b", "a blank"),
        ("wss://h/a\r\nX: y", "control character"),
        ("wss://h/ä", "no ASCII"),
    ],
)
def test_a_url_that_cannot_be_dialled_is_ours_and_is_not_dialled(url, said):
    async def main():
        error = await failure(asking(url))
        assert (error.phase, error.retryable) == ("url", False)
        assert said in str(error)

    run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}\n"),
        ("Authorization", f"Bearer {KEY}\r\nX-Injected: 1"),
        ("Authorization", f"Bearer {KEY}é"),
        ("Bad Name", KEY),
        ("", KEY),
    ],
)
def test_a_header_that_would_break_the_request_is_refused_without_its_value(name, value):
    async def main():
        async with Peer(mute) as peer:
            error = await failure(asking(peer.url, (name, value)))
            assert error.phase == "url"
            assert name in str(error)

    run(main)


# ------------------------------------------------------------------------------------------------ proxy


async def tunnel(raw: Raw, peer: Peer) -> None:
    """An HTTP proxy: CONNECT, then bytes both ways."""
    asked = await raw.head()
    peer.heads.append(asked)
    host, port = asked.split(b" ")[1].decode().split(":")
    there = Raw(*await asyncio.open_connection("127.0.0.1", int(port)))
    assert host == "provider.example.test"
    raw.send(b"HTTP/1.1 200 OK\r\n\r\n")

    async def copy(one: Raw, other: Raw) -> None:
        while data := await one.reader.read(65536):
            other.send(data)
        other.close()

    await asyncio.gather(copy(raw, there), copy(there, raw))


def test_a_proxy_is_a_phase_of_its_own_and_carries_the_connection(loop):
    async def main():
        async with serving(echo=True) as it, Peer(tunnel) as proxy:
            phases = []
            ear = Ear()
            made = await dial(
                asking(f"ws://provider.example.test:{it.server.port}/media"),
                ear,
                proxy=f"http://user:secret-pass@127.0.0.1:{proxy.port}",
                on_phase=lambda name, _: phases.append(name),
            )
            made.send(b"through")
            await ear.until(lambda: ear.texts)
            assert phases == ["proxy", "upgrade"]
            assert b"Proxy-Authorization: Basic" in proxy.heads[0]
            made.close()
            await ear.end()

    run(main, loop)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (answering(head("407 Proxy Authentication Required", "Content-Length: 0")), "407"),
        (answering(head("403 Forbidden", "Content-Length: 0")), "403"),
        (hang_up, "proxy: "),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_credentials(do, said):
    async def main():
        async with Peer(do) as proxy:
            url = f"http://user-name-1:{KEY}@127.0.0.1:{proxy.port}"
            error = await failure(asking("wss://api.example.test/"), proxy=url)
            assert error.phase == "proxy"
            assert said in str(error) and "user-name-1" not in str(error)

    run(main)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "nonsense", "http://[", f"quatsch://u:{KEY}@h"])
def test_a_proxy_that_is_not_there_or_none_is_named(url):
    async def main():
        assert (await failure(asking("wss://api.example.test/"), proxy=url)).phase == "proxy"

    run(main)


def test_a_mute_proxy_is_given_up():
    async def main():
        async with Peer(mute) as proxy:
            error = await failure(
                asking("wss://api.example.test/"), proxy=f"http://127.0.0.1:{proxy.port}", timeout_s=0.15
            )
            assert str(error) == "proxy: no answer within 0.15 s"

    run(main)


# --------------------------------------------------------------------------------------------- afterwards


@pytest.mark.parametrize("secure", [False, True])
def test_failed_and_cancelled_dials_leave_no_descriptor_open(secure, loop):
    async def main():
        async with Peer(mute) as peer:
            url = peer.url.replace("ws:", "wss:") if secure else peer.url
            await failure(asking(url), timeout_s=0.05)
            await asyncio.sleep(0.02)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                await failure(asking(url), timeout_s=0.02)
                task = asyncio.create_task(dial(asking(url), Ear()))
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) <= before

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    run(main, loop)

"""Dialling: every phase ends well or by name, and no error shows a key."""

import asyncio
import os
import socket
import ssl

import pytest
import websockets
from tests.net.kit import Ear, Raw, asking, run, serving
from tests.net.peers import BEARER, KEY, Peer, answer_upgrade, failure, hang_up, mute
from tests.ports import free_port

from offhook.net.client import default_tls, dial

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


def test_a_port_that_nobody_listens_on_fails_in_tcp(loop):
    async def main():
        port = free_port()
        error = await failure(asking(f"ws://localhost:{port}/", BEARER))
        assert (error.phase, error.retryable) == ("tcp", True)
        assert str(error) == f"tcp: localhost:{port}: Connection refused"

    run(main, loop)


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

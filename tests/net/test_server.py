"""The shared port against raw connections and independent clients."""

import asyncio
import logging

import httpx2
import pytest
import websockets
from tests.net.kit import frame, run, serving, upgrade_head

from offhook.wires._wire import Refusal

TEXT, CLOSE = 1, 8


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS"])
def test_http_of_every_method_reaches_the_application(method, loop):
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(f"{method} /a/b?c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
            head = await raw.head()
            assert head.startswith(b"HTTP/1.1 200 ")
            if method != "HEAD":
                assert await raw.reader.readexactly(len(method) + 8) == f"{method} /a/b 3\n".encode()

    run(main, loop)


def test_a_client_library_keeps_its_connection_for_many_requests():
    async def main():
        async with serving() as it:
            base = f"http://127.0.0.1:{it.server.port}"
            async with httpx2.AsyncClient(base_url=base, trust_env=False) as client:
                for n in (0, 10, 100_000):
                    answer = await client.post("/x", content=b"a" * n)
                    assert answer.text == f"POST /x {n}\n"
                    assert "server" not in answer.headers and "date" in answer.headers

    run(main)


def test_http_1_0_is_answered_and_closed():
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(b"GET / HTTP/1.0\r\n\r\n")
            assert (await raw.rest()).endswith(b"GET / 0\n")

    run(main)


def test_what_the_application_raises_is_a_500_and_is_logged(caplog):
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await raw.answer())[0] == 500

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "the application is broken" in caplog.text


# ---------------------------------------------------------------------------------------------- upgrades


def test_an_upgrade_is_decided_with_path_query_headers_and_address(loop):
    async def main():
        async with serving() as it:
            await it.raw_socket("/media/?a=%20b", X_Twilio_Signature="AbC=", x_umlaut="\xe4")
            asked = it.requests[0]
            assert (asked.path, asked.path_qs, asked.client) == ("/media/", "/media/?a=%20b", "127.0.0.1")
            assert asked.header("x-twilio-signature") == "AbC="
            assert asked.header("X-Umlaut") == "\xc3\xa4"  # a character a byte, as ASGI shows headers
            assert asked.header("Origin") is None
            assert it.server.open_sockets == 1

    run(main, loop)


@pytest.mark.parametrize("pieces", [1, 7, 60])
def test_a_head_may_come_in_pieces(pieces, loop):
    async def main():
        async with serving(echo=True) as it:
            raw = await it.raw()
            data = upgrade_head() + frame(TEXT, b"x")
            for at in range(0, len(data), pieces):
                raw.send(data[at : at + pieces])
                await raw.writer.drain()
            assert (await raw.head()).startswith(b"HTTP/1.1 101 ")
            assert await raw.frame() == (TEXT, b"x")

    run(main, loop)


def test_an_upgrade_may_be_the_second_request_of_a_connection_with_a_frame_behind_it(loop):
    async def main():
        async with serving(echo=True) as it:
            raw = await it.raw()
            for n in (1, 2):
                raw.send(b"POST /voice HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % n + b"a" * n)
                assert (await raw.answer())[2] == b"POST /voice %d\n" % n
            raw.send(upgrade_head("/media?q=1", X_Twilio_Signature="s") + frame(TEXT, b"e" * 40_000))
            assert (await raw.head()).startswith(b"HTTP/1.1 101 ")
            assert await raw.frame() == (TEXT, b"e" * 40_000)
            assert it.requests[0].path_qs == "/media?q=1"
            assert it.requests[0].header("X-Twilio-Signature") == "s"
            raw.send(frame(CLOSE, b"\x03\xe8"))
            assert await it.ears[0].end() == (1000, "", "them")

    run(main, loop)


def test_a_second_request_is_refused_as_the_first_would_be(loop):
    async def main():
        async with serving(decide=lambda request: Refusal(403, "signature refused\n", "signature")) as it:
            raw = await it.raw()
            raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await raw.answer()
            raw.send(upgrade_head())
            status, _, body = await raw.answer()
            assert (status, body) == (403, b"signature refused\n")
            assert await raw.rest() == b""

    run(main, loop)


def test_an_upgrade_before_the_answer_to_the_request_before_it_is_dropped():
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + upgrade_head())
            assert await raw.rest() == b""
            assert it.requests == []

    run(main)


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,keep-alive", "UPGRADE"])
def test_upgrade_among_other_connection_options_is_one(connection, loop):
    async def main():
        async with serving() as it:
            await it.raw_socket(Connection=connection, Upgrade="WebSocket")

    run(main, loop)


@pytest.mark.parametrize("version", ["8", "7", "14", "", None])
def test_another_version_is_answered_with_426_and_ours(version):
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(upgrade_head(Sec_WebSocket_Version=version))
            status, head, body = await raw.answer()
            assert status == 426
            assert b"\r\nSec-WebSocket-Version: 13\r\n" in head
            assert b"this server speaks 13" in body
            assert it.requests == []

    run(main)


@pytest.mark.parametrize("key", ["", "short", "AAECAwQFBgcICQoLDA0O", "!!!!", None])
def test_a_broken_key_is_refused_before_anybody_is_asked_and_uses_up_no_place(key):
    async def main():
        async with serving(max_sockets=1) as it:
            for _ in range(3):
                raw = await it.raw()
                raw.send(upgrade_head(Sec_WebSocket_Key=key))
                assert (await raw.answer())[0] == 400
            assert it.requests == [] and it.server.open_sockets == 0
            await it.raw_socket()

    run(main)


def test_no_subprotocol_and_no_extension_is_selected():
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(upgrade_head(Sec_WebSocket_Protocol="a, b", Sec_WebSocket_Extensions="permessage-deflate"))
            head = (await raw.head()).lower()
            assert head.startswith(b"http/1.1 101 ")
            assert b"sec-websocket-protocol" not in head and b"sec-websocket-extensions" not in head
            async with websockets.connect(it.url, compression="deflate", subprotocols=None) as peer:
                assert peer.protocol.extensions == []

    run(main)


def test_a_refusal_carries_status_body_and_type():
    async def main():
        async with serving(decide=lambda request: Refusal(404, f"nothing at {request.path}\n", "path")) as it:
            raw = await it.raw()
            raw.send(upgrade_head("/nowhere"))
            status, head, body = await raw.answer()
            assert (status, body) == (404, b"nothing at /nowhere\n")
            assert b"text/plain" in head
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(it.url)
            assert caught.value.response.status_code == 404
            assert it.server.open_sockets == 0

    run(main)


def test_a_defect_while_deciding_is_a_500_that_tells_the_peer_nothing(caplog):
    def decide(request):
        raise RuntimeError("secret detail")

    async def main():
        async with serving(decide=decide) as it:
            raw = await it.raw()
            raw.send(upgrade_head())
            status, _, body = await raw.answer()
            assert (status, body) == (500, b"internal error\n")

    with caplog.at_level(logging.ERROR, logger="offhook"):
        run(main)
    assert "secret detail" in caplog.text


def test_an_upgrade_by_another_method_by_http_1_0_or_with_a_body_is_refused():
    async def main():
        async with serving() as it:
            for head in (
                upgrade_head().replace(b"HTTP/1.1", b"HTTP/1.0"),
                upgrade_head(Content_Length="5") + b"hello",
                upgrade_head(Transfer_Encoding="chunked"),
                upgrade_head().replace(b"GET", b"PUT"),
            ):
                raw = await it.raw()
                raw.send(head)
                assert (await raw.answer())[0] == 400
            assert it.ears == []

    run(main)


def test_an_upgrade_to_something_else_is_an_ordinary_request():
    async def main():
        async with serving() as it:
            raw = await it.raw()
            raw.send(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
            assert (await raw.answer())[2] == b"GET /x 0\n"
            raw = await it.raw()
            raw.send(b"GET /media HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await raw.answer())[2] == b"GET /media 0\n"

    run(main)


# ------------------------------------------------------------------------------------------------ limits


def test_sockets_over_the_limit_are_refused_and_a_place_that_is_free_again_is_given():
    async def main():
        async with serving(max_sockets=2) as it:
            first, _ = await it.raw_socket(), await it.raw_socket()
            raw = await it.raw()
            raw.send(upgrade_head())
            status, _, body = await raw.answer()
            assert (status, body) == (503, b"too many open sockets\n")
            assert len(it.requests) == 2
            first.reset()
            await it.ears[0].end()
            await it.raw_socket()

    run(main)


def test_connections_over_the_limit_are_refused_whatever_they_want(loop):
    async def main():
        async with serving(max_connections=3) as it:
            await it.raw_socket()
            kept = await it.raw()
            kept.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await kept.answer()
            sniffed = await it.raw()
            sniffed.send(b"GE")
            for _ in range(50):
                if it.server.full:
                    break
                await asyncio.sleep(0.005)
            raw = await it.raw()
            assert (await raw.answer())[0] == 503
            sniffed.reset()
            for _ in range(50):
                if not it.server.full:
                    break
                await asyncio.sleep(0.005)
            await it.raw_socket()

    run(main, loop)

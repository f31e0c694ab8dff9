"""The contract with picows' inner class, and its handshake limits that the seam works around."""

import asyncio

import pytest
from picows.picows import WSProtocol
from tests.net.kit import KEY, run, upgrade_head

from offhook.net import picows_seam
from offhook.net.picows_seam import PARAMETERS, client_protocol, feed, server_protocol


def values() -> dict:
    return {
        "host_port": None, "ws_path": None, "is_client_side": False, "ws_listener_factory": lambda request: None,
        "logger": picows_seam._QUIET, "disconnect_on_exception": True, "websocket_handshake_timeout": None,
        "enable_auto_ping": False, "auto_ping_idle_timeout": 1, "auto_ping_reply_timeout": 1,
        "auto_ping_strategy": 1, "enable_auto_pong": False, "max_frame_size": 1000, "extra_headers": None,
        "read_buffer_init_size": 4096,
    }  # fmt: skip


def test_the_constructor_takes_exactly_the_parameters_that_we_know():
    async def main():
        assert set(values()) == set(PARAMETERS)
        assert len(PARAMETERS) == 15
        WSProtocol(**values())
        with pytest.raises(TypeError):
            WSProtocol(**values(), another=1)

    run(main)


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_is_still_needed(name):
    async def main():
        given = values()
        del given[name]
        with pytest.raises(TypeError, match="exactly 15|required"):
            WSProtocol(**given)

    run(main)


class Transport(asyncio.Transport):
    """What picows asks of a transport, and what was written."""

    def __init__(self, sock) -> None:
        super().__init__({"socket": sock})
        self.written = b""
        self.closed = False

    def write(self, data) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
def transport():
    import socket

    with socket.socket() as sock:
        yield Transport(sock)


def test_a_server_asks_the_factory_with_all_headers_before_it_answers(transport):
    seen = []

    async def main():
        def decide(request):
            seen.append((request.path, request.headers["X-Twilio-Signature"], transport.written))

        protocol = server_protocol(decide, max_frame_bytes=1000)
        protocol.connection_made(transport)
        feed(protocol, transport, upgrade_head("/a?b=c", X_Twilio_Signature="sig"))

    run(main)
    assert seen == [(b"/a?b=c", "sig", b"")]
    assert transport.written.startswith(b"HTTP/1.1 404 ")


def test_feeding_stops_at_a_refusal(transport):
    async def main():
        protocol = server_protocol(lambda request: None, max_frame_bytes=1000)
        protocol.connection_made(transport)
        feed(protocol, transport, upgrade_head() + upgrade_head() * 50)

    run(main)
    assert transport.written.count(b"HTTP/1.1 ") == 1


def test_a_client_sends_its_request_at_once(transport):
    async def main():
        protocol = client_protocol(
            lambda: None, host_port="example.test:1", path="/p?q", headers=[("A", "b"), ("A", "c")], max_frame_bytes=1
        )
        protocol.connection_made(transport)
        protocol.connection_lost(None)

    run(main)
    lines = transport.written.decode().split("\r\n")
    assert lines[0] == "GET /p?q HTTP/1.1"
    assert {"Host: example.test:1", "Sec-WebSocket-Version: 13", "A: b", "A: c"} <= set(lines)
    assert not any(line.lower().startswith(("origin", "user-agent", "sec-websocket-ext")) for line in lines)
    assert KEY not in transport.written.decode()  # a nonce of its own

"""Several addresses of one name: the first that answers is taken."""

import asyncio
import socket

from tests.net.kit import Ear, asking, run, serving
from tests.net.peers import failure
from tests.ports import free_port
from tests.standing import Elapsed

from offhook.net.client import dial


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
                began, took = clock(), Elapsed()
                ear = Ear()
                made = await dial(asking("ws://two.example.test/"), ear)
                assert 0.2 < clock() - began < 1 + took.stood()
                made.close()
                await ear.end()
                monkeypatch.setattr(socket, "getaddrinfo", addresses(hole.getsockname()))
                error = await failure(asking("ws://one.example.test/"), timeout_s=0.1)
                assert str(error) == "tcp: no answer within 0.1 s"
            for filler in fillers:
                filler.close()

    run(main)  # uvloop resolves in C, where no test can name the addresses

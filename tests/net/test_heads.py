"""Limits of request heads and slow requests, on first and later requests of a connection."""

import pytest
from tests.net.kit import frame, run, serving, upgrade_head

from offhook.net.heads import HttpLimits, wants_upgrade

FAST = HttpLimits(head_bytes=4000, head_s=0.05, request_s=0.1)
FIRST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"X-Filler: " + b"a" * 5000 + b"\r\n"


async def connected(it, later: bool):
    """A connection that is new, or has a request behind it."""
    raw = await it.raw()
    if later:
        raw.send(FIRST)
        assert (await raw.answer())[0] == 200
    return raw


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_head_over_the_limit_is_431(later, whole, loop):
    async def main():
        async with serving(http_limits=FAST) as it:
            for start in (FIRST[:-2], upgrade_head()[:-2]):
                raw = await connected(it, later)
                raw.send(start + LONG + (b"\r\n" if whole else b""))
                assert (await raw.answer())[0] == 431
                assert await raw.rest() == b""
            assert it.requests == []

    run(main, loop)


def test_the_default_limit_lets_8_kb_pass_and_stops_20_kb():
    async def main():
        async with serving() as it:
            for n, status in ((8_000, 101), (20_000, 431)):
                raw = await it.raw()
                raw.send(upgrade_head(X_Filler="a" * n))
                assert (await raw.head()).startswith(b"HTTP/1.1 %d " % status)

    run(main)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("sent", [b"", b"G", FIRST[:-1], b"\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"])
def test_a_request_that_does_not_come_to_its_end_is_408(later, sent):
    if later and not sent:
        pytest.skip("an idle connection is kept, not timed")

    async def main():
        async with serving(http_limits=FAST) as it:
            raw = await connected(it, later)
            raw.send(sent)
            assert (await raw.answer())[0] == 408
            assert await raw.rest() == b""

    run(main)


def test_the_time_starts_anew_with_a_request_that_began_behind_another():
    async def main():
        async with serving(http_limits=FAST) as it:
            raw = await it.raw()
            raw.send(FIRST + FIRST[:-2])
            assert (await raw.answer())[0] == 200
            assert (await raw.answer())[0] == 408

    run(main)


def test_an_answer_that_takes_longer_than_a_request_may_is_not_cut():
    async def main():
        limits = HttpLimits(head_s=0.05, request_s=0.1)
        async with serving(http_limits=limits) as it:
            raw = await it.raw()
            raw.send(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
            assert (await raw.answer())[2] == b"POST /slow 2\n"

    run(main)


def test_a_socket_is_not_timed_by_http_limits():
    async def main():
        async with serving(echo=True, http_limits=HttpLimits(head_s=0.02, request_s=0.04)) as it:
            raw = await it.raw_socket()
            late = await connected(it, True)
            late.send(upgrade_head())
            await late.head()
            assert await raw.reader.read(0) == b""
            import asyncio

            await asyncio.sleep(0.1)
            for one in (raw, late):
                one.send(frame(1, b"x"))
                assert await one.frame() == (1, b"x")

    run(main)


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 50, b"hello\r\n\r\n", b"GET\r\n\r\n", b"{}\n", b"\xff\xfe"]
)
@pytest.mark.parametrize("later", [False, True])
def test_what_is_no_http_is_400_and_the_end(garbage, later):
    async def main():
        async with serving() as it:
            raw = await connected(it, later)
            raw.send(garbage)
            assert (await raw.answer())[0] == 400
            assert await raw.rest() == b""

    run(main)


def test_an_idle_connection_is_closed_after_its_time():
    async def main():
        async with serving(http_limits=HttpLimits(keep_alive_s=0)) as it:
            raw = await connected(it, True)
            assert await raw.rest() == b""

    run(main)


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (upgrade_head(), True),
        (upgrade_head(Connection="keep-alive, upgrade"), True),
        (upgrade_head(Upgrade="h2c"), False),
        (upgrade_head(Upgrade=None), False),
        (upgrade_head(Connection="close"), False),
        (upgrade_head().replace(b"GET", b"PUT"), False),
        (b"\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nbroken line\r\n\r\n", False),
    ],
)
def test_an_upgrade_is_told_by_its_head(head, wanted):
    assert wants_upgrade(head) is wanted

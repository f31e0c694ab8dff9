"""The clock, and its faster running for tests of minutes."""

import asyncio

from tests.net.kit import run

from offhook.net.clock import LoopClock


class FrozenLoop:
    """A loop whose time stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.planned: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.at

    def call_at(self, when, fn):
        self.planned.append((when, fn))
        return asyncio.Handle(fn, (), self)

    def get_debug(self) -> bool:
        return False


def test_at_rate_one_it_is_the_loops_own_clock():
    loop = FrozenLoop()
    clock = LoopClock(loop)
    loop.at += 1.5
    assert clock.now() == 1001.5
    clock.call_at(1002.0, print)
    assert loop.planned[0][0] == 1002.0


def test_at_rate_sixty_a_minute_passes_in_a_second():
    loop = FrozenLoop()
    clock = LoopClock(loop, rate=60)
    assert clock.now() == 1000.0
    loop.at += 1.0
    assert clock.now() == 1060.0
    clock.call_at(1120.0, print)
    assert loop.planned[0][0] == 1002.0


def test_what_is_called_off_does_not_happen(loop):
    async def main():
        clock = LoopClock(asyncio.get_running_loop(), rate=10)
        happened = []
        never = clock.call_at(clock.now() + 0.1, lambda: happened.append("never"))
        over = asyncio.Event()
        clock.call_at(clock.now() + 0.3, over.set)
        never.cancel()
        await over.wait()
        assert happened == []

    run(main, loop)

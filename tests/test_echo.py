"""Whose voice interrupts the agent: told from how loud both sides were."""

import random

from offhook.evidence.echo import MOST, Echo


def talk(heard_of_the_agent, lag_s=0.24, cuts=6, gap_s=4.0, end_s=30.0):
    """Levels of a call; ``heard_of_the_agent(level)`` is how loud the caller's side is while that plays."""
    chance, echo = random.Random(7), Echo(100.0)
    speech = [chance.choice((0, 4, 9, 13, 13, 14)) for _ in range(3000)]
    at, sent, silent_until = 0.0, 0, 0.0
    stops = [3.0 + n * gap_s for n in range(cuts)]
    played = {}
    while at < end_s:
        now = 100.0 + at
        if stops and at >= stops[0]:
            stops.pop(0)
            echo.cut(now)
            silent_until = at + 1.0
        level = 0
        if at >= silent_until:
            level = speech[int(at * 10)]
            sent += 800
            echo.agent(level, sent, now)
        played[round(at, 1)] = level
        echo.caller(heard_of_the_agent(played.get(round(at - round(lag_s, 1), 1), 0)), now)
        at += 0.1
    return echo.figures()


def test_the_agent_s_own_voice_is_known_by_its_rhythm_and_its_delay():
    found = talk(lambda level: max(2, level - 3))
    assert found["correlation"] > 0.7 and 100 <= found["lag_ms"] <= 300


def test_a_caller_with_a_rhythm_of_their_own_is_none():
    chance = random.Random(8)
    assert talk(lambda level: chance.choice((2, 3, 9, 12, 13)))["correlation"] < 0.5


def test_two_interruptions_prove_nothing():
    assert talk(lambda level: level, cuts=2) is None


def test_a_long_call_and_a_flood_cost_no_more_than_an_hour_of_levels():
    echo = Echo(0.0)
    echo.agent(13, 8000 * 100_000, 1.0)  # a day of audio in one message
    for second in range(0, 20_000, 10):
        echo.caller(5, float(second))
    for second in range(300):
        echo.cut(float(second))
    assert len(echo._agent) <= MOST and len(echo._caller) <= MOST
    assert echo.figures()["correlation"] <= 1.0


def test_the_levels_of_a_moment_are_what_the_caller_says_and_hears_then():
    echo = Echo(100.0)
    assert echo.levels(100.0) == (None, None)
    for n in range(10):  # a second of speech comes at once and is played from 101 s on
        echo.agent(14 if n < 5 else 3, 800 * (n + 1), 101.02)
    for n in range(30):
        echo.caller(8 if n < 12 else 1, 100.02 + n / 10)
    assert [echo.levels(at) for at in (100.55, 101.25, 101.75)] == [(8, 0), (8, 14), (1, 3)]
    echo.cut(101.8)
    assert echo.levels(102.05) == (1, None)
    assert echo.levels(103.55) == (None, None)  # no stream

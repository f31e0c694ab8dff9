"""Scenarios: what a file may say, and how the steps run in virtual time."""

import pytest
from tests.sims.test_line import SID, mark, media

from offhook.sims.line import SimCarrier
from offhook.sims.provider import tone
from offhook.sims.scenario import Player, ScenarioError, parse_scenario
from offhook.wires._wire import PeerClose
from offhook.wires.carriers._twilio_peer import Peer

STEPS = "\n".join(["[[step]]\n{}"])


def scenario(*steps: str, head: str = ""):
    return parse_scenario(head + "\n".join(f"[[step]]\n{step}" for step in steps))


def play(made, server=(), seconds: float = 30.0, presses=()):
    """The player, and (time, message) of what the caller did; ``server`` is [(at, message or f(now))]."""
    line = SimCarrier(Peer(SID, "CA1", "AC1"))
    player = Player(made, line, lambda what: tone(int(what)), presses=presses)
    sent = [(0.0, message) for message in line.opened(0.0)]
    coming = sorted(server, key=lambda entry: entry[0])
    for n in range(int(seconds * 50)):
        now = n * 0.02
        while coming and coming[0][0] <= now:
            line.receive(coming.pop(0)[1], now)
        sent += [(now, m) for m in line.tick(now)]
        sent += [(now, m) for m in player.tick(now)]
        if player.done:
            break
    return player, sent, line


def test_a_conversation_step_by_step():
    made = scenario(
        'wait-for-agent = "done"', 'say = "500"', "heard-within = 800", 'wait-for-agent = "done"', 'press = "1#"',
        "hang-up = true",
    )  # fmt: skip
    player, sent, line = play(made, [(0.1, media(tone(600))), (2.0, media(tone(600)))])
    assert player.missed == []
    assert line.said[0].began == pytest.approx(1.1, abs=0.05)  # 0.7 s end of greeting, 0.4 s quiet
    assert player.latencies_ms == [pytest.approx(400, abs=50)]
    assert [digit for digit, _ in line.presses] == ["1", "#"]
    assert sent[-1][1] == PeerClose(1000)


def test_what_does_not_come_is_missed_and_the_call_goes_on():
    player, _, line = play(scenario('wait-for-agent = "begins"\nwithin_s = 1', 'say = "200"', "heard-within = 500"))
    assert player.missed == [
        "wait-for-agent: nothing was heard within 1 s",
        "heard-within: nothing was heard within 500 ms",
    ]
    assert line.hung_up and player.done


def test_an_optional_step_is_no_failure():
    assert play(scenario('wait-for-agent = "begins"\nwithin_s = 1\noptional = true'))[0].missed == []


def test_an_answer_that_comes_late_is_missed_with_its_time():
    player, _, _ = play(scenario('say = "100"', "heard-within = 300"), [(0.25, media(tone(100)))])
    assert player.missed == []
    player, _, _ = play(scenario('say = "100"', "heard-within = 100"), [(0.45, media(tone(100)))])
    assert "nothing was heard within 100 ms" in player.missed[0]


def test_silence_is_not_heard():
    assert play(scenario("heard-within = 900"), [(0.1, media(b"\xff" * 8000))])[0].missed


def test_an_agent_that_sends_silence_for_ever_has_still_said_what_it_had_to_say():
    silence = [(n * 0.02, media(b"\xff" * 160)) for n in range(1500)]
    made = scenario('wait-for-agent = "done"', "hang-up = true")
    player, sent, _ = play(made, [(0.1, media(tone(600))), *silence])
    assert player.missed == [] and sent[-1][0] == pytest.approx(1.2, abs=0.2)
    pausing = [(0.1, media(tone(300) + b"\xff" * 4800 + tone(300))), *silence]  # 0.6 s within a sentence, sent at once
    assert play(made, pausing)[1][-1][0] == pytest.approx(1.8, abs=0.2)


def test_the_caller_cuts_into_the_agents_voice():
    player, _, line = play(scenario('barge-in = "300"\nafter_ms = 500', "silence = 0.5"), [(0.2, media(tone(3000)))])
    assert line.said[0].began == pytest.approx(0.72, abs=0.05) and player.barge_ins and not player.missed


def test_there_may_be_nothing_to_cut_into():
    player, _, _ = play(scenario('barge-in = "300"\nafter_ms = 900'), [(0.2, media(tone(100)))])
    assert "nothing left to say" in player.missed[0]


def test_keys_are_pressed_at_their_time_and_a_call_is_bounded():
    player, sent, line = play(scenario("silence = 60", head="max_s = 3\n"), presses=[(1.0, "5")])
    assert line.presses == [("5", 1.0)] and sent[-1][0] == pytest.approx(3.02, abs=0.03)
    assert player.missed == ["the call was not over within 3 s"]


def test_marks_do_not_end_a_wait():
    player, _, _ = play(scenario('wait-for-agent = "begins"\nwithin_s = 1'), [(0.1, mark("m"))])
    assert player.missed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [", "no TOML"),
        ("name = 'x'", "no steps"),
        ("speed = 1\n[[step]]\nhang-up = true", "'speed'"),
        ("[[step]]\nshout = 'x'", "step 1: got 0 actions, wanted one of say"),
        ("[[step]]\nsay = 'x'\npress = '1'", "got 2 actions"),
        ("[[step]]\nsay = 3", "wanted text"),
        ("[[step]]\nsilence = 'long'", "wanted a number"),
        ("[[step]]\npress = 'x'", "wanted keys"),
        ("[[step]]\nwait-for-agent = 'now'", "begins or done"),
        ("[[step]]\nhang-up = false", "wanted true"),
        ("[[step]]\nsay = 'x'\nwithin_s = 3", "option 'within_s'"),
    ],
)
def test_what_is_no_scenario_is_refused_with_its_place(text, says):
    with pytest.raises(ScenarioError) as error:
        parse_scenario(text)
    assert says in str(error.value)

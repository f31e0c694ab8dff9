"""Callers who say nothing, calls whose time runs out, and what the model may do with the call itself."""

import json
from typing import Any

import pytest
from msgspec import structs
from tests.simcall import CARRIER, SimCall

from offhook import vocab as v

REST = structs.replace(CARRIER, ends_by_rest=True)
TO = {"sales": "+15550100077", "desk": "sip:desk@example.com"}


def talking(**more: Any) -> SimCall:
    call = SimCall(carrier=REST, **more).connect()
    call.caller_frame(2)
    return call


def calls(call: SimCall, name: str, arguments: str = "{}", response: str = "r1") -> list[dict[str, Any]]:
    call.feed(v.ToolCalled("t1", name, arguments, response), v.ResponseDone(response, "completed"))
    return [json.loads(answer.output) for answer in call.of(v.AnswerTool)]


def test_a_silent_caller_is_asked_twice_and_then_the_call_ends():
    call = talking(idle_prompt_s=20.0, idle_prompts=2, frames_stop_s=9000.0)
    call.advance(20_100)
    assert len(call.of(v.AskResponse)) == 1 and "still there" in call.of(v.AskResponse)[0].instructions
    call.agent_says(1000, "r1", "i1")
    call.advance(21_100)
    assert len(call.of(v.AskResponse)) == 2
    call.agent_says(1000, "r2", "i2")
    call.advance(19_000)
    assert call.bridge.summary()["end"]["why"] == ""
    call.advance(4_000)
    assert call.bridge.summary()["end"] == {"why": "idle", "wanted": True}
    assert call.notes("line") == [{"name": "idle"}]


def test_a_word_or_a_key_begins_the_patience_anew():
    call = talking(idle_prompt_s=20.0, idle_prompts=1, frames_stop_s=9000.0)
    call.advance(20_100)
    call.agent_says(1000, "r1", "i1")
    call.feed(v.SpeechStarted(None), v.SpeechStopped(None))
    call.agent_says(1000, "r2", "i2")
    call.advance(21_100)
    assert [note["n"] for note in call.notes("idle.prompt")] == [1, 1] and call.bridge.summary()["end"]["why"] == ""


def test_nobody_on_hold_is_asked_and_nobody_who_is_being_spoken_to(monkeypatch: pytest.MonkeyPatch):
    from tests.simcall import LINES

    monkeypatch.setitem(LINES, "hold", b"\x21\x9e" * 8000)
    call = talking(idle_prompt_s=10.0, frames_stop_s=9000.0)
    call.feed(v.HoldAsked(True))
    call.advance(60_000)
    assert not call.notes("idle.prompt")
    other = talking(idle_prompt_s=10.0, frames_stop_s=9000.0)
    other.agent_says(15_000)
    other.advance(20_000)
    assert not other.notes("idle.prompt")


def test_the_caller_is_told_before_the_time_is_up_and_only_once_the_line_is_free():
    call = talking(max_call_s=300.0, warn_s=60.0, frames_stop_s=9000.0)
    call.advance(238_000)
    call.agent_says(5_000)
    call.advance(4_000)
    assert call.notes("limit.warning") and not call.of(v.AskResponse)  # the agent is being heard
    call.advance(2_000)
    assert call.of(v.TellAgent)[0].text.startswith("This call ends in 60 seconds") and call.of(v.AskResponse)
    call.agent_says(1000, "r2", "i2")
    call.advance(60_000)
    assert call.bridge.summary()["end"] == {"why": "time limit", "wanted": True}


def test_a_call_too_short_for_a_warning_gets_none():
    call = talking(max_call_s=100.0, warn_s=60.0, frames_stop_s=9000.0)
    call.advance(99_000)
    assert not call.notes("limit.warning")


# ------------------------------------------------------------------------------------- the model's own handles


def test_the_model_gives_the_caller_to_somebody_it_knows_by_name():
    call = talking(transfer_to=TO)
    call.agent_says(1000, "r1", "i1", done=False)
    (answer,) = calls(call, "transfer_call", '{"to":"sales"}')
    assert answer["ok"] is True and not call.of(v.Transfer)
    call.advance(1100)
    assert call.of(v.Transfer)[0].target == "+15550100077"


def test_a_model_that_says_nothing_of_it_is_asked_to():
    call = talking(transfer_to={"desk": "sip:desk@example.com"})
    call.feed(v.ResponseStarted("r1"))
    calls(call, "transfer_call")
    assert call.of(v.AskResponse) and not call.of(v.Transfer)
    call.agent_says(1000, "r2", "i2")
    call.advance(1100)
    assert call.of(v.Transfer)[0].target == "sip:desk@example.com"


@pytest.mark.parametrize("arguments", ['{"to":"+15550100099"}', '{"to":""}', "[]", "nonsense"])
def test_no_caller_talks_the_model_into_dialling_another_number(arguments: str):
    call = talking(transfer_to=TO)
    call.feed(v.ResponseStarted("r1"))
    (answer,) = calls(call, "transfer_call", arguments)
    assert answer["to"] == ["desk", "sales"] and not call.of(v.Transfer) and call.of(v.AskResponse)
    assert [done["outcome"] for done in call.notes("tool.done")] == ["invalid"]


@pytest.mark.parametrize("arguments", ['{"keys":""}', '{"keys":"call 9"}', "[]"])
def test_keys_that_do_not_exist_are_not_told_to_the_model_as_pressed(arguments: str):
    call = talking(keypad=True)
    call.feed(v.ResponseStarted("r1"))
    (answer,) = calls(call, "press_keys", arguments)
    assert answer["error"].startswith("keys: got ") and call.of(v.AskResponse) and not call.notes("keys.pressed")
    assert [done["outcome"] for done in call.notes("tool.done")] == ["invalid"]


def test_handles_that_were_not_given_are_unknown():
    call = talking()
    call.feed(v.ResponseStarted("r1"))
    (answer,) = calls(call, "transfer_call", '{"to":"sales"}')
    assert "ok" not in answer and not call.of(v.Transfer)


def test_the_model_presses_keys_and_gathers_them():
    call = talking(keypad=True)
    call.feed(v.ResponseStarted("r1"))
    calls(call, "press_keys", '{"keys":"1w2"}')
    assert call.of(v.PlayAudio) and call.notes("keys.pressed") == [{"n": 2}]
    call = talking(keypad=True)
    call.feed(v.ResponseStarted("r1"))
    calls(call, "collect_digits", '{"how_many":2}')
    call.feed(v.KeyPressed("4"), v.KeyPressed("2"))
    assert call.of(v.TellAgent)[-1].text == "The caller pressed these keys: 4 2"

"""The receptionist hears what is said, and nothing else decides what it answers."""

import json
import random
from types import SimpleNamespace

import pytest

from offhook.loopback.ear import Ear, Heard
from offhook.loopback.lines import AGENT, CALLER, audio
from offhook.loopback.receptionist import answer_key, answer_result, answer_speech, answer_told, answer_written
from offhook.loopback.server import _Desk

QUIET = b"\xff\x7f" * 80


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear()


def hear(ear: Ear, name: str) -> Heard:
    ear.reset()
    line = QUIET * 10 + audio(name) + QUIET * 30
    found = [heard for at in range(0, len(line), 160) for heard in ear.push(line[at : at + 160])]
    (heard,) = [one for one in found if isinstance(one, Heard)]
    return heard


@pytest.mark.parametrize(
    ("name", "line"),
    [("caller_hours", "hours"), ("caller_location", "location"), ("caller_services", "services"),
     ("caller_price", "price"), ("caller_appointment", "appointment"), ("caller_thanks", "thanks"),
     ("caller_goodbye", "goodbye"), ("caller_nonsense", "unknown")],
)  # fmt: skip
def test_each_of_the_callers_lines_gets_its_own_answer(ear, name, line):
    heard = hear(ear, name)
    answer = answer_speech(heard.words, heard.sure)
    assert answer.line == line and answer.hang_up == (line == "goodbye"), heard


def test_what_was_not_said_in_the_grammar_is_refused_with_what_is_known(ear):
    heard = hear(ear, "caller_nonsense")
    assert not heard.sure and "opening hours" in answer_speech(heard.words, heard.sure).text


def test_the_next_caller_is_heard_when_the_last_one_left_in_the_middle_of_a_word(ear):
    ear.reset()
    line = QUIET * 10 + audio("caller_hours")
    for at in range(0, len(line) // 2, 160):
        ear.push(line[at : at + 160])
    assert ear._speaking
    assert answer_speech(hear(ear, "caller_price").words, True).line == "price"


def test_silence_says_nothing(ear):
    ear.reset()
    assert ear.push(b"\xff" * 16000) == []


def test_keys_are_answered_as_keys():
    assert answer_key("The caller pressed key 2.").line == "key_2"
    assert answer_key("The caller pressed key *.").line == "key"
    assert answer_key("Hello.") is None


BOOK = {
    "type": "object",
    "properties": {"people": {"type": "integer"}, "day": {"type": "string"}, "room": {"enum": ["a", "b"]},
                   "note": {"type": "string"}},
    "required": ["people", "day", "room"],
}  # fmt: skip
TOOLS = {"hang_up": {}, "book": BOOK, "job_status": {"properties": {"job": {"type": "string"}}}, "job_cancel": {}}


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('call book {"people": 4, "day": "Mon {day}"}', [("book", '{"people": 4, "day": "Mon {day}"}')]),
        ("Call book: on Monday, please", [("book", '{"people": 1, "day": "on Monday, please", "room": "a"}')]),
        ("call book", [("book", '{"people": 1, "day": "just a try", "room": "a"}')]),
        ('call book {"people": 4} and call job_status', [("book", '{"people": 4}'), ("job_status", "{}")]),
        ('call nobody {"a": 1}', [("nobody", '{"a": 1}')]),
        ('call book {"people": ', [("book", '{"people": ')]),
        ("Call me back, please", []),
    ],
)
def test_a_written_line_calls_any_tool_with_json_or_with_words(text, calls):
    assert list(answer_written(text, TOOLS).calls) == calls


def test_some_phrases_call_a_tool_where_the_session_has_it_and_say_so_where_not():
    assert answer_speech("try the tool", True, TOOLS).calls[0][0] == "book"
    assert answer_speech("how far is the job", True, TOOLS).calls == (("job_status", "{}"),)
    assert answer_speech("cancel the job", True, TOOLS).calls == (("job_cancel", "{}"),)
    assert answer_speech("cancel the job", True, {"hang_up": {}}) == answer_written("cancel the job")
    assert "Nothing runs" in answer_written("cancel the job").text


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            "[Result of research, j1, for: a [good] plumber]\nthree: 12, 30 and 45\nTell",
            "number_12 number_30 number_40",
        ),
        ("[research, j12, did not succeed: exit 3] it failed\nTell the caller now", "did_not_work"),
        ("The transfer failed: busy.", "back"),
    ],
)
def test_what_the_bridge_tells_of_is_answered_as_that(told, line):
    answer = answer_told(told)
    assert answer is not None and answer.line.startswith(line)


def test_what_the_tools_of_longer_tasks_answer_is_said_as_that():
    assert answer_result('{"job":"j1","state":"running","note":"..."}').line == "handed_on"
    assert answer_result('{"jobs":[{"job":"j1","state":"running","seconds":3}]}').line == "running"
    assert answer_result('{"cancelled":[{"job":"j1","proof":"no process is left"}]}').line == "cancelled"
    assert answer_result('{"error":"nothing runs that could be cancelled"}').line == "did_not_work"


def test_every_line_has_its_audio():
    for name in (*AGENT, *CALLER):
        assert len(audio(name)) % 160 == 0 and len(audio(name)) > 3000


def test_no_two_sessions_share_an_id_for_a_record_may_hold_both():
    """A call that is handed over, and back."""
    desk = _Desk()
    asked = SimpleNamespace(path=b"/v1/realtime?model=receptionist")
    said = [desk.let_in(asked)._peer.speak(b"\xff" * 160, "hello", 0.0)[0] for _ in range(2)]
    first, second = (json.loads(message)["response"]["id"] for message in said)
    assert first != second


def test_a_quiet_line_behind_digital_silence_is_no_speech(ear):
    """As after a hold, in which the agent hears nothing at all; the line's own noise is a step of µ-law high."""
    ear.reset()
    noise = random.Random(7)
    quiet = [bytes(noise.choices((255, 127, 254, 126), (3, 2, 2, 1), k=160)) for _ in range(200)]
    found = [heard for frame in [*quiet, *[b"\xff" * 160] * 550, *quiet] for heard in ear.push(frame)]
    assert found == []

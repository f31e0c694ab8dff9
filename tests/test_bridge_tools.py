"""The agent's tools, as conversations in virtual time: one answer to every call, nothing run twice, never silence."""

import json

from tests.simcall import LINES, SOUND, SimCall

from offhook import vocab as v

POLICY = v.ToolPolicy(deadline_s=20.0)


def call_with(**policies: v.ToolPolicy) -> SimCall:
    LINES.setdefault("cue", b"\x21\x9e" * 1600)
    call = SimCall(tools=policies or {"book": POLICY}).connect()
    call.advance(1000)
    return call


def asks(call: SimCall, *calls: tuple[str, str, str], response: str = "r1") -> None:
    """The model calls tools in one response, and says nothing."""
    call.feed(v.ResponseStarted(response))
    call.feed(*(v.ToolCalled(call_id, name, given, response) for call_id, name, given in calls))
    call.feed(v.ResponseDone(response, "completed"))


def answers(call: SimCall) -> dict[str, str]:
    given = call.of(v.AnswerTool)
    assert len({answer.tool_call_id for answer in given}) == len(given), "a call was answered twice"
    return {answer.tool_call_id: answer.output for answer in given}


def test_a_tool_is_run_and_its_result_given_to_the_model_which_is_asked_to_go_on():
    call = call_with()
    asks(call, ("c1", "book", '{"day": "Mon"}'))
    assert [(run.name, json.loads(run.arguments)) for run in call.of(v.RunTool)] == [("book", {"day": "Mon"})]
    assert not call.of(v.AnswerTool) and not call.of(v.AskResponse)
    call.advance(800)
    did = call.feed(v.ToolFinished("c1", "ok", '{"id":7}'))
    assert [type(one) for one in did if type(one) is not v.Note] == [v.AnswerTool, v.AskResponse]
    done = call.notes("tool.done")[0]
    assert (done["outcome"], done["ms"], done["out_bytes"], done["filler"]) == ("ok", 800, 8, False)


def test_the_model_goes_on_once_when_all_calls_of_a_response_are_answered():
    call = call_with(book=POLICY, look=POLICY)
    asks(call, ("c1", "book", "{}"), ("c2", "look", "{}"), ("c3", "nothing", "{}"))
    call.feed(v.ToolFinished("c2", "ok", "{}"))
    assert not call.of(v.AskResponse)
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    assert len(call.of(v.AskResponse)) == 1
    assert set(answers(call)) == {"c1", "c2", "c3"}


def test_an_unknown_tool_and_arguments_that_are_no_json_are_answered_at_once_and_empty_ones_are_none():
    call = call_with()
    asks(call, ("c1", "look_up", "{}"), ("c2", "book", '{"day":"Mo'), ("c3", "book", ""), ("c4", "book", "[1]"))
    given = answers(call)
    assert "no tool of this name" in given["c1"] and "book" in json.loads(given["c1"])["tools"]
    assert "no JSON object" in given["c2"] and "no JSON object" in given["c4"]
    assert [run.arguments for run in call.of(v.RunTool)] == ["{}"]
    assert [note["outcome"] for note in call.notes("tool.done")] == ["unknown", "args_parse", "args_parse"]
    assert [note["args_ok"] for note in call.notes("tool")] == [True, False, True, False]


def test_a_call_told_twice_is_answered_once():
    call = call_with()
    asks(call, ("c1", "book", "{}"), ("c1", "book", "{}"))
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    assert len(call.of(v.RunTool)) == 1 and len(call.of(v.AnswerTool)) == 1


def test_an_interrupted_model_that_asks_again_gets_the_first_runs_result():
    call = call_with()
    asks(call, ("c1", "book", '{"day":"Mon","people":4}'))
    call.feed(v.SpeechStarted(at_ms=None), v.SpeechStopped(at_ms=None))
    asks(call, ("c2", "book", '{"people":4, "day":"Mon"}'), response="r2")
    call.feed(v.ToolFinished("c1", "ok", '{"id":7}'))
    assert answers(call) == {"c1": '{"id":7}', "c2": '{"id":7}'}
    asks(call, ("c3", "book", '{"day":"Mon","people":4}'), response="r3")  # shortly after
    assert answers(call)["c3"] == '{"id":7}'
    assert len(call.of(v.RunTool)) == 1
    call.advance(15_000)
    asks(call, ("c4", "book", '{"day":"Mon","people":4}'), response="r4")  # a new wish
    assert len(call.of(v.RunTool)) == 2


def test_what_changes_nothing_is_run_again_when_it_is_over():
    call = call_with(time=v.ToolPolicy(changes=False))
    asks(call, ("c1", "time", "{}"))
    call.feed(v.ToolFinished("c1", "ok", "10:00"))
    asks(call, ("c2", "time", "{}"), response="r2")
    assert len(call.of(v.RunTool)) == 2


def test_a_response_that_is_cancelled_by_the_caller_still_gets_its_tools_result():
    call = call_with()
    call.feed(v.ResponseStarted("r1"), v.AgentAudio("r1", "i1", 0, SOUND, 800), v.ToolCalled("c1", "book", "{}", "r1"))
    call.feed(v.SpeechStarted(at_ms=None), v.ResponseDone("r1", "cancelled"))
    call.feed(v.ToolFinished("c1", "ok", '{"id":7}'))
    assert answers(call) == {"c1": '{"id":7}'}
    assert not call.of(v.AskResponse), "the caller speaks: they will be answered anyway"


def test_a_result_that_comes_between_the_callers_last_word_and_the_answer_is_not_lost():
    call = call_with()
    asks(call, ("c1", "book", "{}"))
    call.feed(v.SpeechStarted(at_ms=None), v.SpeechStopped(at_ms=None), v.ToolFinished("c1", "ok", "{}"))
    assert not call.of(v.AskResponse), "the provider answers the caller by itself"
    assert v.CancelResponse("r2") in call.feed(v.ResponseStarted("r2")), "it began without the result"
    call.feed(v.ResponseDone("r2", "cancelled"))
    assert len(call.of(v.AskResponse)) == 1


def test_a_caller_who_is_not_answered_by_the_provider_hears_the_result_all_the_same():
    call = call_with()
    asks(call, ("c1", "book", "{}"))
    call.feed(v.SpeechStarted(at_ms=None), v.SpeechStopped(at_ms=None), v.ToolFinished("c1", "ok", "{}"))
    call.advance(3_100)  # it took the sound for a cough
    assert len(call.of(v.AskResponse)) == 1


def test_a_tool_whose_runner_never_reports_is_answered_for():
    call = call_with(book=v.ToolPolicy(deadline_s=5.0, filler=""))
    asks(call, ("c1", "book", "{}"))
    call.advance(7_100)
    assert "did not answer within 5 s" in answers(call)["c1"] and call.of(v.AskResponse)
    assert "tool book" in [note["name"] for note in call.notes("deadline.missed")]
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    assert call.notes("tool.late") and len(call.of(v.AnswerTool)) == 1


def test_a_waiting_caller_hears_a_cue_into_the_silence_again_and_again():
    call = call_with()
    asks(call, ("c1", "book", "{}"))
    call.advance(1_400)
    assert not call.of(v.PlayAudio)
    call.advance(200)
    assert len(call.of(v.PlayAudio)) == 1
    call.advance(6_000)
    assert len(call.of(v.PlayAudio)) == 2
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    call.advance(10_000)
    assert len(call.of(v.PlayAudio)) == 2
    assert call.notes("tool.done")[0]["filler"] is True


def test_a_cue_waits_for_the_agents_words_and_is_never_over_the_caller():
    call = call_with()
    call.agent_says(3000, done=False)
    call.feed(v.ToolCalled("c1", "book", "{}", "r1"), v.ResponseDone("r1", "completed"))
    call.advance(4_300)
    assert not call.notes("tool.filler"), "3 s of words, then 1.5 s of silence"
    call.feed(v.SpeechStarted(at_ms=None))
    call.advance(3_000)
    assert not call.notes("tool.filler")


def test_a_caller_who_speaks_over_a_cue_cuts_it_and_no_provider_is_told_of_it():
    call = call_with()
    asks(call, ("c1", "book", "{}"))
    call.advance(1_600)
    call.feed(v.SpeechStarted(at_ms=None))
    assert call.of(v.ClearPlayback) and not call.of(v.Truncate)


def test_a_filler_in_words_is_said_by_the_agent_once():
    call = call_with(book=v.ToolPolicy(filler="say:One moment, please.", filler_ms=1000))
    asks(call, ("c1", "book", "{}"))
    call.advance(1_100)
    assert "One moment, please." in (call.of(v.AskResponse)[0].instructions or "")
    call.agent_says(800, "r2", "i2")
    call.advance(7_000)
    assert len(call.of(v.AskResponse)) == 1 and call.notes("tool.filler")[1]["what"] == "cue"


def test_a_tool_that_runs_when_the_caller_leaves_is_on_record_as_such():
    call = call_with()
    asks(call, ("c1", "book", "{}"))
    call.advance(1_000)
    call.feed(v.StreamStopped())
    assert call.notes("tool.done")[0]["outcome"] == "call ended"
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    assert call.notes("tool.late") and not call.of(v.AnswerTool)


def test_nobody_is_asked_to_go_on_after_the_goodbye():
    call = call_with()
    call.agent_says(1000, done=False)
    call.feed(v.ToolCalled("c1", "book", "{}", "r1"), v.ToolCalled("c2", "hang_up", "{}", "r1"))
    call.feed(v.AgentAudioDone("r1", "i1"), v.ResponseDone("r1", "completed"))
    call.feed(v.ToolFinished("c1", "ok", "{}"))
    assert set(answers(call)) == {"c1", "c2"} and not call.of(v.AskResponse)
    call.advance(2_000)
    assert call.of(v.CloseStream)


def test_a_model_that_calls_tools_in_a_circle_is_told_to_speak_and_then_asked_no_more():
    call = call_with(time=v.ToolPolicy(changes=False, filler=""))

    def around(times: range) -> None:
        for n in times:
            asks(call, (f"c{n}", "time", "{}"), response=f"r{n}")
            call.feed(v.ToolFinished(f"c{n}", "ok", "10:00"))

    around(range(1, 31))
    asked = [ask.instructions or "" for ask in call.of(v.AskResponse)]
    assert len(asked) == 12 and ["Call none now" in text for text in asked] == [False] * 10 + [True] * 2
    assert call.notes("tool.loop") == [{"n": 13}] and len(answers(call)) == 30  # each of them is answered all the same
    call.feed(v.SpeechStarted(at_ms=None), v.SpeechStopped(at_ms=None))
    around(range(31, 33))  # the caller said something: it may begin again
    assert len(call.of(v.AskResponse)) == 14

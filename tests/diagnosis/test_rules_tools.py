"""Rules of tools, turns and records: each fault by hand, beside what looks like it and is none."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from tests.diagnosis.tape import Tape, good

from offhook.diagnosis.report import report

SEEN = ["webhook", "carrier", "provider", "bridge"]
ANSWERS = ("response.created", "response.done", "response.output_audio.delta")
SPEECH = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")


def foreign(tools: tuple[str, ...] = ("lookup",)) -> Tape:
    """The good call of another program that has tools."""
    tape = good(source="tap", sees=SEEN)
    tape.without("session.update")
    return tape.msg(3, 61, type="session.update", session={"voice": "marin", "tools": list(tools)})


def called(tape: Tape, at: float = 13000, *, name: str = "lookup", arguments: str = '{"city":"Oslo"}') -> Tape:
    """The model calls a tool."""
    return tape.msg(
        2, at, type="response.function_call_arguments.done", call_id="c1", name=name, arguments=arguments
    ).note("tool", at, id="c1", name=name, args_ok=arguments.endswith("}"), args_bytes=len(arguments))


def answered(tape: Tape, at: float = 13500, output: str = '{"ok":true}', *, asks: bool = True) -> Tape:
    """The client sends a result, and asks the model to go on."""
    item = {"type": "function_call_output", "call_id": "c1", "output": output}
    tape.msg(3, at, type="conversation.item.create", item=item)
    if not asks:
        return tape
    tape.msg(3, at + 20, type="response.create")
    tape.msg(2, at + 40, type="response.created", response={"id": "r9"})
    return tape.msg(2, at + 900, type="response.done", response={"id": "r9", "status": "completed"})


def test_a_tool_call_that_is_answered_has_no_findings():
    assert answered(called(foreign())).note("tool.done", 13500, id="c1", name="lookup", outcome="ok").rules() == []


def test_a_result_after_which_nobody_asks_the_model_to_go_on():
    assert answered(called(foreign()), asks=False).rules() == ["tools/nobody-continues"]
    late = answered(called(foreign(), 18500), 19000, asks=False)
    assert late.rules() == []  # the caller hung up a second later
    leaving = answered(called(foreign(("hang_up",)), name="hang_up"), asks=False)
    assert leaving.rules() == []  # nobody goes on after a goodbye


def test_a_result_beside_a_call_that_still_runs_waits_for_that_one():
    def both() -> Tape:
        tape = called(foreign(("lookup", "book")), 12000)
        call = {"type": "response.function_call_arguments.done", "call_id": "c2", "name": "book", "arguments": "{}"}
        tape.msg(2, 12001, **call).note("tool", 12001, id="c2", name="book", args_ok=True)
        item = {"type": "function_call_output", "call_id": "c2", "output": '{"booked":true}'}
        return answered(tape, 12100, asks=False).msg(3, 16000, type="conversation.item.create", item=item)

    goes_on = both().msg(3, 16020, type="response.create").msg(2, 16040, type="response.created", response={"id": "r9"})
    assert "tools/nobody-continues" not in goes_on.rules()
    assert "tools/nobody-continues" in both().rules()


def test_a_model_that_calls_tools_in_a_circle_is_named_and_what_was_called_again_is_told_once():
    tape = answered(called(foreign()), asks=False).note("tool.loop", 13510, n=13)
    for n in range(4):
        tape.note("tool.joined", 13400 + n, id=f"c{n}", name="lookup", of="c1", running=False)
    report = tape.report()
    assert tape.rules() == ["tools/answered-for"] and "13 times in a row" in report.because
    assert sum("with the same arguments 4 times" in one.sentence for one in report.others) == 1


def test_an_unknown_tool_is_a_fault_where_it_is_not_answered():
    assert called(foreign(), name="lookup_weather").rules() == ["tools/not-registered"]
    assert answered(called(foreign(), name="lookup_weather"), output='{"error":"unknown tool"}').rules() == []


def test_a_tool_that_failed_explains_its_exception_where_the_model_was_not_told():
    def call() -> Tape:
        tape = called(foreign()).note("exception", 13200, task="tool lookup", type="ValueError", where="tools.py:40")
        return tape.note("tool.done", 13200, id="c1", name="lookup", outcome="raised ValueError")

    (found,) = call().report().roots
    assert found.rule == "tools/raised" and "ValueError at tools.py:40" in found.sentence
    assert "tools/raised" not in answered(call(), output='{"error":"failed"}').rules()


@pytest.mark.parametrize(("arguments", "found"), [('{"city":"Os', ["tools/bad-arguments"]), ("{}", [])])
def test_arguments_that_are_no_json(arguments, found):
    tape = called(foreign(), arguments=arguments)
    assert (answered(tape) if not found else tape).rules() == found


def test_bad_arguments_that_are_answered_with_an_error_are_none():
    assert answered(called(foreign(), arguments='{"city":"Os'), output='{"error":"no JSON"}').rules() == []


@pytest.mark.parametrize(
    ("output", "found"),
    [('"{\\"ok\\":true}"', ["tools/encoded-twice"]), ('{"ok":true}', []), ('"It rains."', []), ("It rains.", [])],
)
def test_json_inside_a_json_string(output, found):
    assert answered(called(foreign()), output=output).rules() == found


def test_a_caller_who_leaves_during_a_slow_tool():
    tape = called(foreign(), 12500).ends(carrier_out={"last_ms": 11000})
    assert tape.rules() == ["tools/too-slow"]
    assert called(foreign(), 12500).ends(carrier_out={"last_ms": 15000}).rules() == []  # something was said meanwhile
    assert called(foreign(), 17000).ends(carrier_out={"last_ms": 11000}).rules() == []  # three seconds are not slow


def test_a_tool_that_an_interruption_starts_again():
    def call(speech: bool, arguments: int = 15) -> Tape:
        tape = called(foreign()).note("tool", 14400, id="c1-again", name="lookup", args_ok=True, args_bytes=arguments)
        if speech:
            tape.msg(2, 14300, type="input_audio_buffer.speech_started", item_id="i9")
            tape.msg(2, 15300, type="input_audio_buffer.speech_stopped", item_id="i9")
        return answered(tape, 16500).note("tool.done", 16500, id="c1", name="lookup", outcome="ok", ms=3500)

    assert call(True).rules() == ["tools/ran-twice"]
    assert call(False).rules() == []  # two calls of one response
    assert call(True, 40).rules() == []  # other arguments


def goodbyes(n: int, tools: tuple[str, ...] = ("hang_up",)) -> Tape:
    tape = foreign(tools)
    for k in range(n):
        tape.msg(2, 3000 + 3000 * k, type="response.output_audio_transcript.done", transcript="Thank you. Goodbye!")
    return tape


def test_goodbyes_without_a_hang_up_are_told_from_one_goodbye_and_from_an_agent_that_cannot():
    assert goodbyes(3).rules() == ["tools/goodbye-without-hang-up"]
    assert goodbyes(1).rules() == []
    assert goodbyes(3, ("lookup",)).rules() == []
    assert answered(called(goodbyes(3), name="hang_up")).rules() == []


def transferred(**rest: Any) -> Tape:
    tape = foreign(("transfer",)).without("stop")
    tape.change("close", by="us")
    return tape.note(
        "rest.result", 22000, **{"op": "update", "http": 404, "code": 20404, "ok": False, "ms": 1900, **rest}
    )


def test_a_transfer_that_comes_after_the_close():
    assert transferred().rules() == ["tools/transfer-after-close"]
    assert "tools/transfer-after-close" not in transferred(ok=True, http=200, code=None).rules()
    assert "tools/transfer-after-close" not in transferred().change("twiml", next_verb="Dial").rules()


# ------------------------------------------------------------------------------------------------ turns


def silent(spoke: int | None) -> Tape:
    tape = foreign().without(*SPEECH, *ANSWERS, "media", "mark").frames(1, 0).frames(2, 0)
    tape.frames(0, 1000, loud=int(spoke is not None)).frames(3, 1000, loud=int(spoke is not None))
    return tape.ends(marks={}, carrier_in={"spoke_ms": spoke})


def test_nobody_speaks_first():
    (found,) = silent(None).report().roots
    assert found.rule == "turns/nobody-speaks-first" and "Nothing else is broken" in found.sentence
    assert "turns/nobody-speaks-first" not in silent(2000).rules()  # the caller began
    greeted = silent(None).msg(3, 100, type="response.create")
    assert "turns/nobody-speaks-first" not in greeted.rules()


# ---------------------------------------------------------------------------------------------- records


def last_words(transcribed: bool, drained: float = 20.0) -> Tape:
    tape = foreign().msg(2, 18000, type="input_audio_buffer.speech_started", item_id="i9")
    tape.msg(2, 19800, type="input_audio_buffer.speech_stopped", item_id="i9")
    done = "conversation.item.input_audio_transcription.completed"
    tape.msg(2, 4000, type=done, item_id="i1", transcript="Hello")
    if transcribed:
        tape.msg(2, 19900, type=done, item_id="i9", transcript="Bye")
    closes = [line for line in tape.lines if line.get("leg") == "provider"]
    closes[0]["t"] = 20000 + drained
    return tape


def test_last_words_without_a_transcript():
    assert last_words(False).rules() == ["records/last-words-lost"]
    assert last_words(True).rules() == []
    assert last_words(False, 1500).rules() == []  # it was waited for, and none came


def test_a_session_that_was_not_asked_for_transcripts_lacks_none():
    tape = last_words(False).without("conversation.item.input_audio_transcription.completed")
    assert tape.rules() == []


def test_a_store_on_the_path_of_the_call_explains_the_standstill():
    stall = {"ms": 3000, "error": "SQLITE_BUSY"}
    tape = foreign().note("store.stall", 9000, **stall).note("bridge.loop-lag", 9000, ms=3000, task="store write")
    assert tape.rules() == ["records/store-on-call-path"]
    assert foreign().note("store.stall", 9000, **stall).rules() == []  # a writer of its own waited
    slow_machine = foreign().note("store.stall", 9000, beside=True, **stall).note("bridge.loop-lag", 9000, ms=3000)
    assert "records/store-on-call-path" not in slow_machine.rules()


def test_a_record_that_was_left_open_is_told_from_a_process_that_died():
    raised = {"task": "teardown", "type": "OperationalError", "where": "finish:120", "after_end": True}
    (found,) = foreign().note("exception", 20005, **raised).no_end().report().roots
    assert (found.rule, found.proof) == ("records/left-open", "proven")
    assert foreign().no_end().report().roots[0].proof == "consistent with"
    runs = structs.replace(foreign().no_end().recording(), live=True)  # its caller was given away
    assert not report(runs).roots
    died = foreign().without("stop", "close").no_end()
    assert died.rules() == ["records/process-died"]


def test_a_job_that_a_restart_loses_and_one_that_is_done_twice():
    def jobs(*states: str) -> Tape:
        tape = foreign()
        for n, state in enumerate(states):
            tape.note("process" if state == "start" else "job", 20030 + n, event=state, id="summary", state=state)
        return tape

    assert jobs("queued", "start").rules() == ["records/job-lost"]
    assert jobs("queued", "done", "done").rules() == ["records/job-lost"]
    assert jobs("queued", "done").rules() == []
    assert jobs("queued", "start", "done").rules() == []
    (lost,) = jobs("queued", "lost").report().roots
    assert (lost.rule, lost.catalogue) == (
        "records/job-lost",
        "F-156",
    ) and "not done when the server died" in lost.sentence
    assert jobs("queued", "done", "lost").rules() == []


# ----------------------------------------------------------------------------------------- said and done


def says(tape: Tape, text: str, at: float = 12000) -> Tape:
    return tape.msg(2, at, type="response.output_audio_transcript.done", response_id="r5", transcript=text)


def test_a_claim_without_its_act_and_what_makes_it_true():
    claim = "I've booked a table for you."
    (found,) = says(foreign(("book_table",)), claim).report().roots
    assert (found.rule, found.severity) == ("tools/claimed-not-done", "suspicion")
    assert "it has book_table, and did not call it" in found.sentence
    assert "it has no tool that could" in says(foreign(("hang_up",)), claim).report().roots[0].sentence
    assert says(answered(called(foreign(("book_table",)), 9000, name="book_table"), 9500), claim).rules() == []
    assert says(foreign(("book_table",)), "Would you like me to book a table?").rules() == []
    failed = called(foreign(("book_table",)), 9000, name="book_table")
    failed = answered(failed, 9500).note("tool.done", 9500, id="c1", name="book_table", outcome="raised ValueError")
    assert "tools/claimed-not-done" in says(failed, claim).rules()


def test_what_is_announced_must_follow_unless_the_caller_goes_on_talking():
    promise = "Let me check that for you."
    assert says(foreign(), promise).rules() == ["tools/claimed-not-done"]
    assert says(foreign(), promise + " Yes, we are open.").rules() == []
    assert answered(called(says(foreign(), promise), 13000)).rules() == []
    spoke = says(foreign(), promise).msg(2, 14000, type="input_audio_buffer.speech_started", item_id="i9")
    assert "tools/claimed-not-done" not in spoke.rules()
    assert says(foreign(("transfer_call",)), "I'm transferring you now.").rules() == ["tools/claimed-not-done"]


def test_what_the_bridge_mended_is_a_note():
    tape = says(foreign(("book_table",)), "I've booked it.", 9000).note(
        "claim.unmet", 12000, claim="booked", did="nudge"
    )
    tape = answered(called(tape, 16500, name="book_table"), 17000)
    assert tape.rules() == [] and "told so during the call" in tape.report().others[0].sentence


def test_what_went_wrong_and_was_answered_is_a_note_with_its_row():
    def ours(outcome: str) -> Tape:
        return answered(called(foreign())).note("tool.done", 13500, id="c1", name="lookup", outcome=outcome, ms=400)

    for outcome, row in (
        ("raised ValueError", "F-143"),
        ("timeout", "F-146"),
        ("invalid", "F-144"),
        ("unknown", "F-142"),
    ):
        report = ours(outcome).report()
        assert report.verdict == "healthy" and [f.catalogue for f in report.others] == [row], outcome
    assert not ours("ok").report().others
    again = ours("ok").note("tool.joined", 14000, id="c2", name="lookup", of="c1").report()
    assert [f.catalogue for f in again.others] == ["F-148"] and again.verdict == "healthy"


def test_a_tool_that_blocks_is_a_fault_where_it_was_too_late_for_its_answer():
    def ours(outcome: str) -> Tape:
        tape = answered(called(foreign())).note("tool.done", 13500, id="c1", name="lookup", outcome=outcome)
        return tape.note("tool.blocks", 13200, name="lookup", ms=1004, stack="own.py:12 lookup")

    assert ours("ok").rules() == []
    assert "tools/blocks-its-loop" in ours("timeout").rules()

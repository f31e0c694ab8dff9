"""Rules of the bridge itself: each fault by hand, beside what looks like it and is none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.diagnosis.tape import CA, MZ, Tape, good

from offhook.diagnosis.together import report_all

SPEECH = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
ANSWERS = ("response.created", "response.done", "response.output_audio.delta")
SEEN = ["webhook", "carrier", "provider"]


def foreign(*more: str, **begin: Any) -> Tape:
    """The good call of another program, seen from between its parts; ``more``: what else was seen."""
    return good(source="tap", sees=[*SEEN, *more], **begin)


def deaf(tape: Tape) -> Tape:
    """The provider hears nothing and says nothing."""
    tape.without(*SPEECH, *ANSWERS, "media", "mark").frames(1, 0).frames(2, 0).frames(3, 0)
    return tape.ends(marks={}, carrier_in={"spoke_ms": 3000})


def error(tape: Tape, at: float, code: str, message: str = "no") -> Tape:
    return tape.msg(2, at, type="error", error={"type": "invalid_request_error", "code": code, "message": message})


def barge(tape: Tape, **more: Any) -> Tape:
    """The second turn of the good call comes over five seconds of speech."""
    given = {"at_ms": 9000, "ahead_ms": 5000, "clear_after_ms": 40, "late_frames": 0, "response": "r1", **more}
    return tape.ends(carrier_out={"barge_ins": [given], "last_ms": 11000})


def closed(tape: Tape, at: float, **more: Any) -> Tape:
    """The provider's connection ends at ``at``, and what came after it never came."""
    tape.lines = [line for line in tape.lines if line["t"] < at or line.get("m", {}).get("event") == "stop"
                  or (line.get("note") == "close" and line.get("leg") == "carrier")]  # fmt: skip
    return tape.note("close", at, **{"leg": "provider", "code": 1011, "reason": "", "by": "them", "age_s": 5, **more})


def test_a_gate_that_never_opens_is_told_from_a_call_that_ended_first():
    assert deaf(foreign()).rules() == ["bridge/gate-never-opened"]
    short = deaf(foreign()).before(3000).frames(0, 100)
    assert "bridge/gate-never-opened" not in short.rules()


@pytest.mark.parametrize(("early", "found"), [(40, ["bridge/sent-before-ready"]), (3, [])])
def test_audio_before_the_confirmation(early, found):
    assert foreign().ends(provider={"appends_before_ready": early}).rules() == found


def test_a_reader_that_stops_at_a_harmless_error_is_told_from_one_that_stops_at_the_end():
    tape = error(foreign("bridge"), 9000, "x", "no active response found")
    tape.note("task.exit", 9001, name="provider_reader", why="error x")
    (found,) = tape.report().roots
    assert found.rule == "bridge/reader-stopped" and "no active response" in found.sentence
    ended = foreign("bridge").note("task.exit", 20010, name="provider_reader", why="closed")
    assert ended.rules() == []


def test_a_line_left_open_explains_the_loss_and_one_that_is_closed_in_time_does_not():
    def call(at: float) -> Tape:
        return closed(foreign(), at).ends(carrier_out={"last_ms": 4000}, marks={})

    assert call(8000).rules() == ["bridge/line-left-open"]
    assert call(18500).rules() == ["provider-session/lost"]


def test_a_line_of_the_server_s_own_that_was_sent_at_once_is_no_silence():
    def call(own_ms: int) -> Tape:
        tape = closed(foreign(), 8000).frames(1, (4000 + own_ms) // 20)
        return tape.ends(carrier_out={"last_ms": 8005}, provider={"audio_ms": 4000}, marks={})

    assert "bridge/line-left-open" not in call(4500).rules()
    assert call(0).rules() == ["bridge/line-left-open"]


def test_a_line_on_which_something_is_still_said_is_not_left_open():
    tape = closed(foreign(), 8000).ends(carrier_out={"last_ms": 16000}, marks={})
    assert "bridge/line-left-open" not in tape.rules()


@pytest.mark.parametrize(("gaps", "behind", "found"), [(41, 3000, ["bridge/underruns"]), (1, 40, [])])
def test_a_pacer_that_falls_behind(gaps, behind, found):
    assert foreign().ends(carrier_out={"underruns": gaps, "behind_ms": behind}).rules() == found


def hung_up(tape: Tape, unplayed: float, code: int = 1000) -> Tape:
    tape.without("stop").change("close", at=12500, by="us", code=code)
    return tape.note("ending", 19990, who="us", why="hang up", wanted=True, unplayed_ms=unplayed, marks_open=3)


@pytest.mark.parametrize(("unplayed", "found"), [(4300, ["bridge/closed-over-speech"]), (60, [])])
def test_a_goodbye_that_is_cut_off_is_told_from_one_that_was_heard(unplayed, found):
    assert hung_up(foreign("bridge"), unplayed).rules() == found


def test_an_idle_timer_over_speech_explains_the_hang_up_and_one_in_silence_is_none():
    over = {"after_s": 6.0, "agent_audio_pending": True, "pending": True, "ahead_ms": 8000, "tools": 0}
    assert hung_up(foreign("bridge"), 8000).note("idle.fired", 19980, **over).rules() == ["bridge/idle-over-speech"]
    silent = {**over, "agent_audio_pending": False, "pending": False, "ahead_ms": 0}
    assert hung_up(foreign("bridge"), 0).note("idle.fired", 19980, **silent).rules() == []


def test_an_interruption_without_clear_is_told_from_a_normal_one():
    assert barge(foreign(), clear_after_ms=None).rules() == ["bridge/barge-in-without-clear"]
    assert barge(foreign()).rules() == []
    assert barge(foreign(), clear_after_ms=None, ahead_ms=200).rules() == []  # nothing was left to silence


def test_audio_behind_the_clear_is_told_from_one_message_that_crossed_it():
    tape = barge(foreign(), late_frames=9)
    (found,) = tape.report().roots
    assert (found.rule, found.proof) == ("bridge/late-audio-sent", "consistent with")
    tape.change("response.done", m={"type": "response.done", "response": {"id": "r1", "status": "cancelled"}})
    (found,) = tape.report().roots
    assert found.proof == "proven"
    assert barge(foreign(), late_frames=1).rules() == []


@pytest.mark.parametrize(("asked", "found"), [(57340, ["bridge/truncated-by-wall-clock"]), (9400, [])])
def test_a_truncation_by_the_wall_clock_is_told_from_a_race(asked, found):
    text = f"Audio content of 9250ms is already shorter than {asked}ms"
    assert error(foreign(), 9100, "invalid_value", text).rules() == found
    assert barge(foreign(), truncated_ms=asked, item_ms=9250).rules() == found


def test_a_program_that_cuts_by_bytes_is_not_said_to_use_the_wall_clock():
    text = "Audio content of 2000ms is already shorter than 6000ms"
    assert error(good(source="bridge"), 9100, "invalid_value", text).rules() == []


def test_creating_over_an_active_response_is_a_fault_where_it_repeats():
    tape = foreign()
    for at in (3640, 10640):
        error(tape.msg(3, at, type="response.create"), at + 20, "conversation_already_has_active_response")
    assert tape.rules() == ["bridge/create-over-active"]
    once = error(foreign().msg(3, 3640, type="response.create"), 3660, "conversation_already_has_active_response")
    assert once.rules() == []


def dials(code: str, n: int) -> Tape:
    tape = deaf(foreign()).without("dial.begun", "dial.request", "dial.phase", "session.updated", "close")
    for k in range(n):
        at = 200 + 700 * k
        error(tape.note("dial.begun", at, attempt=k + 1), at + 50, code)
        tape.note("close", at + 60, leg="provider", code=1011, reason=code, by="them", age_s=0.1)
    return tape.note("close", 20010, leg="carrier", code=1000, reason="", by="them", age_s=19.9)


def test_endless_reconnects_explain_each_refusal_and_two_tries_are_none():
    assert dials("insufficient_quota", 9).rules()[0] == "bridge/endless-reconnect"
    assert "bridge/endless-reconnect" not in dials("insufficient_quota", 2).rules()
    assert "bridge/endless-reconnect" not in dials("server_error", 9).rules()  # that may pass


def test_our_own_keepalive_is_told_from_the_providers_1011():
    own = closed(foreign(), 12400, by="us", reason="keepalive ping timeout").ends(provider={"last_rx_ms": 12100})
    (found,) = own.report().roots
    assert (found.rule, found.proof) == ("bridge/own-keepalive", "proven")
    theirs = closed(foreign(), 12400, reason="keepalive ping timeout")
    assert "bridge/own-keepalive" not in theirs.rules()


def test_a_provider_that_was_silent_for_long_may_have_deserved_it():
    tape = closed(foreign(), 19000, by="us", reason="keepalive ping timeout").ends(provider={"last_rx_ms": 900})
    found = next(one for one in tape.report().roots if one.rule == "bridge/own-keepalive")
    assert found.proof == "consistent with"


def test_a_message_that_we_refused_as_too_big_is_told_from_one_that_they_refused():
    assert closed(foreign(), 12400, by="us", code=1009, reason="message too big").rules() == ["bridge/message-too-big"]
    assert "bridge/message-too-big" not in closed(foreign(), 12400, code=1009).rules()


def test_a_call_that_ends_as_another_begins_is_told_from_one_that_ended_before():
    def later(at: float) -> Tape:
        tape = foreign(call=CA[:-1] + "1")
        tape.lines = [{**line, "t": line["t"] + at} for line in tape.lines]
        return tape

    first = hung_up(foreign(), 0).without("ending")
    made = report_all([first.recording(), later(19700).recording()])
    assert [root.rule for root in made[0].roots] == ["bridge/shared-session"]
    made = report_all([first.recording(), later(3000).recording()])
    assert all(not one.roots for one in made)


def reopened(after: float, again: str) -> Tape:
    tape = foreign().note("close", 14000, leg="carrier", code=None, reason="dropped", by="nobody", age_s=13.9)
    if after < 5000:
        tape.note("close", 14050, leg="provider", code=1000, reason="", by="us", age_s=14)
        tape.note("dial.begun", 14000 + after + 10, attempt=2)
    start = {"streamSid": again, "callSid": CA, "tracks": ["inbound"], "mediaFormat": {"encoding": "audio/x-mulaw"}}
    return tape.msg(0, 14000 + after, event="start", streamSid=again, start=start)


def test_a_reconnect_that_gets_a_new_session_is_named():
    assert reopened(900, MZ.replace("1", "2")).rules() == ["bridge/reconnect-is-new"]
    assert "bridge/reconnect-is-new" not in reopened(900, MZ).rules()  # the same stream
    assert "bridge/reconnect-is-new" not in reopened(5900, MZ.replace("1", "2")).rules()


def manual() -> Tape:
    tape = deaf(foreign()).frames(3, 1000).without("session.update", "session.updated")
    off = {"audio": {"input": {"turn_detection": None}}}
    return tape.msg(3, 61, type="session.update", session=off).msg(2, 90, type="session.updated", session=off)


def test_a_turn_that_nothing_ends_is_told_from_one_that_the_client_commits():
    assert manual().rules() == ["bridge/turn-ends-by-gap"]
    assert "bridge/turn-ends-by-gap" not in manual().msg(3, 9000, type="input_audio_buffer.commit").rules()


def test_turn_logic_on_a_full_duplex_provider_is_named_and_on_another_one_not():
    def call(duplex: str) -> Tape:
        tape = foreign("bridge").msg(3, 9000, type="response.cancel")
        tape.begin["boot"] = {**tape.begin["boot"], "profile": {"provider": "live", "duplex": duplex}}
        return tape

    assert call("full").rules() == ["bridge/turn-logic-on-full-duplex"]
    assert call("half").rules() == []


def test_a_parser_that_fails_at_a_known_event_explains_its_exception():
    def call(**more: Any) -> Tape:
        given = {"task": "provider_reader", "type": "ValidationError", "where": "events.py:210", **more}
        return foreign("bridge").note("exception", 5001, **given)

    (found,) = call().report().roots
    assert (found.rule, found.field) == ("bridge/strict-parser", "response.done")
    assert call(task="carrier_reader").rules() == ["bridge/exception"]
    assert call(after_end=True).rules() == []


def test_a_process_that_stood_still():
    assert foreign("bridge").note("bridge.loop-lag", 8000, ms=1300, task="tool x").rules() == ["bridge/loop-blocked"]
    assert foreign("bridge").note("bridge.loop-lag", 8000, ms=60, task="tool x").rules() == []


def test_a_stream_that_is_closed_after_the_callers_stop_cuts_nobody_off():
    tape = good().change("close", by="us").note("ending", 20_020.0, who="caller", why="hung up", unplayed_ms=4300)
    assert tape.rules() == []
    assert tape.without("stop").rules() == ["bridge/closed-over-speech"]

"""Rules of the provider's boundaries and of the audio: each fault by hand, beside what looks like it and is none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.diagnosis.tape import CA, MZ, Tape, figures, good

PCMU = {"type": "audio/pcmu"}
PCM = {"type": "audio/pcm", "rate": 24000}


def session(tape: Tape, kind: str, at: float, **given: Any) -> Tape:
    return tape.msg(3 if kind == "session.update" else 2, at, type=kind, session=given)


def audio(input: Any = PCMU, output: Any = PCMU, **more: Any) -> dict[str, Any]:
    turns = {"type": "server_vad", "threshold": 0.5, **more}
    return {"input": {"format": input, "turn_detection": turns}, "output": {"format": output, "voice": "marin"}}


def asked(tape: Tape, request: Any, echo: Any = None) -> Tape:
    """The same call with other sessions; without ``echo`` nothing confirms them."""
    tape.without("session.update", "session.updated")
    session(tape, "session.update", 61, **request)
    return session(tape, "session.updated", 90, **echo) if echo is not None else tape


def error(tape: Tape, at: float, code: str, param: str = "", message: str = "no") -> Tape:
    return tape.msg(2, at, type="error", error={"code": code, "param": param, "message": message})


def quiet(tape: Tape) -> Tape:
    """Nobody answered: no responses, no audio from the provider."""
    tape.without("response.created", "response.done", "response.output_audio.delta", "media", "mark")
    return tape.frames(1, 0).frames(2, 0).ends(marks={})


def test_the_good_call_has_no_findings():
    assert good().rules() == []
    assert asked(good(), {"audio": audio()}, {"audio": audio()}).rules() == []


def refused_upgrade(path: str, keys: list[str], status: int) -> Tape:
    tape = quiet(good()).without("session.created", "session.update", "session.updated", "dial.phase")
    tape.without("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped").frames(3, 0)
    tape.change("dial.request", path=path, query_keys=keys)
    return tape.note("dial.failed", 50, phase="upgrade", cause=f"HTTP {status}", status=status)


def test_another_services_url_shape_is_told_from_a_refused_key():
    assert refused_upgrade("/openai/realtime", ["api-version"], 404).rules() == ["provider-connect/wrong-url-shape"]
    assert "provider-connect/wrong-url-shape" not in refused_upgrade("/v1/realtime", ["model"], 401).rules()


def test_who_was_dialled_is_the_provider_that_runs_where_the_program_itself_is_not_seen():
    tape = good().change("dial.request", host="api.openai.com")
    tape.begin |= {"source": "dial", "sees": ["carrier", "provider"], "boot": {"intended": "xai"}}
    assert tape.rules() == ["settings/wrong-provider"]
    tape.begin["boot"] = {"intended": "openai"}
    assert tape.rules() == []


@pytest.mark.parametrize(("ms", "found"), [(6000, ["provider-connect/slow"]), (900, [])])
def test_a_late_connection_is_named_a_usual_one_not(ms, found):
    assert good().note("dial.phase", 49, phase="tls", ms=ms).rules() == found


def test_a_flat_session_is_named_where_it_is_refused_and_left_alone_where_it_is_taken():
    flat = {"modalities": ["audio"], "input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
    refused = error(asked(quiet(good()), flat), 80, "missing_required_parameter", "session.type")
    assert refused.rules()[0] == "provider-session/flat-shape"
    assert asked(good(), flat, flat).rules() == []


@pytest.mark.parametrize(
    ("param", "row"), [("session.tools[0].strict_mode", "F-098"), ("session.audio.output.voice", "F-099")]
)
def test_a_rejected_field_is_named_by_its_path(param, row):
    tape = error(asked(quiet(good()), {"audio": audio()}), 80, "unknown_parameter", param)
    (found,) = tape.report().roots
    assert (found.rule, found.catalogue, found.field) == ("provider-session/rejected", row, param)


def test_an_error_about_the_session_after_a_confirmation_rejects_nothing():
    assert error(good(), 5000, "invalid_value", "session.x").rules() == []


def test_audio_that_nobody_passes_on_is_consistent_with_an_old_event_name():
    tape = good().without("media", "mark").frames(1, 0).ends(marks={})
    assert "provider-session/old-event-names" not in tape.rules()  # our own bridge knows the names
    tape.begin |= {"source": "tap", "sees": ["webhook", "carrier", "provider"]}
    (found,) = tape.report().roots
    assert (found.rule, found.proof) == ("provider-session/old-event-names", "consistent with")


def test_text_without_audio_is_named_and_text_beside_audio_is_not():
    delta = {"type": "response.output_text.delta", "delta": "Hello"}
    assert quiet(good()).msg(2, 4000, **delta).rules()[0] == "provider-session/text-only"
    assert good().msg(2, 4000, **delta).rules() == []


def test_turns_that_nobody_answers_are_named_where_nobody_was_asked_to():
    off = {"audio": audio(create_response=False)}
    assert asked(quiet(good()), off, off).rules() == ["provider-session/nobody-asks"]
    assert asked(good(), off, off).rules() == []  # the client asks by itself


def test_a_caller_who_left_without_an_answer_before_any_deadline_is_told_of():
    def left(asked_at: float, *more: dict[str, str]) -> Tape:
        """Their last turn ends 1.5 s after ``asked_at``, and they hang up at 20 s."""
        tape = good().without("stop", "close")
        tape.msg(2, asked_at, type="input_audio_buffer.speech_started")
        tape.msg(2, asked_at + 1500, type="input_audio_buffer.speech_stopped")
        for n, message in enumerate(more):
            tape.msg(2, asked_at + 1600 + n, **message)
        tape.msg(0, 20000, event="stop", streamSid=MZ, stop={"callSid": CA})
        return tape.note("close", 20010, leg="carrier", code=1000, reason="", by="them", age_s=19.9, clean=True)

    long = left(12_400).report()  # 6.1 s
    assert long.verdict == "suspected" and [root.rule for root in long.roots] == ["turns/no-answer"]
    short = left(15_400).report()  # 3.1 s: a model may think so long
    assert short.verdict == "healthy" and [found.rule for found in short.others] == ["turns/no-answer"]
    assert left(15_600).rules() == []
    assert left(12_400, {"type": "response.created"}).rules() == []  # it had begun
    assert left(12_400, {"type": "input_audio_buffer.speech_started"}).rules() == []  # the caller went on
    by_us = left(12_400).note("rest.result", 19_000, op="hang-up", http=200, ok=True)
    assert "turns/no-answer" not in by_us.rules()


def test_a_caller_below_the_threshold_is_told_from_a_caller_who_is_silent():
    deaf = {"audio": audio(threshold=0.9)}

    def call() -> Tape:
        tape = asked(quiet(good()), deaf, deaf)
        return tape.without("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")

    assert call().rules() == ["provider-session/caller-not-detected"]
    assert call().frames(0, 1000, loud=0).frames(3, 1000, loud=0).rules() == ["turns/nobody-speaks-first"]


def test_a_turn_without_an_end_is_named_and_one_that_the_hang_up_ends_is_not():
    tape = good().msg(2, 12500, type="input_audio_buffer.speech_started")
    assert tape.rules() == []
    long = quiet(good()).without("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
    long.msg(2, 3000, type="input_audio_buffer.speech_started")
    assert long.rules() == ["provider-session/turn-never-ends"]


def test_answers_that_the_provider_cuts_short_are_told_from_those_that_say_nothing():
    def ended(reason: str, said: str) -> Tape:
        tape = good().msg(2, 14000, type="response.created", response={"id": "x"})
        tape.msg(2, 14400, type="response.output_audio_transcript.done", response_id="x", transcript=said)
        details = {"type": "incomplete", "reason": reason}
        response = {"id": "x", "status": "incomplete", "status_details": details}
        return tape.msg(2, 14500, type="response.done", response=response)

    assert ended("max_output_tokens", "We are open from").rules() == ["turns/cut-short"]
    assert ended("max_output_tokens", "").rules() == []  # one that said nothing is no row of them
    assert ended("turn_detected", "We are open from").rules() == []  # the caller cut it


def test_audio_that_cannot_be_read_is_the_root_of_turns_that_say_nothing():
    tape = good().without("response.output_audio.delta").frames(2, 0).frames(1, 0)
    for n in range(6):
        tape.violation("item_id", 300.0 + n, ch=2, wire="openai", message="response.output_audio.delta",
                       got="Object missing required field `item_id`", wanted="the documented shape", by="peer",
                       code=None)  # fmt: skip
    found = tape.report().roots
    assert [(one.rule, one.catalogue) for one in found] == [("provider-session/contract", "F-172")]
    few = good().violation(
        "item_id", 9000.0, ch=2, message="response.output_audio.delta", got="x", by="peer", code=None
    )
    assert few.report().verdict == "healthy"


def test_a_response_that_fails_for_its_model_and_an_input_format_have_rows_of_their_own():
    failed = {"status": "failed", "status_details": {"type": "failed", "error": {"code": "model_not_found"}}}
    tape = good().msg(2, 14500, type="response.done", response={"id": "x", **failed})
    assert tape.report().catalogue == ("F-092",)
    differs = {"asked": "audio/pcmu", "got": "audio/pcm", "fatal": True}
    inward = good().note("session.difference", 300.0, field="audio.input.format", **differs)
    assert "F-126" in inward.report().catalogue
    both = inward.note("session.difference", 300.0, field="audio.output.format", **differs)
    assert "F-127" in both.report().catalogue and "F-126" not in both.report().catalogue


def test_turn_detection_that_the_echo_puts_off_is_named_though_the_record_has_no_null():
    tape = quiet(good()).without("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
    tape.note(
        "session.difference", 300.0, field="turn_detection", asked='{"type":"server_vad"}', got="null", fatal=False
    )
    assert tape.rules() == ["provider-session/nobody-asks"]


def test_turns_that_end_without_a_sound_are_named_a_single_one_or_a_barge_in_is_not():
    def ended(n: int, reason: str) -> Tape:
        tape = good()
        for k in range(n):
            tape.msg(2, 14000 + k, type="response.created", response={"id": f"x{k}"})
            details = {"type": "incomplete", "reason": reason}
            response = {"id": f"x{k}", "status": "incomplete", "status_details": details}
            tape.msg(2, 14500 + k, type="response.done", response=response)
        return tape

    assert ended(3, "content_filter").rules() == ["provider-session/turns-without-audio"]
    assert ended(1, "content_filter").rules() == []


def xai(tape: Tape, keys: list[str], model: str) -> Tape:
    tape.change("dial.request", host="api.x.ai", query_keys=keys)
    return tape.change("session.created", m={"type": "session.created", "session": {"model": model}})


def test_a_url_without_model_is_a_fault_only_where_an_old_model_answers():
    def call(keys: list[str], model: str) -> list[str]:
        return xai(good(), keys, model).without("session.updated").msg(
            2, 90, type="session.updated", session={"model": model}
        ).rules()  # fmt: skip

    assert call([], "grok-voice-fast-1.0") == ["provider-session/model-not-chosen"]
    assert call([], "grok-voice-latest") == []
    assert call(["model"], "grok-voice-fast-1.0") == []


def test_a_missing_model_is_named_where_the_provider_says_so():
    tape = quiet(good()).without("session.created", "session.update", "session.updated").before(200)
    error(tape.change("dial.request", query_keys=[]), 70, "missing_model")
    tape.note("close", 90, leg="provider", code=4000, reason="missing_model", by="them")
    assert tape.frames(0, 5).frames(3, 0).rules() == ["provider-session/model-missing"]


def test_a_setting_in_another_providers_place_is_named_by_the_echo():
    request = {"audio": {"output": {"voice": "rex"}, "input": {}}}
    lost = asked(xai(good(), ["model"], "grok-voice-latest"), request, {"voice": "xai_eve"})
    assert lost.rules() == ["provider-session/misplaced-setting"]
    kept = asked(xai(good(), ["model"], "grok-voice-latest"), {"voice": "rex"}, {"voice": "xai_rex"})
    assert kept.rules() == []


def test_a_refusal_at_the_first_audio_is_told_from_one_in_the_middle():
    def closed(frames: int, came: int) -> Tape:
        tape = asked(quiet(good()), {"audio": audio()}, {"audio": audio()}).before(1000)
        tape.note("close", 1000, leg="provider", code=4003, reason="permission_denied", by="them", age_s=0.9)
        return tape.frames(0, 60, loud=0).frames(3, frames, loud=0).frames(2, came)

    assert closed(3, 0).rules() == ["provider-session/refused-at-first-audio"]
    assert closed(50, 20).rules() == ["provider-session/lost"]


@pytest.mark.parametrize(
    ("code", "reason", "row"),
    [
        (1001, "", "F-121"),
        (3000, "", "F-091"),
        (1008, "permission_denied", "F-005"),
        (1000, "maximum duration reached", "F-108"),
        (1011, "internal", "F-121"),
        (None, "", "F-121"),
    ],
)
def test_a_lost_session_is_told_by_its_close(code, reason, row):
    tape = good().before(19_000)
    tape.note("close", 12_000, leg="provider", code=code, reason=reason, by="them", age_s=12.0)
    tape.note("close", 13_000, leg="carrier", code=1000, reason="", by="us")
    assert [f.catalogue for f in tape.report().roots if f.boundary == "provider-session"] == [row]


def test_a_provider_that_closes_after_the_caller_has_left_is_healthy():
    tape = good().without("close").note("close", 20_010, leg="carrier", code=1000, by="them")
    assert tape.note("close", 20_400, leg="provider", code=1001, by="them").rules() == []


@pytest.mark.parametrize(("code", "row"), [("insufficient_quota", "F-105"), ("server_error", "F-107")])
def test_failed_responses_are_told_by_their_reason(code, row):
    details = {"type": "failed", "error": {"code": code}}
    tape = good().msg(2, 14_000, type="response.created", response={"id": "f"})
    tape.msg(2, 14_100, type="response.done", response={"id": "f", "status": "failed", "status_details": details})
    assert [f.catalogue for f in tape.report().roots] == [row]


def test_harmless_races_are_notes():
    tape = error(good().msg(3, 3400, type="input_audio_buffer.commit"), 3500, "input_audio_buffer_commit_empty")
    error(tape, 5000, "cannot_update_voice", "session.audio.output.voice")
    report = tape.report()
    assert report.verdict == "healthy"
    assert {f.catalogue for f in report.others} >= {"F-122", "F-100"}


# ------------------------------------------------------------------------------------------------ audio


def test_the_format_of_the_uplink_is_told_by_its_bytes():
    def sent(size: int, told: Any) -> list[str]:
        return asked(good(), {"audio": audio(told)}, {"audio": audio(told)}).frames(3, 1000, size=size).rules()

    assert sent(160, PCM) == ["media/uplink-format"]
    assert sent(320, PCM) == ["media/uplink-format"]
    assert sent(960, PCM) == [] and sent(160, PCMU) == []


def truncated(has_ms: int, sent_ms: int) -> list[str]:
    """The provider says how much audio it made of an item that was cut."""
    tape = good().note("barge-in", 12_000, item="i", heard_ms=900, sent_ms=sent_ms)
    said = f"Audio content of {has_ms}ms is already shorter than 4966ms"
    return tape.note("provider.error", 12_050, code="invalid_value", message=said, benign=True, fatal=False).rules()


def test_the_rate_of_our_own_downlink_is_told_by_what_the_provider_says_it_made():
    assert truncated(3480, 6960) == ["media/made-at-another-rate"]
    assert truncated(4960, 5000) == []  # a rounding apart
    assert truncated(0, 6960) == []


def test_the_rate_of_the_downlink_is_told_by_its_seconds():
    def played(size: int) -> list[str]:
        told = {"audio": audio(output=PCM)}
        return asked(good(), told, told).frames(2, 100, size=4800).frames(1, 100, size=size).rules()

    assert played(2400) == ["media/downlink-rate"]
    assert played(800) == []


def test_a_later_update_that_resets_the_formats_is_named():
    tape = asked(good(), {"audio": audio()}, {"audio": audio()})
    assert session(tape, "session.updated", 12_000, audio=audio()).rules() == []
    assert session(tape, "session.updated", 13_000, audio=audio(PCM, PCM)).rules() == ["media/format-reset"]


def test_another_format_than_asked_is_named_in_whatever_shape_it_was_asked_for():
    flat = {"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}
    tape = asked(good(), flat, {"audio": audio(PCM, PCM)})
    assert tape.rules() == ["provider-session/format-not-applied"]


@pytest.mark.parametrize(
    ("note", "row"),
    [({"tone_hz": 1000, "snr_db": 18}, ["F-131"]), ({"tone_hz": 6000, "alias_db": -3}, ["F-132"]),
     ({"tone_hz": 1000, "snr_db": 38}, []), ({"tone_hz": 6000, "alias_db": -60}, [])],
)  # fmt: skip
def test_a_tone_through_the_programs_own_path_tells_what_it_does(note, row):
    assert [f.catalogue for f in good().note("audio.selftest", 5.0, **note).report().roots] == row


def test_a_file_header_is_named_before_the_contract_that_it_breaks():
    tape = good().violation("media.payload", got="a file header b'RIFF'", code=None)
    assert tape.rules() == ["media/file-header"]


@pytest.mark.parametrize(("odd", "found"), [(90, ["media/odd-frames"]), (2, [])])
def test_broken_frames_are_named_a_last_short_piece_is_not(odd, found):
    assert good().ends(carrier_out={"frames": 100, "not_whole": odd}).rules() == found


def test_clipped_audio_is_named_and_a_loud_word_is_not():
    def loudest(n: int) -> list[int]:
        made = figures(400, size=800)
        made[-1], made[12 + 12] = n, 80 - n
        return made

    tape = good()
    tape.audio[1] = loudest(60)
    assert tape.rules() == ["media/level"]
    tape.audio[1] = loudest(8)
    assert tape.rules() == []


def test_speech_of_no_level_is_named_a_pause_is_not():
    tape = good()
    faint = figures(200, size=800)
    faint[12:] = [15, 0, 0, 0, 5, 20] + [0] * 10
    tape.audio[2] = faint
    assert tape.rules() == ["media/digital-silence"]


def test_a_dead_model_in_the_url_is_told_from_a_wrong_path():
    def call(model: str, body: str, status: int = 404) -> list[str]:
        tape = refused_upgrade("/v1/realtime", ["model"], status).without("dial.failed")
        tape.change("dial.request", query={"model": model})
        return tape.note("dial.failed", 50, phase="upgrade", cause=f"HTTP {status}", status=status, body=body).rules()

    assert call("gpt-4o-realtime-preview", "") == ["provider-connect/dead-model"]
    assert call("my-model", "the model my-model does not exist") == ["provider-connect/dead-model"]
    assert "provider-connect/dead-model" not in call("gpt-realtime", "not found")


def test_what_breaks_the_providers_contract_is_a_fault_of_who_sent_it_and_a_note_of_what_came():
    client = {"ch": 3, "wire": "openai", "message": "conversation.item.create", "code": "invalid_value"}
    assert good().violation("item.type", 3000, **client).rules() == ["provider-session/contract"]
    came = {"ch": 2, "wire": "openai", "message": "frame", "by": "peer", "code": None}
    report = good().violation(None, 3000, **came).report()
    assert report.verdict == "healthy"
    assert "provider-session/contract" in [one.rule for one in report.others]

"""The catalogue is whole, and its injections leave records that are fit to be judged."""

import json

import pytest

from offhook.sims.faults.catalogue import injections, rows
from offhook.sims.faults.variations import vary

ROWS = {row.id: row for row in rows()}


def test_every_row_is_injected_or_says_why_not():
    assert len(ROWS) == 184
    missing = [row.id for row in ROWS.values() if row.id not in injections() and not (row.wire or row.reason)]
    assert missing == []
    assert not [name for name in injections() if ROWS[name].wire], "a wire that is built is not listed apart"


def test_every_injection_is_of_a_row():
    assert set(injections()) <= set(ROWS)


def test_stacks_name_several_causes_and_healthy_rows_none():
    for row in ROWS.values():
        assert (len(row.findings) > 1) == row.id.startswith("S-"), row.id
        if row.id.startswith("H-"):
            assert not row.findings


@pytest.mark.parametrize("name", ["F-003", "F-023", "F-035", "F-049", "F-091", "F-159"])
def test_no_secret_and_no_number_is_in_a_recording(name):
    for recording in injections()[name]():
        text = json.dumps([line.data for line in recording.lines])
        for secret in ("sk-foreign-1", "sk-test-0001", "t" * 32, "+15550100001", "Bearer "):
            assert secret not in text


def test_the_same_seed_gives_the_same_call():
    first, again = ([line.data for line in recording.lines] for recording in (vary(5)[0], vary(5)[0]))
    for one, two in zip(first, again, strict=True):
        if "boot" not in one:  # the begin line has the day's date
            assert one == two


def lines_of(name, kind, **wanted):
    found = [line.data for recording in injections()[name]() for line in recording.notes(kind)]
    return [data for data in found if all(data.get(key) == value for key, value in wanted.items())]


def out_of(name):
    return [recording.end["carrier_out"] for recording in injections()[name]()]


# What each of these rows is told by, in the words of the catalogue's evidence.


def test_a_misspelt_field_spoils_every_frame_and_brings_no_mark_back():
    (out,) = out_of("F-049")
    assert out["frames"] == 0 and out["bad"]["media:streamSid"] > 100 and out["marks"]["returned"] == 0


def test_a_dropped_connection_is_the_programs_own():
    (close,) = lines_of("F-059", "close", leg="carrier")
    assert close["by"] == "us" and close["code"] is None
    (exception,) = lines_of("F-059", "exception")
    assert exception["type"] == "ZeroDivisionError" and not exception["after_end"]


def test_a_barge_in_without_clear_leaves_seconds_to_hear():
    (out,) = out_of("F-077")
    assert out["barge_ins"][0]["ahead_ms"] > 5000 and out["barge_ins"][0]["clear_after_ms"] is None


def test_late_audio_follows_the_clear():
    (out,) = out_of("F-078")
    assert out["after_clear"] > 0


def test_a_naive_pacer_runs_dry_all_the_time_and_an_absolute_one_never():
    from offhook.sims.faults.scene import foreign

    (out,) = out_of("F-075")
    assert out["underruns"] > 100
    (good,) = foreign(pace="absolute")
    assert good.end["carrier_out"]["underruns"] == 0


def test_a_constant_age_is_constant_over_calls():
    ages = [data["age_s"] for data in lines_of("F-013", "close", leg="provider")]
    assert len(ages) == 3 and max(ages) - min(ages) < 0.1


def test_what_echo_is_can_be_measured():
    def correlation(name):
        return [recording.end["carrier_in"]["echo"]["correlation"] for recording in injections()[name]()][0]

    assert correlation("F-161") > 0.6 > correlation("F-162")


def test_a_forgetful_resampler_is_heard_in_the_self_test():
    from offhook.sims.faults.scene import foreign, wait
    from offhook.sims.provider import Answer, tone

    steady = {"greeting": Answer(audio=tone(4000, 1000.0, -12.0), transcript="")}
    (right,) = foreign(audio="pcm", net=steady, play=wait(14.0), selftest=1000.0)
    (good,) = right.notes("audio.selftest")
    (bad,) = lines_of("F-131", "audio.selftest")
    assert bad["snr_db"] < 25 < good.data["snr_db"]
    (alias,) = lines_of("F-132", "audio.selftest")
    assert alias["alias_db"] > -6

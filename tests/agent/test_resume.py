"""A call that was cut off is kept for its number, for its agent, for a while, once, and over a restart."""

import stat

import pytest

from offhook.agent.resume import CutOff, FileResumes, tail
from offhook.evidence.numbers import NumberHash

SAID = (("caller", "I want Tuesday."), ("agent", "Tuesday at"))
NUMBER = "+15550100001"
HASH = NumberHash(b"key")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(tmp_path, agent="desk", until=1300.0):
    clock = Clock()
    resumes = FileResumes(tmp_path / "r", HASH, clock)
    resumes.keep(NUMBER, CutOff(agent, 1000.0, until, SAID, "CA1"))
    return resumes, clock


def test_it_is_given_out_once(tmp_path):
    resumes, _ = kept(tmp_path)
    call = resumes.take(NUMBER, "desk")
    assert call is not None and call.said == SAID
    assert resumes.take(NUMBER, "desk") is None


def test_another_process_after_a_restart_finds_it_and_two_cannot_both(tmp_path):
    kept(tmp_path)
    again = [FileResumes(tmp_path / "r", HASH, Clock()).take(NUMBER, "desk") for _ in range(2)]
    assert [call is not None for call in again] == [True, False]


def test_not_for_another_number_not_for_another_agent_not_too_late(tmp_path):
    resumes, clock = kept(tmp_path)
    assert resumes.take("+15550100009", "desk") is None
    clock.now = 1300.1
    assert resumes.take(NUMBER, "desk") is None
    resumes, _ = kept(tmp_path)
    assert resumes.take(NUMBER, "night") is None


def test_nobody_else_reads_it_and_no_number_stands_in_a_name_or_a_file(tmp_path):
    kept(tmp_path)
    files = list((tmp_path / "r").iterdir())
    assert sorted(path.suffix for path in files) == [".json"]
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "5550100001" not in path.name and b"5550100001" not in path.read_bytes()


def test_what_is_too_old_and_what_is_no_such_file_goes(tmp_path):
    resumes, clock = kept(tmp_path)
    (tmp_path / "r" / "foreign.json").write_text("{")
    clock.now = 2000.0
    resumes.keep("+15550100009", CutOff("desk", 2000.0, 2300.0, SAID, "CA2"))
    assert len(list((tmp_path / "r").glob("*.json"))) == 1


def test_a_file_that_something_else_wrote_is_no_call(tmp_path):
    resumes, _ = kept(tmp_path)
    (path,) = (tmp_path / "r").glob("*.json")
    path.write_text('{"agent": 1}')
    assert resumes.take(NUMBER, "desk") is None and not path.exists()


def test_the_tail_is_whole_turns_and_of_one_that_is_too_long_its_end():
    said = [("caller", "a" * 50), ("agent", "b" * 30), ("caller", "c" * 40)]
    assert tail(said, 75) == (("agent", "b" * 30), ("caller", "c" * 40))
    assert tail([("agent", "x" * 90 + "end")], 13) == (("agent", "… " + "x" * 10 + "end"),)
    assert tail([]) == ()


def test_it_is_forgotten_by_number_however_it_is_written_and_by_call_with_what_was_left_half_done(tmp_path):
    resumes, _ = kept(tmp_path)
    (path,) = (tmp_path / "r").glob("*.json")
    path.with_name(f"{path.name}.ab.taken").write_bytes(path.read_bytes())
    assert path.stem == HASH(NUMBER) and resumes.forget("001 555-010-0001") is True
    assert not list((tmp_path / "r").iterdir()) and resumes.forget(NUMBER) is False
    kept(tmp_path)
    assert resumes.forget_call("CA9") is False and resumes.forget_call("CA1") is True
    assert not list((tmp_path / "r").iterdir())


def test_callers_who_cannot_be_told_apart_share_nothing(tmp_path):
    resumes = FileResumes(tmp_path / "r", lambda number: "")
    with pytest.raises(OSError, match="told apart"):
        resumes.keep(NUMBER, CutOff("desk", 1000.0, 1300.0, SAID, "CA1"))
    with pytest.raises(OSError, match="told apart"):
        resumes.take(NUMBER, "desk")

"""A call that died with its server is one that was cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offhook.agent.resume import CutOff, FileResumes
from offhook.cli.cut_off import cut_off
from offhook.evidence.record import Recording

BEGAN_S = 1_795_662_150.0


def record(*, verified: bool = True, words: bool = True, direction: str = "inbound") -> Recording:
    said: list[dict[str, Any]] = [
        {"type": "response.output_audio_transcript.done", "item_id": "i1", "transcript": "Hello."},
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "c1", "transcript": "Ten?"},
    ]
    lines = [
        {"k": "begin", "t": 0.0, "version": 1, "source": "bridge", "sees": ["carrier", "provider", "bridge"],
         "began_ms": round(BEGAN_S * 1000), "call": "CA1", "direction": direction, "caller_id": "ab12",
         "called_id": "cd34"},
        {"k": "note", "t": 1.0, "note": "agent", "name": "desk", "verified": verified},
    ]  # fmt: skip
    for n, message in enumerate(said[: 2 if words else 1], 1):
        lines.append({"k": "msg", "t": 1000.0 * n, "ch": 2, "bytes": 9, "m": message})
    return Recording.parse([json.dumps(line).encode() for line in lines])


def test_it_is_kept_for_the_same_number_and_given_out_once(tmp_path):
    found = cut_off(record(), lambda agent: {"desk": 300.0}[agent], BEGAN_S + 60)
    assert found is not None and found[0] == "ab12"
    died = BEGAN_S + 2.0
    assert found[1] == CutOff("desk", died, died + 300, (("agent", "Hello."), ("caller", "Ten?")), "CA1")
    resumes = FileResumes(tmp_path, lambda number: "ab12", now=lambda: died + 100)
    resumes.keep_of(*found)
    assert resumes.take("+15550100001", "desk") == found[1] and resumes.take("+15550100001", "desk") is None


@pytest.mark.parametrize(
    ("given", "resume_s", "later_s"),
    [({"verified": False}, 300.0, 60), ({"words": False}, 300.0, 60), ({}, 0.0, 60), ({}, 300.0, 400)],
)
def test_not_for_a_number_that_nobody_vouches_for_nor_without_a_word_nor_too_late(given, resume_s, later_s):
    assert cut_off(record(**given), lambda agent: resume_s, BEGAN_S + later_s) is None


def test_of_a_call_that_we_placed_the_other_side_is_the_one_who_calls_back():
    found = cut_off(record(direction="outbound-api"), lambda agent: 300.0, BEGAN_S + 60)
    assert found is not None and found[0] == "cd34"

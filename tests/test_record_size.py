"""How large a record is: a call of ten minutes in virtual time, and what of it must never be thinned out."""

import json
from collections import Counter

import pytest

from offhook import vocab as v
from offhook.evidence.lines import Scribe
from offhook.evidence.record import Channel
from offhook.sims.faults.scene import CALLER, SHORT, ours
from offhook.sims.run_world import Journals

TURNS = 30
INSTRUCTIONS = "You answer the phone of a dentist. Be kind, be brief. " * 80  # 4.3 kB


def ten_minutes(line) -> None:
    for n in range(TURNS):
        line.then(5.0 + 19.5 * n, lambda n=n: line.say(CALLER if n % 2 else SHORT))
    line.then(600.0, line.hang_up)


def call_of_ten_minutes(monkeypatch, provider: str) -> list[bytes]:
    monkeypatch.setattr(Journals, "recordings", lambda self: [made.scribe.lines(made.take()) for made in self.made])
    (lines,) = ours(provider, ten_minutes, limit_s=700.0, session={"instructions": INSTRUCTIONS})
    return lines


def sizes(lines: list[bytes]) -> dict[str, tuple[int, int]]:
    """Bytes and lines by kind: where the room goes."""
    n_bytes, n_lines = Counter(), Counter()
    for line in lines:
        data = json.loads(line)
        message = data.get("m", {})
        kind = f"{data['k']} {data.get('ch', '')} {message.get('type') or message.get('event') or data.get('note', '')}"
        n_bytes[kind] += len(line) + 1
        n_lines[kind] += 1
    return {kind: (size, n_lines[kind]) for kind, size in n_bytes.most_common()}


EVERY = {
    "openai": ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created",
               "response.done", "response.output_audio_transcript.done",
               "conversation.item.input_audio_transcription.completed"),
    "xai": ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created",
            "response.done", "response.output_audio_transcript.done"),
}  # fmt: skip


@pytest.mark.parametrize("provider", ["openai", "xai"])
def test_a_call_of_ten_minutes_stays_in_its_budget_and_keeps_every_turn(monkeypatch, provider):
    lines = call_of_ten_minutes(monkeypatch, provider)
    by_kind = sizes(lines)
    total = sum(size for size, _ in by_kind.values())
    assert total < 57_000, by_kind  # 12 kB and 1.2 kB a turn; before it was 243 kB
    for kind in EVERY[provider]:
        assert by_kind[f"msg 2 {kind}"][1] == TURNS, kind
    assert by_kind["note  reply"][1] == TURNS
    assert len([line for line in lines if INSTRUCTIONS[:30].encode() in line]) == 2  # asked and applied, by their hash
    assert not any(INSTRUCTIONS[:200].encode() in line for line in lines)
    (counters,) = [json.loads(line) for line in lines if line.startswith(b'{"k":"counters"')]
    assert counters["skipped"]["response.output_audio_transcript.delta"] > 2 * TURNS


def plain(data: bytes, *, binary: bool = False) -> dict:
    return json.loads(data)


def test_what_only_repeats_is_counted_and_written_after_all_when_something_goes_wrong():
    scribe = Scribe(0.0, {v.Leg.PROVIDER: plain})

    def said(kind: str, at: float, **more) -> tuple:
        return ("msg", at, Channel.FROM_PROVIDER, json.dumps({"type": kind, **more}).encode(), False)

    routine = [said("response.output_item.done", n, item={"id": f"i{n}", "status": "completed"}) for n in range(50)]
    lines = scribe.lines([*routine, said("response.output_item.done", 50.0, item={"id": "i", "status": "incomplete"})])
    assert [json.loads(line)["m"]["item"]["status"] for line in lines] == ["completed", "incomplete"]
    assert scribe.skipped == {"response.output_item.done": 49}
    trouble = scribe.lines([("note", 51.0, {"note": "deadline.missed", "name": "answer"})])
    assert [json.loads(line)["t"] for line in trouble] == [*(n * 1000.0 for n in range(34, 50)), 51000.0]
    assert len(scribe.lines([("note", 52.0, {"note": "deadline.missed", "name": "answer"})])) == 1
    assert len(scribe.lines([("note", 53.0, {"note": "ending", "wanted": True})])) == 1

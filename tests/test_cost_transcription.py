"""What writing down the caller's words cost: counted by its own model, priced by dated facts, unknown where unknown."""

from __future__ import annotations

import pytest

from offhook import vocab as v
from offhook.evidence.cost import Used, cost, used
from offhook.sims.faults.scene import ours, talk
from offhook.wires._wire import Fact
from offhook.wires.providers import openai, xai

MODEL = "gpt-realtime"
FIGURES = {
    "transcription.total_tokens": 1500, "transcription.input_tokens": 1000, "transcription.output_tokens": 500,
    "transcription.input_token_details.text_tokens": 0, "transcription.input_token_details.audio_tokens": 1000,
}  # fmt: skip


def parts(told: Used, prices: Fact | None = None) -> dict[str, tuple[float | None, str]]:
    made = cost(told, prices or openai.price_list(MODEL), model=MODEL)
    return {part.what: (part.usd, part.checked) for part in made.parts if part.what.startswith("transcription")}


def test_its_tokens_are_priced_by_their_own_dated_prices():
    assert parts(Used(usage=FIGURES, minutes=1.0, transcribed=True)) == {
        "transcription.input_token_details.audio_tokens": (pytest.approx(0.00125), "2026-11-25"),
        "transcription.output_tokens": (pytest.approx(0.0025), "2026-11-25"),
    }


@pytest.mark.parametrize(
    "figures",
    [
        {},  # the provider said nothing
        {"transcription.total_tokens": 1500, "transcription.input_tokens": 1500},  # not which
        {**FIGURES, "transcription.total_tokens": 1700, "transcription.input_token_details.text_tokens": 200},
        {"transcription.seconds": 12},
    ],
)
def test_what_nobody_told_the_price_of_is_unknown_and_never_zero(figures: dict[str, float]):
    told = parts(Used(usage={"total_tokens": 5, **figures}, minutes=1.0, transcribed=True))
    assert told["transcription"] == (None, "") and all(usd is None or usd > 0 for usd, _ in told.values())


def test_nothing_written_down_costs_nothing_and_a_price_by_the_minute_has_it_all_in():
    assert parts(Used(usage={"total_tokens": 5}, minutes=1.0)) == {}
    assert parts(Used(usage={}, minutes=1.0, transcribed=True), xai.price_list("grok-voice-latest")) == {}


def test_the_leg_reads_figures_and_nothing_else():
    leg = openai.Leg(openai.SessionSettings(api_key="sk-x"))
    kind = '"type": "conversation.item.input_audio_transcription.completed", "event_id": "e", "content_index": 0'
    usage = '{"type": "tokens", "total_tokens": 3, "input_token_details": {"audio_tokens": 2, "note": "my words"}}'
    event = leg.receive(f'{{{kind}, "item_id": "i", "transcript": "Hi", "usage": {usage}}}'.encode(), 1.0)
    figures = {"transcription.total_tokens": 3, "transcription.input_token_details.audio_tokens": 2}
    assert event == v.CallerTranscript("i", "Hi", True, figures)
    bare = leg.receive(f'{{{kind}, "item_id": "i", "transcript": "Hi"}}'.encode(), 1.0)
    assert bare == v.CallerTranscript("i", "Hi", True)


def test_a_call_keeps_the_sum_and_its_cost_is_known():
    (call,) = ours("openai", talk, greeting="Hello.")
    told = used(call)
    assert told.transcribed and told.usage is not None
    turns = sum(1 for line in call.lines if "input_audio_transcription.completed" in str(line.data))
    assert turns and told.usage["transcription.total_tokens"] == 12 * turns  # what the simulated provider says of each
    model = str(call.boot["model"])
    made = cost(told, openai.price_list(model), model=model, carrier_usd_per_minute=0.01)
    assert made.unknown == (), made.unknown

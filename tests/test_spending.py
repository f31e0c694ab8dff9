"""Spend caps: counted while a call runs, by dated prices, and ended politely."""

from __future__ import annotations

from typing import Any

from tests.test_control_calls import notes

from offhook.diagnosis.report import report
from offhook.evidence.record import Recording
from offhook.net.spending import Caps
from offhook.sims.faults.scene import mute, ours, talk
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line


def ended(call: Recording) -> Any:
    assert call.end is not None
    return call.end["end"]


def test_a_call_that_has_cost_its_cap_ends_politely_and_says_what_it_cost():
    (call,) = ours("xai", mute(200.0), greeting="Hello.", caps=Caps(call_usd=0.05))
    (cap,) = notes(call, "spend.cap")
    assert ended(call) == {"wanted": True, "why": "spend cap of the call"} and cap["cap"] == "call"
    assert 0.05 <= cap["usd"] < 0.06 and "carrier" in cap["unknown"]  # nobody said what the carrier takes
    assert [line["name"] for line in notes(call, "line")] == ["spend"]  # the caller is told
    assert report(call).verdict == "healthy"


def test_usage_counts_where_the_provider_has_prices_for_it():
    (cheap,) = ours("openai", talk, greeting="Hello.", caps=Caps(call_usd=10.0))
    assert not notes(cheap, "spend.cap")
    (dear,) = ours("openai", talk, greeting="Hello.", caps=Caps(call_usd=0.0001))
    assert ended(dear)["why"] == "spend cap of the call"


def test_the_carriers_minutes_count_where_their_price_is_known():
    (call,) = ours("loopback", mute(200.0), greeting="Hello.", caps=Caps(0.02, carrier_usd_per_minute=0.014))
    (cap,) = notes(call, "spend.cap")
    assert cap["unknown"] == "" and ended(call)["why"] == "spend cap of the call"


def test_a_model_without_a_known_price_holds_minutes_only_and_says_so():
    caps = Caps(0.01, carrier_usd_per_minute=0.014)
    model = {"model": "gpt-realtime-of-next-year", "allow_unlisted": True}
    known = {"models": (model["model"],)}
    (call,) = ours("openai", mute(120.0), greeting="Hello.", caps=caps, session=model, net=known)
    assert notes(call, "spend.unknown-price") == [{"note": "spend.unknown-price", "model": model["model"]}]
    (cap,) = notes(call, "spend.cap")
    assert cap["unknown"] == "provider"


def test_the_days_cap_ends_what_runs_and_takes_no_more():
    said: list[bytes] = []

    def later(world: World, server: Any, lines: list[Line]) -> None:
        one = Line(world, server, auth_token="t" * 32)
        world.after(150.0, one.begin)
        world.after(158.0, lambda: said.extend(verb.text.encode() for verb in one.verbs))

    caps = Caps(day_usd=0.05)
    records = ours("xai", mute(100.0), calls=2, apart_s=1.0, greeting="Hello.", caps=caps, then=later, settle_s=160.0)
    ends = [ended(call)["why"] for call in records if call.milestone("M6")]
    assert ends == ["spend cap of the day"] * 2
    assert said and b"busy" in said[0].lower()

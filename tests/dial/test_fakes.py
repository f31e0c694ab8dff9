"""A foreign bridge between the strict carrier and a strict fake provider: both ends are ours, so both are measured."""

import asyncio
import base64
import json
import sys

import pytest
from tests.dial.endpoints import ROOT

from offhook.dial.call import Result, place
from offhook.dial.fakes import FakeSeen, FakeWatch
from offhook.dial.foreign import Foreign
from offhook.dial.plan import Plan, targets
from offhook.loopback.lines import audio
from offhook.sims.provider import Answer
from offhook.sims.scenario import Scenario, Step

pytestmark = pytest.mark.timeout(240)
SCENARIO = Scenario(
    (Step("say", "babble:0.8"), Step("heard-within", 5000.0), Step("wait-for-agent", "done"), Step("hang-up", "true")),
    "one answer", 20.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[Result, FakeSeen, FakeSeen]]:
    async def one(knobs: str, fault: str = ""):
        command = f"{sys.executable} -m offhook.sims.run_foreign --port {{port}} {knobs}"
        made = Foreign(
            command, fakes=("openai", "xai"), environment={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
            answers=[Answer(audio=audio("hello"), transcript="hello")], faults=[fault] if fault else [],
        )  # fmt: skip
        async with made as foreign:
            plan = Plan(**targets(f"ws://127.0.0.1:{foreign.port}/media"), scenario=SCENARIO)
            result = await place(plan, spoken_ms=foreign.spoken_ms)
        return result, foreign.watches["openai"].seen, foreign.watches["xai"].seen

    async def run():
        wanted = {
            "pcmu": ("",),
            "pcm": ("audio=pcm out_rate=8000 clears=false",),
            "unauthorized": ("", "openai:refuse-401"),
        }
        return dict(zip(wanted, await asyncio.gather(*(one(*w) for w in wanted.values())), strict=True))

    return asyncio.run(run())


def test_a_right_bridge_is_healthy_and_its_fake_says_what_it_saw(runs):
    result, openai, xai = runs["pcmu"]
    assert result.verdict == "healthy", [f.sentence for f in result.findings]
    assert openai.dialled == openai.asked_for_session == 1 and not openai.refused and xai.dialled == 0
    assert abs(openai.spoken_ms - result.heard.ms) <= 60 and openai.heard_ms > 1500
    assert str(xai) == "never dialled" and "spoke" in str(openai)


def test_audio_that_was_not_resampled_is_told_by_the_ratio(runs):
    result, openai, _ = runs["pcm"]
    (finding,) = (f for f in result.findings if f.severity != "note")
    assert result.verdict == "broken" and finding.statement == "O13" and "3.0 times" in finding.sentence
    assert finding.code is None and 2.9 < result.heard.ms / openai.spoken_ms < 3.1


def test_a_refused_provider_is_seen_at_the_fake(runs):
    result, openai, _ = runs["unauthorized"]
    assert openai.refused and openai.refused[0].startswith("401") and openai.spoken_ms == 0
    assert result.verdict in ("broken", "not proven")  # the server ends the stream, or is silent


def test_requests_that_are_no_sockets_and_messages_that_are_none():
    watch = FakeWatch()
    watch.strayed("GET", "/v1/models")
    session = watch.asked(None, None, None)
    for data in (b"\xff", b"[]", b"{}", b'{"type":"input_audio_buffer.append","audio":3}'):
        session.received(data, False, [], 0.0)
        session.sent(data, 0.0)
    pcm = {"type": "response.output_audio.delta", "delta": base64.b64encode(bytes(4800)).decode()}
    session.sent(json.dumps(pcm).encode(), 0.0)
    session.closed(1000, "", "them", 0.0)
    assert watch.seen.spoken_ms == 100 and watch.seen.heard_ms == 0 and watch.seen.closed == ["1000 by the server"]
    assert watch.seen.strayed == ["GET /v1/models"]

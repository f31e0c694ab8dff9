"""The naive bridge over real sockets: what a knob breaks is broken there as well."""

import asyncio

import pytest

from offhook.sims.foreign_knobs import Knobs
from offhook.sims.provider_scene import Answer
from offhook.sims.run_carrier import PhoneCall
from offhook.sims.run_foreign import ForeignServer, knobs_of
from offhook.sims.run_provider import FakeProvider
from offhook.testing import speech

SCRIPT = {"script": (Answer(audio=speech(0.8), transcript="Yes."),), "greeting": Answer(audio=speech(0.8))}


async def called(**turned):
    async with FakeProvider("openai", **SCRIPT) as fake:
        async with ForeignServer(Knobs(url=fake.url, **turned)) as server:
            async with PhoneCall(f"http://127.0.0.1:{server.port}/voice") as call:
                await asyncio.sleep(0.6)
            return call, fake


def test_without_a_knob_the_caller_is_greeted():
    call, fake = asyncio.run(called())
    assert call.violations == []
    assert len(call.phone.audio()) > 2000
    assert fake.open == 0


@pytest.mark.parametrize(
    ("knob", "code"),
    [({"sid_field": "stream_sid"}, "31951"), ({"binary": True}, "31950"), ({"payload": "twice"}, "31951")],
)
def test_a_knob_breaks_it_as_the_carrier_says(knob, code):
    call, _ = asyncio.run(called(**knob))
    assert code in [logged for logged, _ in call.alerts]
    assert call.phone.audio() == b""


def test_knobs_are_read_from_words():
    knobs = knobs_of(["sid_field=stream_sid", "binary=true", "chunk=37", "idle_s=2.5", "gate=null"])
    assert (knobs.sid_field, knobs.binary, knobs.chunk, knobs.idle_s) == ("stream_sid", True, 37, 2.5)
    with pytest.raises(ValueError, match="no knob 'sidfield'"):
        knobs_of(["sidfield=x"])
    with pytest.raises(ValueError, match="pace='slowly'"):
        knobs_of(["pace=slowly"])


def test_the_provider_is_the_one_of_the_environment_unless_a_word_names_another():
    environment = {"OPENAI_REALTIME_URL": "ws://a/", "OPENAI_API_KEY": "k", "XAI_REALTIME_URL": "ws://x/"}
    knobs = knobs_of(["key=mine"], environment)
    assert (knobs.url, knobs.key) == ("ws://a/", "mine")
    assert (knobs_of(["provider=xai"], environment).url, knobs_of([]).url) == ("ws://x/", "")


def test_what_needs_virtual_time_is_refused():
    with pytest.raises(ValueError, match="use the virtual world"):
        ForeignServer(Knobs(accepts="after dial"))

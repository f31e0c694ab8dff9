"""A provider on another day: what its dated facts say of it, played."""

import json
import re
from types import SimpleNamespace

import pytest

from offhook.sims.provider import SimProvider
from offhook.sims.provider_profiles import profile
from offhook.sims.run_provider import FakeProvider
from offhook.sims.virtual_provider import ProviderHost
from offhook.wires._wire import PeerClose
from offhook.wires.providers import openai, xai


def _on_sockets(provider):
    """The first sessions of two fakes, at two ports."""

    def made(n):
        fake = FakeProvider(provider)
        fake._loop_clock, fake._server = SimpleNamespace(now=lambda: 0.0), SimpleNamespace(port=8790 + n)
        return fake._session(1)

    return made


@pytest.mark.parametrize("provider", ["openai", "xai"])
@pytest.mark.parametrize("made_by", [_on_sockets, lambda name: ProviderHost(name)._make])
def test_no_two_sessions_of_a_fake_share_an_id_for_a_record_may_hold_both(provider, made_by):
    """A call that is handed over."""
    made = made_by(provider)
    first, second = (_ids(made(n).peer) for n in (1, 2))
    assert first and not first & second


def _ids(peer) -> set[str]:
    return set(
        re.findall(r"(?:sess|conv|item|event|resp)_[0-9]+", repr([*peer.opened(0.0), *peer.user_started(0, 0.0)]))
    )


def greeted(provider: str, day: str, query: str) -> tuple[str, str]:
    """What a client that dials with ``query`` on that day is told: the message's type, and its model or error code."""
    session = SimProvider(provider, **profile(provider, day).knobs)
    refused = session.upgrade("/v1/realtime" + query, {"Authorization": "Bearer x"})
    assert refused is None
    message = json.loads(session.opened(0.0)[0])
    return message["type"], message.get("session", {}).get("model") or message["error"]["code"]


@pytest.mark.parametrize(
    ("provider", "day", "query", "told"),
    [
        ("openai", "2026-05-06", "?model=gpt-4o-realtime-preview", ("session.created", "gpt-4o-realtime-preview")),
        ("openai", "2026-05-07", "?model=gpt-4o-realtime-preview", ("error", "invalid_model")),
        ("openai", "2026-05-06", "?model=gpt-5-realtime", ("error", "invalid_model")),
        ("xai", "2026-04-20", "?model=grok-voice-latest", ("session.created", "grok-voice-fast-1.0")),
        ("xai", "2026-06-01", "?model=grok-voice-latest", ("session.created", "grok-voice-think-fast-1.0")),
        ("xai", "2026-10-13", "?model=grok-voice-latest", ("session.created", "grok-voice-think-fast-2.0")),
        ("xai", "2026-10-14", "?model=grok-voice-latest", ("session.created", "grok-voice-3.0")),
        ("xai", "2026-10-13", "?model=grok-voice-3.0", ("session.created", "grok-voice-fast-1.0")),  # unknown then
        ("xai", "2026-04-24", "", ("session.created", "grok-voice-fast-1.0")),
        ("xai", "2026-11-22", "", ("session.created", "grok-voice-3.0")),
    ],
)
def test_a_name_is_answered_as_it_was_on_that_day(provider, day, query, told):
    assert greeted(provider, day, query) == told


def test_what_is_dated_to_end_is_refused_from_that_day_on():
    update = {"type": "session.update", "session": json.loads(json.dumps(openai.session_object(
        openai.SessionSettings(api_key="sk-x"))))}  # fmt: skip

    def answered(day: str) -> str:
        session = SimProvider("openai", **profile("openai", day).knobs)
        session.upgrade("/v1/realtime?model=gpt-realtime", {"Authorization": "Bearer x"})
        session.opened(0.0)
        return json.loads(session.receive(json.dumps(update).encode(), 0.1)[0])["type"]

    end = openai.TRANSCRIPTION_MODEL.until
    assert (answered("2027-02-25"), end, answered("2027-02-26")) == ("session.updated", "2027-02-26", "error")


@pytest.mark.parametrize(("provider", "wire"), [("openai", openai), ("xai", xai)])
def test_on_the_day_of_its_facts_a_provider_is_as_it_is_today(provider, wire):
    today = profile(provider, wire.MODELS.checked)
    assert today.said == () and today.untold
    plain = SimProvider(provider)
    assert not isinstance(plain.opened(0.0)[0], PeerClose)


def test_what_differs_is_said_with_its_source_and_what_is_not_known_as_well():
    then = profile("openai", "2026-01-31")
    assert "until 2026-05-07" in then.said[0] and "deprecations" in then.said[0]
    assert any("OpenAI-Beta" in text for text in then.untold)
    assert any("not yet served: grok-voice-3.0" in text for text in profile("xai", "2026-09-30").said)


@pytest.mark.parametrize(("provider", "day", "says"), [
    ("openai", "soon", "YYYY-MM-DD"), ("openai", "2026-13-01", "YYYY-MM-DD"), ("loopback", "2026-01-01", "no history"),
])  # fmt: skip
def test_what_is_no_day_or_has_no_history_is_said(provider, day, says):
    with pytest.raises(ValueError, match=says):
        profile(provider, day)

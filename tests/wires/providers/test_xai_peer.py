"""The simulated xAI: silent where the real one is, refusing where documents say so; by its conformance folder."""

import json
from pathlib import Path

import pytest

from offhook import vocab as v
from offhook.sims.provider import SimProvider, tone
from offhook.wires.providers import xai
from offhook.wires.providers._xai_peer import REFUSALS, Peer

CONFORMANCE = Path(__file__).parents[3] / "conformance" / "xai"
KEY = "xai-key-0000000000000000"
SETTINGS = xai.SessionSettings(api_key=KEY, instructions="Be kind.")


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem) for path in sorted((CONFORMANCE / folder).iterdir())
    ]


def opened() -> Peer:
    peer = Peer(speedup=1000.0)
    assert peer.upgrade("/v1/realtime?model=grok-voice-latest", {"Authorization": f"Bearer {KEY}"}) is None
    peer.opened(0.0)
    return peer


def tell(peer: Peer, message: dict) -> list[dict]:
    return [json.loads(data) for data in peer.receive(json.dumps(message).encode(), 0.0)]


@pytest.mark.parametrize("case", json.loads((CONFORMANCE / "connect.json").read_text()), ids=lambda case: case["name"])
def test_a_request_is_let_in_with_a_model_or_refused(case):
    sim = SimProvider("xai", keys=frozenset({KEY}), faults=case.get("faults", ()))
    refusal = sim.upgrade(case["path"], case["headers"])
    assert (refusal.status if refusal is not None else None) == case["status"]
    if refusal is None:
        created, _ = [json.loads(data) for data in sim.opened(0.0)]
        assert created["type"] == "session.created" and created["session"]["model"] == case["model"]
    elif case["path"].startswith("/v1/realtime?"):
        assert "assumed" in refusal.body and REFUSALS[refusal.status].assumed and KEY not in refusal.body


@pytest.mark.parametrize("case", cases("to_peer"))
def test_every_message_of_documents_and_other_clients_is_taken(case):
    assert not [answer for answer in tell(opened(), case["message"]) if answer["type"] == "error"]


@pytest.mark.parametrize("case", cases("refused"))
def test_what_is_wrong_is_refused_or_ignored_and_changes_nothing(case):
    peer = opened()
    answers = tell(peer, case["message"])
    if case["how"] == "ignored":
        assert [answer["type"] for answer in answers] == ["session.updated"]
    else:
        (error,) = [answer["error"] for answer in answers]
        assert error["code"] == error["type"] == case["how"] and error["message"]
    audio, turn = peer.session["audio"], peer.session["turn_detection"]
    left = {"input": audio["input"]["format"]["type"], "output": audio["output"]["format"]["type"],
            "model": peer.session["model"], "voice": peer.session["voice"], "threshold": turn["threshold"]}  # fmt: skip
    assert {name: left[name] for name in case["left"]} == case["left"]


def test_every_case_names_what_it_proves():
    assert {case.values[0]["how"] for case in cases("refused")} == {
        "ignored", "invalid_request_error", "invalid_event", "invalid_audio_format",
    }  # fmt: skip
    assert any(case.values[0]["left"] for case in cases("refused"))


def test_a_forced_message_is_said_word_for_word_and_not_heard_over_when_it_may_not_be_interrupted():
    peer = opened()
    message = next(case.values[0]["message"] for case in cases("to_peer") if case.id == "force-message")
    tell(peer, {**message, "item": {**message["item"], "interruptible": False}})
    assert peer.forced == ["Welcome to the line."]
    peer.speak(tone(1000), peer.forced.pop(), 0.0)
    peer.receive(b"\x7f" * 160, 0.5, binary=True)
    assert not peer.heard
    peer.receive(b"\x7f" * 160, 1.1, binary=True)  # raw audio in a binary frame
    assert len(peer.heard) == 160


def test_the_session_ends_by_its_age_with_the_documented_type():
    peer = opened()
    assert peer.tick(1799.9)  # pings
    error, close = peer.tick(1800.0)
    event = xai.Leg(SETTINGS).receive(error, 0.0)
    assert isinstance(event, v.ProviderError) and event.fatal and "maximum duration" in close.reason
    assert peer.tick(1801.0) == [] and peer.deadline() is None


def test_our_own_session_is_applied_as_asked():
    peer, leg = opened(), xai.Leg(SETTINGS)
    (answer,) = peer.receive(leg.send(v.ConfigureSession())[0], 0.0)
    assert leg.receive(answer, 0.0) == v.SessionConfigured() and peer.format_in["type"] == "audio/pcmu"

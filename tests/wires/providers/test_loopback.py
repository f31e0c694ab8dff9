"""The loopback wire, both sides, through its conformance folder; and that it keeps to the shape it borrows."""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

from offhook import vocab as v
from offhook.sims.provider import tone
from offhook.wires._wire import LocalProtocolError, PeerClose
from offhook.wires.providers import _loopback_messages as wire
from offhook.wires.providers import loopback
from offhook.wires.providers._loopback_peer import Peer

CONFORMANCE = Path(__file__).parents[3] / "conformance" / "loopback"
CONNECT = json.loads((CONFORMANCE / "connect.json").read_text())
SETTINGS = loopback.SessionSettings(instructions="Be kind.", tools=(v.ToolSpec("hang_up", "ends the call", {}),))


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem) for path in sorted((CONFORMANCE / folder).iterdir())
    ]


def in_state(state: str | None = None) -> Peer:
    """A session that is configured, and further on where the case asks for it."""
    peer = Peer()
    peer.opened(0.0)
    peer.receive(loopback.Leg(SETTINGS).send(v.ConfigureSession())[0], 0.0)
    if state == "speaking":
        peer.speak(tone(4000), "A long answer.", 0.0)
    elif state == "called":
        peer.speak(b"", "", 0.0, [("hang_up", "{}")])
    return peer


def tell(peer: Peer, message: dict) -> list[dict]:
    return [json.loads(data) for data in peer.receive(json.dumps(message).encode(), 0.0)]


# ------------------------------------------------------------------------------------------- literal messages


@pytest.mark.parametrize("case", cases("from_peer"))
def test_our_side_reads_every_message(case):
    leg = loopback.Leg(SETTINGS)
    event = leg.receive(json.dumps(case["message"]).encode(), 0.0)
    assert type(event).__name__ == case["event"] and leg.violations == []
    assert json.loads(msgspec.json.encode({name: getattr(event, name) for name in case["reads"]})) == case["reads"]


@pytest.mark.parametrize("case", cases("to_peer"))
def test_their_side_takes_every_message(case):
    assert [answer["type"] for answer in tell(in_state(case.get("state")), case["message"])] == case["answers"]


@pytest.mark.parametrize("case", cases("refused"))
def test_their_side_refuses_with_code_and_field_and_the_session_lives_on(case):
    peer = in_state(case.get("state"))
    (answer,) = tell(peer, case["message"])
    assert (answer["error"]["code"], answer["error"].get("param")) == (case["code"], case["param"])
    assert answer["error"]["message"] and peer.updates == 1 and not peer.heard
    update = json.loads(loopback.Leg(SETTINGS).send(v.ConfigureSession())[0])
    assert [answer["type"] for answer in tell(peer, update)] == ["session.updated"]


@pytest.mark.parametrize("case", CONNECT["refused"], ids=lambda case: case["why"])
def test_a_wrong_request_is_refused(case):
    refusal = Peer().upgrade(case["path"], {})
    assert refusal is not None and refusal.status == case["status"]


def test_the_right_request_is_let_in():
    for case in CONNECT["accepted"]:
        assert Peer().upgrade(case["path"], {}) is None
    assert loopback.connect_request(SETTINGS).url.endswith(CONNECT["accepted"][0]["path"])


@pytest.mark.parametrize("case", CONNECT["closed"], ids=lambda case: case["why"])
def test_before_the_session_is_set_up_nothing_else_is_taken(case):
    peer = Peer()
    peer.opened(0.0)
    assert peer.receive(json.dumps(case["message"]).encode(), 0.0) == [PeerClose(case["code"], case["reason"])]


# ------------------------------------------------------------------------------------------ the borrowed shape


def sdk_fields(union: object) -> dict[str, set[str]]:
    found = {}
    for model in get_args(get_args(union)[0]):
        kind = get_args(model.model_fields["type"].annotation)
        if kind:
            found[kind[0]] = set(model.model_fields)
    return found


@pytest.mark.parametrize(("ours", "theirs"), [(wire.FromPeer, RealtimeServerEvent), (wire.ToPeer, RealtimeClientEvent)])
def test_every_event_and_field_is_one_of_the_sdk(ours, theirs):
    known = sdk_fields(theirs)
    for message in get_args(ours):
        kind = str(message.__struct_config__.tag)
        fields = {field.encode_name for field in msgspec.structs.fields(message)}
        assert kind in known and fields <= known[kind], kind


# --------------------------------------------------------------------------------------------- our side alone


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", None), (b"\xff\xfe", None), (b"[1]", "type"), (b'{"type":1}', "type"),
        (b'{"type":"response.done","response":{"id":"r","status":"in_progress"}}', "response.status"),
        (b'{"type":"response.created","response":{"id":"r","status":"in_progress","mood":1}}', "response.mood"),
        (b'{"type":"session.created","session":{"type":"realtime"}}', "session.model"),
        (b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","content_index":0,"delta":"%%%%"}',
         "delta"),
    ],
)  # fmt: skip
def test_a_broken_message_is_named_by_its_field(data, field):
    leg = loopback.Leg(SETTINGS)
    assert isinstance(leg.receive(data, 0.0), v.Malformed)
    assert (leg.violations[0].field, leg.violations[0].by) == (field, "peer")


def test_what_the_receptionist_did_not_take_over_is_a_difference():
    session = json.loads(loopback.Leg(SETTINGS).send(v.ConfigureSession())[0])["session"]
    message = {"type": "session.updated", "session": {**session, "instructions": "", "tools": []}}
    event = loopback.Leg(SETTINGS).receive(json.dumps(message).encode(), 0.0)
    assert isinstance(event, v.SessionConfigured)
    assert [(d.field, d.asked, d.fatal) for d in event.differences] == [
        ("instructions", "Be kind.", False), ("tools", "hang_up", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [v.AppendAudio(b"", 0), v.AppendAudio(b"AAA", 2), v.AppendAudio(b'AA"A', 3), v.Truncate("i", 0, -1)],
    ids=["empty", "not padded", "a quote", "negative"],
)
def test_what_they_would_refuse_is_not_sent(command):
    with pytest.raises(LocalProtocolError):
        loopback.Leg(SETTINGS).send(command)


def test_a_binary_frame_is_refused_on_both_sides():
    (answer,) = in_state().receive(b"\xff" * 160, 0.0, binary=True)
    assert json.loads(answer)["error"]["code"] == "invalid_event"
    assert isinstance(loopback.Leg(SETTINGS).receive(b"\xff" * 160, 0.0, binary=True), v.Malformed)

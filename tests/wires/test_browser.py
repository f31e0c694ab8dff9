"""The screen's wire, both sides, against the messages that its own page documents."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook import vocab as v
from offhook.wires._wire import LocalProtocolError
from offhook.wires.carriers import browser
from offhook.wires.carriers._browser_peer import Cleared, Marked, Peer, Played, Shown

CONFORMANCE = Path(__file__).parent.parent.parent / "conformance" / "browser"
COMMANDS = {
    "media": v.PlayAudio(b"/////w==", 4), "mark": v.SetMark("m7"), "clear": v.ClearPlayback(),
    "said": v.Show("agent", "We are open from nine to six."),
}  # fmt: skip
TAKEN = {
    "media": Played(b"\xff" * 4), "mark": Marked("m7"), "clear": Cleared(),
    "said": Shown("agent", "We are open from nine to six."),
}  # fmt: skip


def started() -> browser.Leg:
    leg = browser.Leg(browser.CarrierSettings())
    leg.receive(Peer("talk-3f9a1c", "t").start(), 0.0)
    assert leg.stream_id == "talk-3f9a1c" and leg.violations == []
    return leg


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem)
        for path in sorted((CONFORMANCE / folder).glob("*.json"))
    ]


@pytest.mark.parametrize("case", cases("from_peer"))
def test_every_documented_message_of_a_screen_is_understood(case):
    leg = started() if case["event"] != "StreamStarted" else browser.Leg(browser.CarrierSettings())
    event = leg.receive(json.dumps(case["message"]).encode(), 0.0)
    assert type(event).__name__ == case["event"] and leg.violations == []


@pytest.mark.parametrize("case", cases("to_peer"))
def test_every_documented_message_to_a_screen_is_what_we_send_and_is_taken(case):
    message = case["message"]
    (sent,) = started().send(COMMANDS[message["event"]])
    assert json.loads(sent) == message
    peer = Peer("talk-3f9a1c", "t")
    peer.start()
    assert peer.receive(json.dumps(message).encode()) == TAKEN[message["event"]] and peer.violations == []


@pytest.mark.parametrize("case", cases("refused"))
def test_what_is_not_of_the_wire_is_refused_with_its_field(case):
    text = case["message"] if isinstance(case["message"], str) else json.dumps(case["message"])
    binary = case.get("binary", False)
    if case["by"] in ("leg", "both"):
        leg = browser.Leg(browser.CarrierSettings()) if case.get("fresh") else started()
        event = leg.receive(text.encode(), 0.0, binary=binary)
        assert isinstance(event, v.Malformed) and [one.field for one in leg.violations] == [case["field"]]
    if case["by"] in ("peer", "both"):
        peer = Peer("talk-3f9a1c", "t")
        peer.start()
        assert peer.receive(text.encode(), binary=binary) is None
        assert [one.field for one in peer.violations] == [case["field"]]


def test_frames_go_straight_once_they_are_usual_and_a_gap_is_counted():
    leg, peer = started(), Peer("talk-3f9a1c", "t")
    frames = [peer.media(bytes((0xFF, n)) * 80) for n in range(20)]
    straight = [leg.usual(frame) is not None or not leg.receive(frame, 0.0) for frame in frames[:15]]
    assert straight == [False] * 11 + [True] * 4
    assert leg.usual(frames[17]) is None and isinstance(leg.receive(frames[17], 0.0), v.CallerAudio)
    assert leg.usual(frames[18]) is not None
    assert leg.counters() == {"frames": 17, "lost": 2, "typed": 0}


def test_nothing_is_sent_before_start_or_after_stop_and_nothing_that_is_no_audio():
    with pytest.raises(LocalProtocolError, match="start first"):
        browser.Leg(browser.CarrierSettings()).send(v.ClearPlayback())
    leg = started()
    for bad in (b"", b"a", b'"}\n{'):
        with pytest.raises(LocalProtocolError, match="base64"):
            leg.send(v.PlayAudio(bad, 1))
    leg.receive(b'{"event":"stop"}', 0.0)
    with pytest.raises(LocalProtocolError, match="after stop"):
        leg.send(v.Show("agent", "Hello"))


def test_a_record_has_no_ticket_no_audio_and_no_keys():
    kept = browser.redact(
        b'{"event":"start","ticket":"s3cr3t","audio":{"encoding":"PCMU"},"x":[{"Ticket2":"s3cr3t"}],"digit":"4"}'
    )
    assert "s3cr3t" not in str(kept) and kept["digit"] == v.MASKED and kept["ticket"] == "***"
    assert browser.redact(b'{"event":"media","audio":"////"}')["audio"] == "<4 characters>"
    assert browser.redact(b'{"digit":"4"}', digits=True)["digit"] == "4"
    assert browser.redact(b"[1]") == {"not_an_object": "list"} and browser.redact(b"\xff") == {"not_json_bytes": 1}


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.dictionaries(st.sampled_from(["event", "start", "audio", "seq", "name", "digit"]), inner),
).map(lambda data: json.dumps(data).encode())))  # fmt: skip
def test_whatever_comes_is_an_event_and_can_be_written_down(data):
    leg = started()
    assert isinstance(leg.receive(data, 0.0), v.Event)
    browser.redact(data)
    Peer("c", "t").receive(data)

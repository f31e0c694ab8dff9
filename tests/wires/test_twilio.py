"""Twilio's wire, both sides: against its documents, its SDK, and anything else that may come."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from offhook import vocab as v
from offhook.wires._wire import LocalProtocolError
from offhook.wires.carriers import _twilio_webhook, twilio
from offhook.wires.carriers._twilio_peer import Peer

CONFORMANCE = Path(__file__).parent.parent.parent / "conformance" / "twilio"
SETTINGS = twilio.CarrierSettings(public_url="https://voice.example.com", auth_token="token-0123456789")
START = b'{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"callSid":"CA1","streamSid":"MZ1"}}'


def started() -> twilio.Leg:
    leg = twilio.Leg(SETTINGS)
    leg.receive(START, 0.0)
    return leg


def cases(folder: str) -> list:
    return [
        pytest.param(json.loads(path.read_text()), id=path.stem)
        for path in sorted((CONFORMANCE / folder).glob("*.json"))
    ]


@pytest.mark.parametrize("case", cases("from_peer"))
def test_every_documented_message_of_the_carrier_is_understood(case):
    leg = twilio.Leg(SETTINGS)
    if case["event"] not in ("StreamConnected", "StreamStarted"):
        sid = case["message"]["streamSid"]
        leg.receive(START.replace(b"MZ1", sid.encode()), 0.0)
    event = leg.receive(json.dumps(case["message"]).encode(), 0.0)
    assert type(event).__name__ == case["event"] and leg.violations == []


@pytest.mark.parametrize("case", cases("to_peer"))
def test_every_documented_message_to_the_carrier_is_taken_by_the_strict_peer_and_is_what_we_send(case):
    message = case["message"]
    sid = message["streamSid"]
    peer = Peer(sid, "CA1", "AC1")
    peer.start({})
    peer.receive(json.dumps(message).encode(), 0.0)
    assert peer.violations == []
    leg = twilio.Leg(SETTINGS)
    leg.receive(START.replace(b"MZ1", sid.encode()), 0.0)
    command = {
        "media": lambda: v.PlayAudio(message["media"]["payload"].encode(), 3),
        "mark": lambda: v.SetMark(message["mark"]["name"]),
        "clear": lambda: v.ClearPlayback(),
    }[message["event"]]()
    (sent,) = leg.send(command)
    assert json.loads(sent) == message


@pytest.mark.parametrize("case", cases("refused"))
def test_what_the_real_carrier_refuses_the_peer_refuses_with_its_code_and_the_field(case):
    peer = Peer("MZ1", "CA1", "AC1", bidirectional=case.get("bidirectional", True))
    peer.start({})
    text = case["message"] if isinstance(case["message"], str) else json.dumps(case["message"])
    peer.receive(text.encode(), 0.0, binary=case.get("binary", False))
    (violation,) = peer.violations
    assert violation.code == case["code"] and violation.field == case["field"]
    peer.receive(text.encode(), 0.0, binary=case.get("binary", False))
    assert len(peer.logged) <= 1  # the carrier logs a code once a stream, and hides what follows


def test_the_seeds_third_fault_cannot_be_sent_and_is_named_where_others_send_it():
    (sent,) = started().send(v.PlayAudio(b"////", 3))
    assert b'"streamSid":"MZ1"' in sent and b"stream_sid" not in sent
    peer = Peer("MZ1", "CA1", "AC1")
    peer.start({})
    peer.receive(sent.replace(b"streamSid", b"stream_sid"), 0.0)
    (violation,) = peer.violations
    assert (violation.code, violation.field, violation.got) == ("31951", "streamSid", "'stream_sid'")


@pytest.mark.parametrize("name", ["stream_sid", "streamSID", "StreamSid"])
def test_a_near_miss_is_read_and_recorded(name):
    leg = twilio.Leg(SETTINGS)
    event = leg.receive(START.replace(b'"streamSid":"MZ1","start"', b'"%s":"MZ1","start"' % name.encode()), 0.0)
    assert isinstance(event, v.StreamStarted) and event.stream_id == "MZ1"
    event = leg.receive(b'{"event":"media","%s":"MZ1","media":{"payload":"/w=="}}' % name.encode(), 0.0)
    assert event == v.CallerAudio(b"/w==", 1)
    assert all(violation.accepted and violation.field == "streamSid" for violation in leg.violations)


def test_two_near_misses_are_ambiguous_and_refused():
    leg = started()
    event = leg.receive(b'{"event":"media","stream_sid":"a","STREAMSID":"b","media":{"payload":"/w=="}}', 0.0)
    assert isinstance(event, v.Malformed)


@pytest.mark.parametrize(
    ("command", "why"),
    [(v.PlayAudio(b"", 0), "nothing"), (v.PlayAudio(b"UklGRg==", 4), "file header"), (v.PlayAudio(b"a", 1), "base64"),
     (v.SetMark(""), "a name")],
)  # fmt: skip
def test_what_breaks_the_contract_is_not_sent(command, why):
    with pytest.raises(LocalProtocolError, match=why):
        started().send(command)


def test_nothing_is_sent_before_start_or_after_stop():
    with pytest.raises(LocalProtocolError, match="start first"):
        twilio.Leg(SETTINGS).send(v.PlayAudio(b"////", 3))
    leg = started()
    leg.receive(b'{"event":"stop","streamSid":"MZ1"}', 0.0)
    with pytest.raises(LocalProtocolError, match="after stop"):
        leg.send(v.ClearPlayback())


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)


class _Multi(dict):
    """A form with repeated names, as the SDK takes it from a web framework."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self._pairs = pairs

    def getall(self, name):
        return [value for key, value in self._pairs if key == name]


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=8), st.booleans())
def test_signatures_agree_with_the_vendors_sdk_on_anything(form, shared):
    url = "https://voice.example.com/twilio/voice?a=1"
    grouped = _Multi(form)
    algorithm = "sha256" if shared else "sha1"
    ours = twilio.sign("secret", url, form, algorithm)
    theirs = RequestValidator("secret").compute_signature(url, grouped, "HMAC_SHA256" if shared else None)
    assert ours == theirs


@given(TEXT)
def test_our_check_takes_what_the_sdk_signs(value):
    from urllib.parse import urlencode

    form = {"CallSid": "CA" + "0" * 32, "Any": value}
    signature = RequestValidator(SETTINGS.auth_token).compute_signature("https://voice.example.com/twilio/voice", form)
    body = urlencode(form).encode()
    headers = [("X-Twilio-Signature", signature)]
    assert twilio.check_signature(SETTINGS, "POST", "/twilio/voice", headers, body).ok
    assert not twilio.check_signature(SETTINGS, "POST", "/twilio/voicf", headers, body).ok


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["event", "streamSid", "stream_sid", "media", "payload", "start", "mark", "name", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
EVENTS = st.sampled_from(["connected", "start", "media", "mark", "dtmf", "stop", "clear", "nonsense"])


@given(st.one_of(st.binary(max_size=200), JSON.map(lambda x: json.dumps(x).encode()),
                 st.tuples(EVENTS, JSON).map(lambda x: json.dumps({"event": x[0], "streamSid": "MZ1", x[0]: x[1]}))
                 .map(str.encode)),
       st.booleans())  # fmt: skip
def test_no_message_of_anyone_raises_on_either_side(data, binary):
    leg = started()
    assert isinstance(leg.receive(data, 0.0, binary=binary), v.Event)
    json.dumps(leg.redact(data, binary=binary), default=str)
    peer = Peer("MZ1", "CA1", "AC1")
    peer.start({})
    peer.receive(data, 0.0, binary=binary)


def test_redaction_takes_audio_secrets_and_numbers_out():
    text = json.dumps(
        leg := {"event": "start", "start": {"customParameters": {"token": "t0ps3cret", "from": "+15550100001"}}}
    )
    seen = json.dumps(twilio.redact(text.encode()))
    assert "t0ps3cret" not in seen and "+15550100001" not in seen and leg
    assert "AAAA" not in json.dumps(twilio.redact(b'{"event":"media","media":{"payload":"AAAA"}}'))


@pytest.mark.parametrize(
    ("public", "path", "wanted"),
    [
        ("https://a.example", "/v", ("https://a.example/v", "https://a.example:443/v")),
        ("https://a.example:8443", "/v", ("https://a.example:8443/v", "https://a.example/v")),
        # a proxy that took the public URL's prefix away, and one that did not
        ("https://a.example/p", "/v?x=1", ("https://a.example/p/v?x=1", "https://a.example:443/p/v?x=1")),
        ("https://a.example/p", "/p/v", ("https://a.example/p/v", "https://a.example:443/p/v")),
        ("https://a.example/p", "/pv", ("https://a.example/p/pv", "https://a.example:443/p/pv")),
    ],
)
def test_the_port_is_tried_with_and_without(public, path, wanted):
    assert _twilio_webhook._candidates(twilio.CarrierSettings(public_url=public), path, False) == wanted


def frame(n: int) -> bytes:
    payload = "/" * 216
    return b'{"event":"media","sequenceNumber":"%d","streamSid":"MZ1","media":{"payload":"%s"}}' % (n, payload.encode())


def test_what_comes_late_was_not_lost():
    leg = started()
    for n in (2, 3, 5, 4, 6, 9, 7, 7, 10):
        leg.receive(frame(n), 0.0)
    assert (leg.counters()["lost"], leg.counters()["reordered"]) == (1, 3)


def test_a_number_of_any_size_is_counted_and_keeps_nothing():
    leg = started()
    leg.receive(frame(2), 0.0)
    leg.receive(frame(10**12), 0.0)
    assert leg.counters()["lost"] == 10**12 - 3 and len(leg._holes) <= 64

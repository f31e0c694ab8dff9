"""The oracle names the one dimension in which a refused request differs from what would be right."""

import pytest
from msgspec import structs

from offhook.wires.carriers import twilio
from offhook.wires.carriers._twilio_document import describe
from offhook.wires.carriers._twilio_oracle import oracle

SETTINGS = twilio.CarrierSettings(public_url="https://voice.example.com", auth_token="t" * 32)
FORM = [("CallSid", "CA" + "0" * 32), ("From", "+15550001")]
BODY = b"CallSid=CA" + b"0" * 32 + b"&From=%2B15550001"
PATH = "/twilio/voice"


def asked(url: str, secret: str = "t" * 32, form=FORM, algorithm: str = "sha1", path: str = PATH, **headers: str):
    given = [("Host", "voice.example.com"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    given.append(("X-Twilio-Signature", twilio.sign(secret, url, form, algorithm)))
    return oracle(SETTINGS, "POST", path, given, BODY)


@pytest.mark.parametrize(
    ("url", "variant"),
    [
        ("http://voice.example.com/twilio/voice", "scheme"),
        ("https://old.example.com/twilio/voice", "host"),
        ("https://voice.example.com:8443/twilio/voice", "port"),
        ("https://voice.example.com/twilio/voice/", "slash"),
    ],
)
def test_one_dimension_of_the_url(url, variant):
    found = asked(url, X_Forwarded_Host="old.example.com, 10.0.0.1", Host="voice.example.com:8443")
    assert (found.variant, found.signed_url) == (variant, url) and found.tried < 500


def test_query_body_secret_algorithm_and_nothing_at_all():
    assert asked("https://voice.example.com/twilio/voice", path=PATH + "?a=1").variant == "query"
    assert asked("https://voice.example.com/twilio/voice", form=()).variant == "body"
    assert asked("https://voice.example.com/twilio/voice", secret="x" * 32).variant == "secret"
    assert oracle(SETTINGS, "POST", PATH, [], BODY).variant == "missing"
    shared = [("X-Twilio-Signature", "x"), ("X-Twilio-Webhooks-Signature-Settings", "algorithm=HMAC_SHA256,key=K")]
    assert oracle(SETTINGS, "POST", PATH, shared, BODY).variant == "algorithm"


def test_behind_a_prefix_the_secret_is_still_told_from_the_url():
    behind = structs.replace(SETTINGS, public_url="https://voice.example.com/phone")
    given = [("X-Twilio-Signature", twilio.sign("t" * 32, "https://voice.example.com/phone/twilio/media"))]
    assert oracle(behind, "GET", "/twilio/media", given, b"", upgrade=True).variant == "scheme"


def test_an_upgrade_that_was_signed_for_https():
    given = [("X-Twilio-Signature", twilio.sign("t" * 32, "https://voice.example.com/twilio/media"))]
    assert oracle(SETTINGS, "GET", "/twilio/media", given, b"", upgrade=True).variant == "scheme"


def test_a_document_of_ours_is_described_without_its_values():
    asked_for = twilio.parse_webhook("POST", PATH, [], BODY)
    said = describe(twilio.answer(SETTINGS, asked_for, "secret-token"))
    assert said["verb"] == "Connect" and said["stream"]["scheme"] == "wss" and said["parameters"] == ["token"]
    assert "secret-token" not in str(said)
    assert describe(b"<Response><Bad")["ok"] is False

"""The simulated account refuses what the carrier refuses, each with the carrier's code."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from offhook.sims.rest import Account, CallRow, NumberRow
from offhook.sims.twiml import Complaint, Verb, read_twiml
from offhook.wires.carriers import twilio

SID, TOKEN = "AC" + "1" * 32, "rest-token-0123456789abcdef"
OURS, THEM = "+15550100002", "+15550100077"
SETTINGS = twilio.CarrierSettings(public_url="https://voice.example.com", auth_token=TOKEN, account_sid=SID)


class Doing:
    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []

    def place(self, row: CallRow) -> None:
        self.did.append(("place", row.to))

    def end(self, row: CallRow, status: str) -> None:
        self.did.append(("end", status))

    def redirect(self, row: CallRow, verbs: Sequence[Verb], url: str, status_callback: str) -> None:
        self.did.append(("redirect", [verb.name for verb in verbs], url))

    def alert(self, row: CallRow, complaint: Complaint) -> None:
        self.did.append(("alert", complaint.code))


def account(doing: Doing | None = None, **more: Any) -> Account:
    ids = itertools.count(1)
    numbers = (NumberRow("PN" + "2" * 32, OURS, voice_url="https://old.example.com/voice"),)
    return Account(SID, TOKEN, doing or Doing(), numbers, sids=lambda: f"CA{next(ids):032x}", **more)


def send(of: Account, request: Any) -> tuple[int, dict[str, Any]]:
    signed = base64.b64encode(f"{request.username}:{request.password}".encode()).decode()
    path = request.url.removeprefix("https://api.twilio.com")
    return of.answer(request.method, path, f"Basic {signed}", urlencode(request.form).encode())


def create(of: Account, **form: str) -> tuple[int, dict[str, Any]]:
    given = {"To": THEM, "From": OURS, "Url": "https://voice.example.com/twilio/voice", **form}
    signed = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
    body = urlencode({name: value for name, value in given.items() if value}).encode()
    return of.answer("POST", f"/2010-04-01/Accounts/{SID}/Calls.json", f"Basic {signed}", body)


def test_what_our_wire_asks_is_taken():
    doing = Doing()
    one = account(doing)
    status, row = send(one, twilio.create_call(SETTINGS, THEM, OURS, {"placed": "p1"}, machine="DetectMessageEnd"))
    assert (status, row["status"], doing.did) == (201, "queued", [("place", THEM)])
    assert one.calls[row["sid"]].events == ("initiated", "ringing", "answered", "completed")
    one.calls[row["sid"]].status = "in-progress"
    assert send(one, twilio.transfer(SETTINGS, row["sid"], "sip:a@example.com", 30))[0] == 200
    assert doing.did[-1] == ("redirect", ["Dial"], "")
    assert send(one, twilio.show_call(SETTINGS, row["sid"]))[1]["status"] == "in-progress"
    assert send(one, twilio.end_call(SETTINGS, row["sid"]))[0] == 200 and doing.did[-1] == ("end", "completed")
    status, data = send(one, twilio.end_call(SETTINGS, row["sid"]))
    assert (status, data["code"]) in twilio.end_call(SETTINGS, row["sid"]).done_when


def test_numbers_are_listed_and_pointed_elsewhere():
    one = account()
    (row,) = send(one, twilio.list_numbers(SETTINGS, OURS))[1]["incoming_phone_numbers"]
    assert row["voice_url"] == "https://old.example.com/voice" and row["trunk_sid"] is None
    assert send(one, twilio.list_numbers(SETTINGS, THEM))[1]["incoming_phone_numbers"] == []
    status, row = send(one, twilio.point_number(SETTINGS, row["sid"], {"VoiceUrl": "https://new.example.com/v"}))
    assert (status, row["voice_url"]) == (200, "https://new.example.com/v")
    assert send(one, twilio.point_number(SETTINGS, row["sid"], {"VoiceUrl": "nowhere"}))[1]["code"] == 21205


REFUSALS = [
    ({"To": ""}, 21201), ({"From": ""}, 21213), ({"To": "5550100"}, 21211), ({"From": "0155"}, 21212),
    ({"From": "+15550100099"}, 21210), ({"Url": ""}, 21205), ({"Url": "/relative"}, 21205),
    ({"Url": "", "Twiml": "<Response>" + "x" * 4000 + "</Response>"}, 32018), ({"Timeout": "601"}, 21218),
    ({"MachineDetection": "Yes"}, 21262), ({"AsyncAmd": "true"}, 21262), ({"SendDigits": "12x"}, 21400),
    ({"StatusCallbackEvent": "picked-up"}, 21626),
    ({"MachineDetection": "Enable", "MachineDetectionTimeout": "99"}, 21263),
    ({"Tone": "loud"}, 20001),
]  # fmt: skip


@pytest.mark.parametrize(("form", "code"), REFUSALS)
def test_a_call_is_refused_with_the_carriers_code(form: dict[str, str], code: int):
    status, data = create(account(), **form)
    assert (status, data["code"]) == (400, code)


def test_an_account_that_may_not_call_says_why():
    assert create(account(verified=frozenset()))[1]["code"] == 21219
    assert create(account(blocked=frozenset({THEM})))[1]["code"] == 21216
    assert create(account(closed_countries=("+1555",)))[1]["code"] == 21215
    assert create(account(refuse_all=(403, 10001, "Account is not active")))[0] == 403
    busy = account(max_calls=1)
    assert create(busy)[0] == 201 and create(busy)[1]["code"] == 10004


def test_strangers_and_strange_paths_are_refused():
    one = account()
    assert one.answer("POST", f"/2010-04-01/Accounts/{SID}/Calls.json", "Basic eHg6eXk=", b"")[1]["code"] == 20003
    signed = "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
    assert one.answer("GET", f"/2010-04-01/Accounts/{SID}/Calls/CA1.json", signed, b"")[1]["code"] == 20404
    assert one.answer("GET", f"/2010-04-01/Accounts/{SID}/Faxes.json", signed, b"")[0] == 404


def test_a_call_that_is_not_up_cannot_be_redirected_or_cancelled_once_it_is():
    one = account()
    _, row = create(one)
    assert send(one, twilio.transfer(SETTINGS, row["sid"], THEM, 30))[1]["code"] == 21220
    one.calls[row["sid"]].status = "in-progress"
    assert send(one, twilio.end_call(SETTINGS, row["sid"], ringing=True))[1]["code"] == 21220


DIALS = [
    ('<Dial action="/relative"><Number>+15550100077</Number></Dial>', "15004"),
    ("<Dial><Number>call me</Number></Dial>", "13223"),
    ("<Dial><Sip>me@example.com</Sip></Dial>", "13243"),
    ('<Dial timeout="2"><Number>+15550100077</Number></Dial>', "13212"),
    ('<Dial><Number statusCallbackEvent="picked-up">+15550100077</Number></Dial>', "12200"),
    ('<Dial whenDone="x"><Number>+15550100077</Number></Dial>', "12200"),
]


@pytest.mark.parametrize(("dial", "code"), DIALS)
def test_a_dial_that_the_carrier_does_not_take_is_named(dial: str, code: str):
    found = read_twiml(f"<Response>{dial}</Response>".encode(), "text/xml", "")
    assert [complaint.code for complaint in found.complaints] == [code]
    assert bool(found.refused) is (code == "15004")


def test_our_own_dial_is_taken_without_a_word_whatever_the_target():
    for target in (THEM, "sip:a&b@example.com"):
        twiml = dict(twilio.transfer(SETTINGS, "CA" + "3" * 32, target, 30).form)["Twiml"]
        found = read_twiml(twiml.encode(), "text/xml", "")
        assert not found.complaints and found.verbs[0].nouns[0].text == target

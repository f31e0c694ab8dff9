"""The carrier's REST interface as a server under test sees it: by our own wire's request, and by wrong ones."""

import base64
import json

import httpx2
import pytest
from tests.net.kit import run

from offhook.net import rest
from offhook.sims.carrier_faults import parse_fault
from offhook.sims.carrier_rest import answer
from offhook.sims.run_rest import RestDesk
from offhook.wires.carriers import twilio

CALL, TOKEN = "CA" + "1" * 32, "token-0123456789"
SETTINGS = {"public_url": "https://voice.example.com", "auth_token": TOKEN, "account_sid": "AC" + "2" * 32}


def asked_by_us(*faults: str, token: str = TOKEN, running: bool = True, timeout_s: float = 5.0):
    """What came of our own wire's request, what the desk saw of it, and whether the call ended by it."""
    seen, ended, results = [], [], []

    async def main():
        async with RestDesk() as desk:
            if running:
                desk.expect(
                    CALL, ends=lambda: ended.append(True), on_asked=seen.append, token=token,
                    faults=[parse_fault(text) for text in faults],
                )  # fmt: skip
            settings = twilio.CarrierSettings(**SETTINGS, rest_base=desk.url)
            results.append(await rest.send(twilio.end_call(settings, CALL), timeout_s=timeout_s))
            seen.extend(desk.strays)

    run(main)
    return results[0], [one.answer for one in seen], bool(ended)


def test_what_our_own_wire_asks_ends_the_call():
    result, (made,), ended = asked_by_us()
    assert result.done and ended and (made.status, made.wrong, made.call) == (200, "", CALL)


@pytest.mark.parametrize(
    ("fault", "status", "code", "done"),
    [
        ("rest-unauthorized", 401, 20003, False), ("rest-gone", 404, 20404, True), ("rest-limited", 429, 20429, False),
        ("rest-refuses=21220", 400, 21220, True), ("rest-refuses", 400, 21219, False), ("rest-fails", 503, None, False),
        ("rest-fails=500", 500, None, False),
    ],
)  # fmt: skip
def test_every_dialled_answer_is_read_as_what_it_is(fault, status, code, done):
    result, (made,), ended = asked_by_us(fault)
    assert (result.status, result.code, result.done) == (status, code, done)
    assert ended is (fault == "rest-gone") and not made.wrong


def test_an_answer_that_never_comes_is_waited_for_as_long_as_was_said():
    result, (made,), ended = asked_by_us("rest-hangs", timeout_s=0.05)
    assert (result.status, made.status, ended) == (None, 0, False) and "no answer within" in result.detail


def test_another_account_s_token_and_a_call_that_is_over_are_refused_as_the_carrier_refuses_them():
    result, (made,), _ = asked_by_us(token="another")
    assert (result.status, result.code) == (401, 20003) and made.wrong
    result, (made,), _ = asked_by_us(running=False)
    assert (result.status, result.code, result.done) == (404, 20404, True) and made.wrong


BASIC = "Basic " + base64.b64encode(b"AC1:secret").decode()
PATH = f"/2010-04-01/Accounts/AC{'2' * 32}/Calls/{CALL}.json"


@pytest.mark.parametrize(
    ("method", "path", "credentials", "form", "status", "code", "statement"),
    [
        ("GET", PATH, BASIC, b"", 405, 20004, ""),
        ("POST", PATH.removesuffix(".json"), BASIC, b"Status=completed", 404, 20404, ""),
        ("POST", PATH, "Bearer x", b"Status=completed", 401, 20003, ""),
        ("POST", PATH, "Basic %%", b"Status=completed", 401, 20003, ""),
        ("POST", PATH, BASIC, b"Status=ended", 400, 21218, ""),
        ("POST", PATH, BASIC, b"status=completed", 400, 20001, ""),
        ("POST", PATH, BASIC, b"Url=/relative", 400, 21205, "L10"),
        ("POST", PATH, BASIC, b"Twiml=" + b"x" * 4001, 400, 21241, "L11"),
        ("POST", PATH, BASIC, b"\xff\xfe", 400, 20001, ""),
    ],
)
def test_what_the_carrier_refuses_is_refused_with_its_code(method, path, credentials, form, status, code, statement):
    made = answer(method, path, credentials, form, calls=[CALL])
    assert (made.status, made.code, made.statement) == (status, code, statement) and made.wrong and not made.ends
    assert json.loads(made.body)["code"] == code and "secret" not in repr(made)


def test_an_update_that_leaves_the_call_running_does_not_end_it():
    made = answer("POST", PATH, BASIC, b"Twiml=%3CResponse%2F%3E", calls=[CALL])
    assert made.status == 200 and not made.ends


def test_nobody_else_is_served(tmp_path):
    async def main():
        async with RestDesk() as desk, httpx2.AsyncClient(trust_env=False) as http:
            got = await http.post(desk.url + "/Accounts/x", content=b"x" * 100_000)
            assert got.status_code == 401 and [one.path for one in desk.strays] == ["/2010-04-01/Accounts/x"]

    run(main)

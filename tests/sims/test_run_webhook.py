"""Asking a webhook over real sockets: limits, redirects, fallback, wrong signatures; each refusal with its code."""

import asyncio
import socket
from urllib.parse import parse_qsl

import pytest

from offhook.net.server import Server
from offhook.sims.carrier_faults import parse_fault
from offhook.sims.run_webhook import Route, Webhooks
from offhook.sims.webhook import Signer
from offhook.wires._wire import Refusal
from offhook.wires.carriers.twilio import CarrierSettings, check_signature

TOKEN = "token-0123456789"
PUBLIC = "https://voice.example.com"
URL = PUBLIC + "/voice"
GOOD = b'<Response><Connect><Stream url="wss://voice.example.com/m"/></Connect><Hangup/></Response>'
FORM = {"CallSid": "CA" + "1" * 32, "From": "+15550100001", "Digits": ""}


class Site:
    """A server of a few lines: ``answers`` by path, (status, headers, body), or seconds to wait first."""

    def __init__(self, answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, dict, bytes]] = []
        self._server = Server(self._app, lambda request: Refusal(404, "", ""))

    async def _app(self, scope, receive, send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.asked.append((scope["method"], path, headers, body))
        answer = self.answers[scope["path"]]
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = (200, {"content-type": "text/xml"}, GOOD)
        status, given, content = answer
        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    async def __aenter__(self):
        await self._server.start()
        return self

    async def __aexit__(self, *exc) -> None:
        await self._server.stop()

    @property
    def port(self) -> int:
        return self._server.port


XML = {"content-type": "text/xml"}


def ask(answers, *faults, url=URL, route=None, signer=None, **options):
    """(document, answer, everything that was asked, every answer)."""

    async def run():
        async with Site(answers) as site:
            heard = []
            made = route or Route(("voice.example.com", 443), ("127.0.0.1", site.port))
            hooks = Webhooks(
                made, signer or Signer(TOKEN), faults=[parse_fault(f) for f in faults],
                on_answer=lambda answer, retried, redirects: heard.append(answer), **options,
            )  # fmt: skip
            try:
                document, answer = await hooks.document(url, FORM, first=True)
            finally:
                await hooks.close()
            return document, answer, site.asked, heard

    return asyncio.run(run())


def signed(request) -> bool:
    method, path, headers, body = request
    settings = CarrierSettings(public_url=PUBLIC, auth_token=TOKEN)
    return check_signature(settings, method, path, headers, body).ok


def test_a_webhook_is_asked_as_the_carrier_asks():
    document, answer, asked, _ = ask({"/voice": (200, XML, GOOD)})
    ((method, path, headers, body),) = asked
    given = dict(headers)
    assert document is not None and document.stream is not None and answer.code is None
    assert (method, path, given["host"]) == ("POST", "/voice", "voice.example.com")
    assert dict(parse_qsl(body.decode(), keep_blank_values=True)) == FORM and signed(asked[0])
    assert given["user-agent"] == "TwilioProxy/1.1" and given["i-twilio-idempotency-token"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, XML, b"no"), "11200"),
        ((200, {"content-type": "application/json"}, b"{}"), "12300"),
        ((200, XML, b""), "11770"),
        ((200, XML, b"<Response>" + b" " * 70000 + b"</Response>"), "11750"),
        ((200, XML, b"<Response"), "12100"),
        (1.0, "11203"),
    ],
)
def test_an_answer_that_the_carrier_refuses_has_its_code(answer, code):
    document, got, _, _ = ask({"/voice": answer}, total_s=0.3)
    assert got.code == code and (document is None or document.refused is not None)


def test_a_redirect_turns_post_into_get_and_loses_the_form():
    answers = {"/voice": (301, {"location": "/moved"}, b""), "/moved": (200, XML, GOOD)}
    document, _, asked, _ = ask(answers)
    assert document is not None
    assert [(m, p, b) for m, p, _, b in asked][1] == ("GET", "/moved", b"") and signed(asked[1])


def test_a_307_keeps_the_form():
    _, _, asked, _ = ask({"/voice": (307, {"location": "/moved"}, b""), "/moved": (200, XML, GOOD)})
    assert asked[1][0] == "POST" and asked[1][3] == asked[0][3] and signed(asked[1])


def test_redirects_without_end_end():
    _, answer, asked, _ = ask({"/voice": (302, {"location": "/voice"}, b"")})
    assert answer.code == "11215" and len(asked) == 11


def test_the_fallback_is_told_what_failed():
    answers = {"/voice": (500, XML, b""), "/other": (200, XML, GOOD)}
    document, _, asked, _ = ask(answers, fallback_url=PUBLIC + "/other")
    assert document is not None and document.stream is not None
    told = dict(parse_qsl(asked[1][3].decode()))
    assert told["ErrorCode"] == "11200" and told["ErrorUrl"] == URL


def test_a_refused_connection_is_tried_twice():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    _, answer, _, heard = ask({}, route=Route(connect=("127.0.0.1", port)))
    assert answer.code == "11202" and len(heard) == 2


def test_a_name_that_does_not_exist():
    assert ask({}, url="https://no-such-name.invalid/x", route=Route())[1].code == "11210"


@pytest.mark.parametrize(
    ("fault", "method", "path"),
    [
        ("webhook-get", "GET", "/voice?CallSid="),
        ("webhook-redirected", "GET", "/voice"),
        ("webhook-elsewhere=/incoming", "POST", "/incoming"),
        ("webhook-json", "POST", "/voice?bodySHA256="),
        ("webhook-extra", "POST", "/voice"),
    ],
)
def test_the_request_can_be_bent_and_stays_signed(fault, method, path):
    answers = {"/voice": (200, XML, GOOD), "/incoming": (200, XML, GOOD)}
    _, _, asked, _ = ask(answers, fault)
    assert asked[0][0] == method and asked[0][1].startswith(path) and signed(asked[0])


@pytest.mark.parametrize("dimension", ["scheme", "host", "port", "slash", "query", "body", "algorithm", "secret"])
def test_a_signature_can_be_wrong_in_every_dimension(dimension):
    _, _, asked, _ = ask({"/voice": (200, XML, GOOD)}, signer=Signer(TOKEN, dimension))
    assert "x-twilio-signature" in dict(asked[0][2]) and not signed(asked[0])


def test_a_signature_can_be_missing_or_made_with_a_shared_key():
    _, _, asked, _ = ask({"/voice": (200, XML, GOOD)}, signer=Signer(TOKEN, "missing"))
    assert "x-twilio-signature" not in dict(asked[0][2])
    _, _, asked, _ = ask({"/voice": (200, XML, GOOD)}, signer=Signer("", shared_key=("k1", "secret-1")))
    settings = CarrierSettings(public_url=PUBLIC, shared_keys={"k1": "secret-1"})
    assert check_signature(settings, *asked[0]).ok


def test_an_unreachable_webhook_asks_nothing():
    _, answer, asked, _ = ask({"/voice": (200, XML, GOOD)}, "unreachable")
    assert answer.code == "11210" and not asked

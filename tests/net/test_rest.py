"""REST requests: what came of them, in every case, without a credential anywhere."""

import asyncio

import httpx2
import pytest
from tests.net.kit import run, serving

from offhook.net import rest
from offhook.wires._wire import RestRequest

PASSWORD = "password-0123456789"
ASKED = RestRequest(
    method="POST",
    url="https://api.example.test/Calls/CA1.json",
    form=(("Status", "completed"), ("Event", "a"), ("Event", "b c")),
    username="AC1",
    password=PASSWORD,
    done_when=((404, 20404), (400, 21220), (410, None)),
)


def sent(answer, request=ASKED, **options):
    """The result of ``request`` when the carrier does ``answer``."""
    seen: list[httpx2.Request] = []
    results = []

    def handle(asked):
        seen.append(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def main():
        results.append(await rest.send(request, transport=httpx2.MockTransport(handle), **options))

    run(main)
    return results[0], seen


def test_the_request_is_sent_as_described():
    result, seen = sent(httpx2.Response(200, json={"status": "completed"}))
    assert result == rest.RestResult(True, 200, None, "done", {"status": "completed"})
    assert len(seen) == 1
    assert (seen[0].method, str(seen[0].url)) == ("POST", ASKED.url)
    assert seen[0].content == b"Status=completed&Event=a&Event=b+c"
    assert seen[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)])
def test_what_was_so_before_is_done(status, code):
    result, _ = sent(httpx2.Response(status, json={"code": code, "message": "not there"}))
    assert result == rest.RestResult(True, status, code, "already so")


def test_a_status_without_a_code_may_also_mean_done():
    assert sent(httpx2.Response(410, text="gone"))[0] == rest.RestResult(True, 410, None, "already so")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (httpx2.Response(401, json={"code": 20003, "message": "No"}), "credentials refused (code 20003): No"),
        (httpx2.Response(404, json={"code": 20405, "message": "x"}), "HTTP 404 (code 20405): x"),
        (httpx2.Response(404, text="<html>"), "HTTP 404"),
        (httpx2.Response(400, json=["no", "object"]), "HTTP 400"),
        (httpx2.Response(400, json={"code": "21220"}), "HTTP 400"),
        (httpx2.Response(302, headers={"Location": "https://elsewhere.test/"}), "HTTP 302"),
        (httpx2.Response(503, content=b"\xff\xfe{"), "HTTP 503"),
        (httpx2.ConnectError("refused"), "ConnectError: refused"),
        (httpx2.ReadError(f"broke with {PASSWORD}"), "ReadError: broke with ***"),
        (httpx2.ReadTimeout("slow"), "no answer within 5 s"),
    ],
)  # fmt: skip
def test_every_failure_has_a_sentence_and_is_no_exception(answer, detail):
    result, seen = sent(answer)
    assert not result.done
    assert result.detail == detail
    assert len(seen) == 1  # a redirect is not followed: the credentials would go along


def test_a_password_that_is_echoed_is_not_passed_on():
    result, _ = sent(httpx2.Response(400, json={"code": 1, "message": f"bad\n{PASSWORD}"}))
    assert result.detail == "HTTP 400 (code 1): bad ***"


def test_an_address_that_is_none_is_an_answer_too():
    async def main():
        for url in ("nonsense", "https://[broken", "https://x:99999/", "https://a b/\x00", "file:///etc/passwd"):
            result = await rest.send(RestRequest("POST", url, (), "a", PASSWORD, ()))
            assert not result.done and result.detail and PASSWORD not in result.detail

    run(main)


def test_the_environments_proxy_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def main():
        async with serving() as it:
            url = f"http://127.0.0.1:{it.server.port}/x"
            request = RestRequest("POST", url, (("a", "b"),), "u", PASSWORD, ())
            assert (await rest.send(request)).done
            through = await rest.send(request, proxy="http://127.0.0.1:1")
            assert not through.done and through.detail.startswith("ConnectError")

    run(main)


def test_a_mute_carrier_is_given_up():
    async def main():
        async def mute(reader, writer):
            await reader.read()
            writer.close()

        async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            result = await rest.send(RestRequest("POST", url, (), "u", PASSWORD, ()), timeout_s=0.1)
            assert result == rest.RestResult(False, None, None, "no answer within 0.1 s")

    run(main)

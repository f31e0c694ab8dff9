"""Who is calling: files, functions and addresses; what hangs, fails, or leads where it must not."""

import asyncio
import json
import threading
import time

import pytest
from tests.after.kit import receiver

from offhook import outward
from offhook.agent import lookup as lookups
from offhook.agent.agents import gather
from offhook.agent.aside import Aside, Busy
from offhook.agent.lookup import LookupProblem, lookup_of, read_people
from offhook.agent.profile import Agent
from offhook.agent.prompt import CallFacts
from offhook.outward import OutwardError, ask, is_public, url_problem
from offhook.settings import load

ADA = CallFacts("+15550100001", "+15550100002", "CA1", "inbound", {})


def lookup(tmp_path, text="", declared=(), aside=None, environment=None):
    (tmp_path / "offhook.toml").write_text('[provider]\nname = "openai"\n[agent]\n' + text)
    profile = gather(load({}, environment={}, cwd=tmp_path), declared)[0].profiles["default"]
    found = lookup_of(profile, aside or Aside(), environment or {})
    assert found is not None
    return found


def asked(found, facts=ADA):
    return asyncio.run(found.ask(facts))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "number,name,next\n+1 555-010-0001,Ada,\n+15550100009,Bo,x\n"),
        ("p.json", '[{"number": ["+15550100001", "+15550100005"], "name": "Ada"}]'),
        ("p.json", '{"+15550100001": {"name": "Ada"}, "+15550100009": "Bo"}'),
        ("p.toml", '[[people]]\nnumber = "+15550100001"\nname = "Ada"\n'),
        ("p.toml", '["+15550100001"]\nname = "Ada"\n'),
    ],
)
def test_people_are_found_by_number_in_each_format(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = lookup(tmp_path, f'lookup_file = "{name}"\n')
    assert asked(found).fields == {"name": "Ada"} and found.files == (tmp_path / name,)
    assert asked(found, CallFacts("+1555", "", "CA1", "inbound", {})).fields == {}


def test_fields_are_bounded_texts_one_level_deep(tmp_path):
    row = {
        "number": "+1555",
        "tags": ["a", 2],
        "vip": True,
        "a": {"b": 1, "c": {"d": 1}},
        "none": None,
        "t": "x\n" * 999,
    }
    (tmp_path / "p.json").write_text(json.dumps([row]))
    found = read_people(tmp_path / "p.json")["+1555"]
    assert {name: found[name] for name in ("tags", "vip", "a.b")} == {"tags": "a, 2", "vip": "true", "a.b": "1"}
    assert len(found["t"]) == 500 and "none" not in found


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.csv", "number,name\n5550100001,Ada\n", "person 1: number: got '555'"),
        ("p.csv", "name\nAda\n", "person 1: number"),
        ("p.json", "[1]", "wanted a list of people"),
        ("p.json", '[{"number": "+1"}, {"number": "+1"}]', "person 2: a number that stands there twice"),
        ("p.yaml", "", ".yaml suffix, wanted .json, .toml or .csv"),
        ("p.toml", "[", ""),
    ],
)
def test_a_file_that_says_nothing_is_named_without_a_whole_number(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(LookupProblem) as error:
        lookup(tmp_path, f'lookup_file = "{name}"\n')
    assert says in error.value.got and "5550100001" not in str(error.value)


def test_a_function_of_a_file_plain_or_async_is_asked_beside_the_calls(tmp_path):
    (tmp_path / "crm.py").write_text(
        "import threading\n"
        "def plain(facts): return {'name': facts.caller_number[-1], 'on': threading.current_thread().name}\n"
        "async def slow(facts): return {'on': threading.current_thread().name}\n"
        "def nobody(facts): return None\n"
        "def wrong(facts): return 7\n"
        "def raises(facts): raise RuntimeError('the database is\\ndown')\n"
    )
    aside = Aside("beside")

    def fields(name):
        return asked(lookup(tmp_path, f'lookup_function = "crm.py:{name}"\n', aside=aside))

    assert fields("plain").fields["name"] == "1" and fields("plain").fields["on"].startswith("beside")
    assert fields("slow").fields == {"on": "beside"}
    assert fields("nobody").fields == {} and fields("nobody").why == ""
    assert fields("wrong").why == "answered with int, wanted an object or nothing"
    assert fields("raises").why == "RuntimeError: the database is down"
    aside.stop()


@pytest.mark.parametrize("name", ["crm.py", "gone.py:f", "json:gone", "gone_module:f", "json:__doc__"])
def test_a_function_that_is_not_there_is_refused_at_start(tmp_path, name):
    with pytest.raises(LookupProblem) as error:
        lookup(tmp_path, f'lookup_function = "{name}"\n')
    assert error.value.field == "lookup_function"


def test_two_ways_to_look_up_are_one_too_many(tmp_path):
    with pytest.raises(LookupProblem):
        lookup(tmp_path, 'lookup_file = "p.csv"\nlookup_url = "https://crm.example.com"\n')


def test_an_answer_that_is_late_is_late_by_the_deadline_that_was_set(tmp_path, monkeypatch):
    """And not by the second for which the asking goes on."""
    monkeypatch.setattr(lookups, "GIVEN_UP_S", 0.0)
    aside = Aside()

    async def slow(facts):
        await asyncio.sleep(9)

    found = asked(lookup(tmp_path, "lookup_s = 0.05\n", [Agent(lookup=slow)], aside))
    assert found.why == "no answer within 0.05 s (lookup_s), nor soon after"
    aside.stop()


def test_a_function_that_hangs_holds_nobody_up_and_is_named_when_all_threads_are_gone():
    aside, block = Aside(most_threads=2), threading.Event()

    def stuck() -> None:
        block.wait()

    async def ask() -> None:
        async with asyncio.timeout(0.02):
            await aside.plain(stuck)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            aside.submit(ask).result(40)
    with pytest.raises(Busy, match=r"stuck \(2\)"):
        aside.submit(ask).result(40)
    block.set()
    until = time.monotonic() + 40
    while aside._running and time.monotonic() < until:
        time.sleep(0.005)
    assert aside.submit(lambda: aside.plain(lambda: 7)).result(40) == 7
    aside.stop()


def test_a_declared_agents_function_is_its_own(tmp_path):
    aside = Aside()
    declared = Agent(lookup=lambda facts: {"name": "Ada"})
    assert asked(lookup(tmp_path, declared=[declared], aside=aside)).fields == {"name": "Ada"}
    aside.stop()


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.169.254", False), ("0.0.0.0", False),
        ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::a00:1", False), ("2002:a00:1::", False),
        ("2606:4700::1111", True),
    ],
)  # fmt: skip
def test_which_address_is_public_whatever_it_is_wrapped_in(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://crm.example.com/", "http:// across the internet"), ("ftp://x/", "scheme ftp"),
        ("https://u:p@crm.example.com/", "credentials"), ("https://127.0.0.1/", "this machine"),
        ("https://[::1]/", "this machine"), ("https://localhost/", "this machine"), ("https://10.1.2.3/", "private"),
        ("nothing", "scheme none"), ("https://[", ""),
    ],
)  # fmt: skip
def test_an_address_that_must_not_be_asked_is_refused_before_any_call(tmp_path, url, says):
    assert says in (url_problem(url, private=False) or "")
    with pytest.raises(LookupProblem):
        lookup(tmp_path, f'lookup_url = "{url}"\n')


def test_a_public_name_that_leads_inside_is_not_asked(monkeypatch):
    async def resolve(self, host, port, **more):
        return [(2, 1, 6, "", ("93.184.216.34", port)), (2, 1, 6, "", ("10.0.0.7", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with pytest.raises(OutwardError, match=r"may not be connected to: 10.0.0.7"):
        asyncio.run(ask("GET", "https://crm.example.com/", headers={}, private=False, timeout_s=1))


class Crm:
    """A customer database on this machine: answers as its path says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _answer(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return writer.close()
        self.asked.append(head)
        path = head.split()[1]
        body = b'{"name": "Ada"}'
        status = "200 OK"
        if "/hang" in path:
            await reader.read()  # until the asker gives up
        elif "/none" in path:
            status = "404 Not Found"
        elif "/moved" in path:
            status = "302 Found\r\nLocation: http://127.0.0.1/secret"
        elif "/big" in path:
            body = b"x" * 70_000
        elif "/text" in path:
            body = b"<html>"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        writer.close()


@pytest.mark.parametrize(
    ("path", "fields", "why"),
    [
        ("/p/{number}", {"name": "Ada"}, ""),
        ("/none", {}, ""),
        ("/moved", {}, "answered HTTP 302, wanted 200 or 404"),
        ("/big", {}, "answered with more than 65536 bytes"),
        ("/text", {}, "answered with 6 bytes that are not JSON"),
        ("/hang", {}, "no answer within 0.3 s"),
    ],
)
def test_what_an_address_answers_becomes_a_person_or_a_reason(tmp_path, path, fields, why):
    async def main() -> None:
        aside = Aside()
        async with Crm() as crm:
            text = f'lookup_url = "{crm.url}{path}"\nlookup_private = true\nlookup_s = {0.3 if "hang" in path else 5}\n'
            found = await lookup(tmp_path, text, aside=aside).ask(ADA)
            assert (dict(found.fields), found.why) == (fields, why)
            assert ("/p/%2B15550100001 " in crm.asked[0]) is ("/p/" in path)
        aside.stop()

    asyncio.run(main())


def test_the_token_goes_in_the_header_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(outward, "is_public", lambda address: True)

    async def main() -> None:
        async with Crm() as crm:
            headers = {"Authorization": "Bearer s3cret"}
            url = crm.url + "/x"
            await ask("GET", url, headers=headers, private=True, timeout_s=2)
            assert "Authorization: Bearer s3cret" in crm.asked[0] and "s3cret" not in crm.asked[0].split()[1]
            with pytest.raises(OutwardError) as error:
                await ask(
                    "GET", crm.url.replace("127.0.0.1", "127.0.0.1:1"), headers=headers, private=True, timeout_s=1
                )
            assert "s3cret" not in str(error.value)

    asyncio.run(main())


def test_an_address_is_asked_by_the_proxy_of_the_environment(tmp_path):
    async def main():
        aside, asked = Aside(), []

        def answer(request, headers, body):
            asked.append((request, headers["host"]))
            return 200, b'{"name": "Ada"}'

        async with receiver(answer) as proxy:
            text = 'lookup_url = "http://crm.test/people?number={number}"\nlookup_private = true\nlookup_s = 5\n'
            ways = {"HTTP_PROXY": proxy}
            found = await lookup(tmp_path, text, aside=aside, environment=ways).ask(ADA)
            assert found.fields == {"name": "Ada"}
            assert asked == [("GET http://crm.test/people?number=%2B15550100001", "crm.test")]
            direct = await lookup(tmp_path, text, aside=aside, environment={**ways, "NO_PROXY": "crm.test"}).ask(ADA)
            assert "crm.test has no address" in direct.why and len(asked) == 1
        aside.stop()

    asyncio.run(main())

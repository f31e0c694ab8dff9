"""A call as a file for somebody else, and faults that are played: what the API gives, and what must not be in it."""

from collections import Counter
from pathlib import Path

import pytest
from tests.api.kit import CALL, Api
from tests.api.test_api import problem, run
from tests.store.kit import agent, caller, note, record

from offhook.api.share import page
from offhook.cli.play import play
from offhook.diagnosis.engine import rule_modules
from offhook.diagnosis.report import judge
from offhook.diagnosis.together import report_all
from offhook.evidence.files import PLAYGROUND
from offhook.evidence.redact import Sieve
from offhook.sims.faults.catalogue import examples, injections, playable
from offhook.sims.faults.examples import EXAMPLES

SID = "AC" + "0123456789abcdef" * 2
HELD_BACK = ("hunter2secret", "+15550100002", "+1*****02", "4111 1111 1111 1111", "joe@example.org", SID,
             "203.0.113.9", "voice.example.com", "You are a very secret persona", "t1cket")  # fmt: skip


def test_what_is_shared_has_no_secret_number_id_or_address_and_the_words_are_there(tmp_path: Path):
    record(
        tmp_path, CALL,
        note("milestone", 5.0, id="M6", what="stream started"),
        note("upgrade", 5.5, path="/x", host="voice.example.com", client="203.0.113.9"),
        note("dial.request", -1.0, scheme="wss"),  # a clock's grain before the begin
        {"k": "msg", "t": 6.0, "ch": 0, "bytes": 9, "m": {"event": "start", "accountSid": SID, "ticket": "t1cket",
                                                          "hunter2secret": "+15550100002"}},
        {"k": "msg", "t": 7.0, "ch": 3, "bytes": 9, "m": {
            "type": "session.update", "session": {"instructions": "You are a very secret persona"}}},
        caller("My card is 4111 1111 1111 1111, mail joe@example.org, call +1*****02", "i1", 900.0),
        agent("<script>alert(1)</script> hunter2secret", "i2", 1400.0),
    )  # fmt: skip
    (path,) = tmp_path.glob("*.jsonl")
    text = page(judge(path), None, Sieve("hunter2secret").clean_data, server="voice.example.com")
    assert [one for one in HELD_BACK if one in text] == []
    assert "My card is [card], mail [email], call [number]" in text and f"AC…{SID[-4:]}" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "<script" not in text
    assert "http" not in text.replace("http-equiv", "") and " src=" not in text and "url(" not in text
    assert ">-0:00.001 * dial.request" in text
    with pytest.raises(ValueError, match="not recorded"):
        page(judge(path), None, lambda data: data, audio=True)


def test_a_shared_call_has_its_outline_and_its_audio_only_when_asked(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("read", "audio") as client:
            plain = await client.get(f"/api/calls/{CALL}/share")
            whole = await client.get(f"/api/calls/{CALL}/share?audio=true")
            assert plain.headers["content-disposition"].startswith('attachment; filename="call-')
            assert CALL not in plain.headers["content-disposition"]  # its id is out of the file's name too
            assert "default-src 'none'" in plain.headers["content-security-policy"]
            assert 'stroke="var(--caller)"' in plain.text and "data:audio" not in plain.text
            assert 'src="data:audio/wav;base64,UklGR' in whole.text
        await problem(server, 403, f"/api/calls/{CALL}/share", "read")
        await problem(server, 409, f"/api/calls/CA{'3' * 32}/share?audio=true", "audio")

    run(tmp_path, main)


def test_a_fault_is_played_beside_the_calls_and_read_like_one(tmp_path: Path):
    async def main(server: Api) -> None:
        shown = await server.get("/api/faults/carrier-stream/misspelt-field")
        assert [row["id"] for row in shown["plays"]] == ["F-049"]
        kinds = Counter(one["shown"] for one in (await server.get("/api/faults"))["faults"])
        assert kinds == {"played": len(rule_modules()) - 5, "by hand": 5}  # as the page counts them
        async with server.client("place", "read") as client:
            told = (await client.post("/api/faults/carrier-stream/misspelt-field/play")).json()
            (call,) = told["calls"]
            assert told["row"] == "F-049" and call["named"] and call["verdict"] == "broken"
            ladder = (await client.get(f"/api/calls/{call['record']}/ladder")).json()
            assert ladder["guilty"][0]["rule"] == "carrier-stream/misspelt-field"
            rows = (await client.get("/api/calls")).json()["calls"]
            assert call["record"] not in {row["id"] for row in rows}
        assert len(list((server.directory / PLAYGROUND).glob("*.jsonl"))) == 1
        await problem(server, 403, "/api/faults/carrier-stream/misspelt-field/play", "read", method="POST")
        await problem(server, 409, "/api/faults/carrier-stream/misspelt-field/play?row=F-001", "place", method="POST")
        await problem(server, 404, "/api/faults/no/such/play", "place", method="POST")

    run(tmp_path, main)


def test_an_example_beside_the_catalogue_is_played_like_a_row(tmp_path: Path):
    told = play("E-lost", tmp_path)
    (call,) = told["calls"]
    assert call["named"] and call["sentence"] == "The carrier's connection vanished without stop or close."
    assert "-play-E-lost-" in call["record"] and (tmp_path / f"{call['record']}.jsonl").is_file()


def test_what_is_nobodys_fault_is_named_as_well(tmp_path: Path):
    (call,) = play("F-163", tmp_path)["calls"]  # the caller's line is digitally silent
    assert call["named"] and "digital silence" in call["sentence"]


def test_what_only_several_calls_together_show_is_named(tmp_path: Path):
    calls = play("F-086", tmp_path)["calls"]  # one session object for all of them
    assert len(calls) == 2 and any(call["named"] for call in calls)


def test_what_is_said_to_be_playable_is_what_is_injected():
    assert {row.id for row in playable()} == set(injections())
    assert [one.id for one in examples()] == list(EXAMPLES)


def test_every_rule_is_shown_by_a_simulated_call_or_by_a_record_that_says_what_is_made_by_hand():
    played = {row.id for row in playable()}
    beside = Counter(one.rule for one in examples())
    rules = [module.RULE for module in rule_modules()]
    for rule in rules:
        assert bool(played & set(rule.decides)) != bool(beside[rule.id]), rule.id
    assert beside.keys() <= {rule.id for rule in rules}
    assert sum(bool(one.by_hand) for one in examples()) == 5  # one more needs a reason


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.id)
def test_an_example_is_named_by_the_rule_that_it_shows(example):
    made = report_all(EXAMPLES[example.id]())
    assert example.rule in {found.rule for one in made for found in (*one.roots, *one.others)}

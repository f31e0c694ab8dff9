"""The API's routes over ASGI: what they answer, to whom, and how they say no."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.api.kit import CALL, RUNNING, Api, api
from tests.store.kit import record

from offhook import vocab as v
from offhook.after.hook import Hook, Job, Outcome
from offhook.after.queue import Queue, add
from offhook.api import problems
from offhook.api.app import schema
from offhook.api.models.base import Answer
from offhook.evidence.files import FETCHED, remove_call
from offhook.net.rest import RestResult
from offhook.store.database import engine
from offhook.store.queries import Reader

RECORD = f"20261125T120000Z-{CALL}"
Main = Callable[[Api], Awaitable[None]]


def run(folder: Path, main: Main, **given: Any) -> None:
    async def body() -> None:
        async with asyncio.timeout(40), api(folder, **given) as server:
            await main(server)

    asyncio.run(body())


async def problem(
    server: Api, status: int, path: str, *scopes: str, method: str = "GET", **more: Any
) -> dict[str, Any]:
    async with server.client(*scopes) as client:
        answer = await client.request(method, path, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    return told


def test_calls_are_listed_shown_and_their_words_told(tmp_path: Path):
    async def main(server: Api) -> None:
        listed = await server.get("/api/calls")
        assert listed["source"] == "store" and [row["agent"] for row in listed["calls"]] == ["night", "clinic"]
        shown = await server.get(f"/api/calls/{CALL}")
        assert shown["id"] == RECORD and shown["state"] == "ended" and shown["tool_runs"][0]["name"] == "book"
        assert shown["seconds"] == 9.0 and shown["recording"] == f"{RECORD}.wav"
        told = await server.get(f"/api/calls/{RECORD}/transcript")
        said = {turn["item"]: turn for turn in told["turns"] if turn["who"] in ("caller", "agent")}
        assert said["i1"]["text"] == "good morning"
        assert said["i2"]["heard"] == "Good morning, how" and said["i2"]["struck"] == "can I help you today?"
        found = await server.get(f"/api/calls/{CALL}/findings")
        assert found["verdict"] and found["boundaries"] and not found["running"]

    run(tmp_path, main)


def test_calls_are_found_and_paged(tmp_path: Path):
    async def main(server: Api) -> None:
        assert [row["id"] for row in (await server.get("/api/calls?text=elm+street"))["calls"]] == [RECORD]
        assert [row["id"] for row in (await server.get("/api/calls?agent=clinic"))["calls"]] == [RECORD]
        first = await server.get("/api/calls?limit=1")
        second = await server.get(f"/api/calls?limit=1&cursor={first['next']}")
        assert [first["calls"][0]["agent"], second["calls"][0]["agent"]] == ["night", "clinic"]
        assert second["next"] is None
        told = await problem(server, 400, "/api/calls?cursor=AAAA", "read")
        assert told["errors"][0]["field"] == "cursor"

    run(tmp_path, main)


def test_without_a_store_calls_come_from_their_records(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client() as client:
            assert (await client.get("/api/calls")).status_code == 401
        access = server.world.access
        headers = {"authorization": f"Bearer {access.own_token()}"}
        async with server.client(**headers) as client:
            listed = (await client.get("/api/calls?limit=1")).json()
            assert listed["source"] == "records" and "no store" in listed["why"]
            rest = (await client.get(f"/api/calls?limit=1&cursor={listed['next']}")).json()
            assert {listed["calls"][0]["agent"], rest["calls"][0]["agent"]} == {"night", "clinic"}
            refused = await client.get("/api/calls?text=elm")
            assert refused.status_code == 503 and refused.json()["errors"][0]["field"] == "text"
            assert (await client.get("/api/tokens")).status_code == 409

    run(tmp_path, main, store=False)


def test_a_running_call_leads_the_list_and_is_shown_from_memory(tmp_path: Path):
    async def main(server: Api) -> None:
        server.ring()
        server.hub(RUNNING, v.CallerTranscript("i1", "are you there", True), 1.0)
        listed = await server.get("/api/calls")
        assert (
            listed["calls"][0]["call"] == RUNNING and listed["calls"][0]["live"]["turns"][0]["text"] == "are you there"
        )
        assert [row["call"] for row in (await server.get("/api/calls?state=running"))["calls"]] == [RUNNING]
        shown = await server.get(f"/api/calls/{RUNNING}")
        assert shown["state"] == "running" and shown["live"]["agent"] == "default"
        assert (await server.get(f"/api/calls/{RUNNING}/findings"))["running"]
        drawn = await server.get(f"/api/calls/{RUNNING}/ladder")
        assert drawn["running"] and drawn["marks"]["sent"] == 0, "the bridge's figures are in memory until the end"
        assert "4155550100" not in repr([listed, shown])

    run(tmp_path, main)


def test_a_call_that_began_a_moment_ago_is_read_when_its_first_lines_are_written(tmp_path: Path):
    async def main(server: Api) -> None:
        call = server.ring(written=False)
        asking = asyncio.create_task(server.get(f"/api/calls/{call}/findings"))
        await asyncio.sleep(0.1)
        assert not asking.done()
        server.journals.flush()
        assert (await asking)["running"]

    run(tmp_path, main)


def test_a_call_page_has_messages_spans_barge_ins_deadlines_and_fields_with_their_meaning(tmp_path: Path):
    async def main(server: Api) -> None:
        page = await server.get(f"/api/calls/{CALL}/ladder")
        assert [one["type"] for one in page["messages"]][0] == "start" and page["recording"]
        kinds = {(one["kind"], one["item"]): one for one in page["spans"]}
        assert kinds["heard", "i2"]["to_ms"] - kinds["heard", "i2"]["from_ms"] == 1000
        assert kinds["unheard", "i2"]["text"] == "can I help you today?"
        assert kinds["tool", "t1"]["to_ms"] == 2300
        assert page["barge_ins"][0]["heard_ms"] == 1000 and page["deadlines"][0]["name"] == "first mark"
        assert page["replies"][0]["ms"] == 400
        n = page["messages"][0]["n"]
        shown = await server.get(f"/api/calls/{CALL}/messages/{n}")
        field = next(one for one in shown["fields"] if one["path"] == "start.callSid")
        assert "phone call" in field["means"] and field["checked"] and "twilio.com" in field["source"]
        assert (await problem(server, 404, f"/api/calls/{CALL}/messages/9999", "read"))["type"].endswith("no-line")
        trace = await server.get(f"/api/calls/{CALL}/trace?limit=3")
        rest = await server.get(f"/api/calls/{CALL}/trace?after={trace['next']}")
        assert len(trace["lines"]) == 3 and rest["lines"][0]["n"] == 4 and rest["next"] is None

    run(tmp_path, main)


def test_a_recording_is_given_in_pieces_and_as_an_outline(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("audio") as client:
            whole = await client.get(f"/api/calls/{CALL}/recording")
            part = await client.get(f"/api/calls/{CALL}/recording", headers={"range": "bytes=4-11"})
            beyond = await client.get(f"/api/calls/{CALL}/recording", headers={"range": "bytes=999999-"})
        assert whole.headers["content-type"] == "audio/wav" and len(whole.content) == 58 + 16000
        assert part.status_code == 206 and part.content == whole.content[4:12]
        assert beyond.status_code == 416
        drawn = await server.get(f"/api/calls/{CALL}/peaks?bins=4")
        assert drawn["caller"] == [[0, 0]] * 4 and drawn["agent"] == [[127, 127]] * 4 and drawn["bin_ms"] == 250
        part = await server.get(f"/api/calls/{CALL}/peaks?bins=9&from_ms=500&to_ms=501")
        assert part["bins"] == 8
        assert (await problem(server, 404, f"/api/calls/CA{'3' * 32}/recording", "audio"))["type"].endswith(
            "no-recording"
        )
        assert (await problem(server, 404, f"/api/calls/{CALL}/peaks?from_ms=5000", "audio"))["errors"][0][
            "where"
        ] == "query"
        await problem(server, 403, f"/api/calls/{CALL}/recording", "read")

    run(tmp_path, main)


def test_a_recording_that_lies_in_a_bucket_only_is_heard_and_goes_again(tmp_path: Path, monkeypatch):
    async def main(server: Api) -> None:
        own = server.directory / f"{RECORD}.wav"
        sound, url, fetched = own.read_bytes(), f"s3://calls/{own.name}", server.directory / FETCHED / own.name
        own.unlink()
        assert "not recorded" in (await problem(server, 404, f"/api/calls/{CALL}/recording", "audio"))["detail"]
        with engine(server.url, write=True).begin() as connection:
            hook = Hook(name=":upload", kind="upload", run=None, events=(), deadline_s=1, where="")
            add(connection, {"id": RECORD, "call": CALL}, hook, json.dumps({"url": url}), held=False)
            connection.exec_driver_sql("UPDATE outbox SET state = 'done'")
        told = await problem(server, 503, f"/api/calls/{CALL}/recording", "audio")
        assert url in told["detail"] and "does not answer" in told["detail"] and not fetched.exists()
        server.bucket[url] = sound
        async with server.client("audio") as client:
            assert (await client.get(f"/api/calls/{CALL}/recording")).content == sound
            server.bucket.clear()
            assert (await client.get(f"/api/calls/{CALL}/peaks?bins=4")).status_code == 200  # it is here already
        lock = server.app.app.state.fetched._lock
        monkeypatch.setattr("offhook.api.fetching.WAIT_S", 0.01)
        fetched.unlink()
        with lock:  # as while a bucket hangs
            told = await problem(server, 503, f"/api/calls/{CALL}/recording", "audio")
        assert "another recording" in told["detail"]
        fetched.write_bytes(sound)
        assert fetched.exists() and fetched in remove_call(server.directory, RECORD) and not fetched.exists()

    run(tmp_path, main)


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fsecret", "nobody", ".server", "x" * 200, "a/b", "%00"])
def test_a_name_that_is_no_record_opens_no_file(tmp_path: Path, name: str):
    (tmp_path / "secret.jsonl").write_text('{"k": "begin", "version": 1}\n')

    async def main(server: Api) -> None:
        async with server.client("read") as client:
            answer = await client.get(f"/api/calls/{name}/trace")
        assert answer.status_code in (404, 422) and "begin" not in answer.text

    run(tmp_path, main)


def test_a_call_is_acted_on_and_says_how_it_went(tmp_path: Path):
    async def main(server: Api) -> None:
        server.ring()
        async with server.client("control") as client:
            muted = await client.post(f"/api/calls/{RUNNING}/mute", json={"who": "caller"})
            assert muted.status_code == 200 and muted.json()["outcome"] == "done"
            waiting = await client.post(f"/api/calls/{RUNNING}/say?wait_s=0", json={"text": "hello"})
            assert waiting.status_code == 202 and waiting.json()["outcome"] == "asked"
            paused = await client.post(f"/api/calls/{RUNNING}/pause-recording", json={"why": "card"})
            assert paused.status_code == 409 and "record.audio" in paused.json()["detail"]
            ended = await client.post(f"/api/calls/{RUNNING}/hangup")
            assert ended.status_code == 202
            refused = await client.post(f"/api/calls/{RUNNING}/hold", json={})
            assert refused.status_code == 409  # nobody had a stream: it is over at once
        told = await problem(server, 409, f"/api/calls/{CALL}/say", "control", method="POST", json={"text": "x"})
        assert told["type"] == "urn:offhook:not-running"
        await problem(server, 403, f"/api/calls/{RUNNING}/hangup", "read", method="POST")

    run(tmp_path, main)


def test_a_mistake_is_named_with_what_was_got_and_wanted(tmp_path: Path):
    async def main(server: Api) -> None:
        server.ring()
        told = await problem(
            server, 422, f"/api/calls/{RUNNING}/dtmf", "control", method="POST", json={"digits": "12x"}
        )
        (mistake,) = told["errors"]
        assert (mistake["field"], mistake["got"], mistake["where"]) == ("digits", "'12x'", "body")
        assert mistake["wanted"] == "keys: 0-9, *, #, A-D, and w or W for a pause" and mistake["fix"]
        told = await problem(server, 422, f"/api/calls/{RUNNING}/say", "control", method="POST", json={"txt": "x"})
        assert {(one["field"], one["got"]) for one in told["errors"]} == {("text", "nothing"), ("txt", "'x'")}
        await problem(server, 422, f"/api/calls/{RUNNING}/say", "control", method="POST", content=b"{")
        told = await problem(server, 403, "/api/tokens", "read")
        assert told["errors"][0]["got"] == "read" and "admin" in told["errors"][0]["wanted"]
        told = await problem(server, 422, "/api/calls?verdict=nonsense&limit=0", "read")
        assert [(one["field"], one["wanted"]) for one in told["errors"]] == [
            ("verdict", "'healthy', 'broken', 'suspected' or 'not proven'"), ("limit", "greater than or equal to 1"),
        ]  # fmt: skip
        for field in ("state", "direction"):
            await problem(server, 422, f"/api/calls?{field}=nonsense", "read")

    run(tmp_path, main)


def patterns(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(patterns, part))
    if not isinstance(part, dict):
        return set()
    own = part.get("pattern")
    return {own} if isinstance(own, str) else set().union(*map(patterns, part.values()))


def test_no_regular_expression_is_shown_to_anybody():
    assert patterns(schema("0")) <= set(problems._PATTERNS), "say it in words in api/problems.py"


def test_calls_that_the_store_has_not_got_yet_are_listed(tmp_path: Path):
    async def main(server: Api) -> None:
        late = record(server.directory, "CA" + "7" * 32, agent="late")
        server.unstored = [late, server.directory / "20261125T120000Z-CAgone.jsonl"]
        listed = await server.get("/api/calls")
        assert [row["agent"] for row in listed["calls"]] == ["late", "night", "clinic"]
        assert listed["source"] == "store" and listed["why"] == "1 of the last calls are not in the store yet"
        assert "late" not in str(await server.get("/api/calls?agent=night"))

    run(tmp_path, main)


def test_calls_are_placed_followed_and_taken_back(tmp_path: Path):
    async def main(server: Api) -> None:
        body = {"to": "+14155550177", "from": "+15550100002"}
        async with server.client("place", "read") as client:
            placed = await client.post("/api/calls", json=body)
            assert placed.status_code == 201 and placed.json()["status"] == "queued"
            where = placed.headers["location"]
            shown = (await client.get(where)).json()
            assert shown["to"] == "+1********77" and shown["call"] == "CA" + "4" * 32
            assert len((await client.get("/api/outbound")).json()["outbound"]) == 1
            assert (await client.delete(where)).status_code == 200
        server.rest_answer = RestResult(False, 400, 21215, "geographic permissions", {})
        told = await problem(server, 409, "/api/calls", "place", method="POST", json=body)
        assert "geographic" in told["detail"] and told["errors"][0]["fix"] == "GET /api/codes/21215"
        await problem(server, 422, "/api/calls", "place", method="POST", json={"to": "911"})
        await problem(server, 403, "/api/calls", "control", method="POST", json=body)
        await problem(server, 404, "/api/outbound/nothing", "read")
        assert (await server.get("/api/numbers"))["numbers"][0]["number"] == "+15550100002"

    run(tmp_path, main)


def test_calls_are_put_on_the_list_and_taken_off(tmp_path: Path):
    async def main(server: Api) -> None:
        server._queue.refuse("+14155550199", "asked")
        async with server.client("place", "read") as client:
            body = {"to": "+14155550177", "agent": "billing", "due_at": 5000, "tries": 2, "ring_s": 12}
            made = await client.post("/api/queue", json=body)
            assert made.status_code == 201 and made.json()["called"] == "+1********77" and made.json()["due_at"] == 5000
            listed = (await client.get("/api/queue")).json()["queue"]
            assert [(one["id"], one["most_tries"]) for one in listed] == [(made.json()["id"], 2)]
            assert server._queue.rows()[0].options == {"ring_s": 12}
            refused = await client.post("/api/queue", json={"to": "+14155550199"})
            assert refused.status_code == 409 and "do-not-call" in refused.json()["type"]
            assert (await client.delete(f"/api/queue/{made.json()['id']}")).status_code == 204
            assert (await client.delete(f"/api/queue/{made.json()['id']}")).status_code == 404
            assert (await client.get("/api/queue")).json()["queue"] == []
        await problem(server, 403, "/api/queue", "read", method="POST", json=body)

    run(tmp_path, main)


def test_numbers_that_nobody_calls_are_listed_added_and_taken_off(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("place", "read") as client:
            added = await client.post("/api/do-not-call", json={"number": "+14155550199", "why": "asked us"})
            assert added.status_code == 201 and added.json()["number"] == "+1********99"
            id_ = added.json()["id"]
            again = await client.post("/api/do-not-call", json={"number": "+1 415 555 0199"})
            assert again.status_code == 422
            await client.post("/api/do-not-call", json={"number": "+14155550100"})
            first = (await client.get("/api/do-not-call?limit=1")).json()
            rest = (await client.get(f"/api/do-not-call?limit=1&after={first['next']}")).json()
            assert rest["next"] is None
            listed = [*first["numbers"], *rest["numbers"]]
            said = {one["number"]: one["why"] for one in listed}
            assert said == {"+1********99": "asked us", "+1********00": "asked"}
            assert "4155550199" not in str(listed)
            params = {"number": "+14155550199"}
            found = (await client.get("/api/do-not-call", params=params)).json()["numbers"]
            assert [one["id"] for one in found] == [id_]
            assert (await client.post("/api/queue", json={"to": "+14155550199"})).status_code == 409
            assert (await client.delete(f"/api/do-not-call/{id_}")).status_code == 204
            assert (await client.get("/api/do-not-call", params=params)).json()["numbers"] == []
            assert (await client.post("/api/queue", json={"to": "+14155550199"})).status_code == 201
        await problem(server, 404, f"/api/do-not-call/{id_}", "place", method="DELETE")
        await problem(server, 403, "/api/do-not-call", "read", method="POST", json={"number": "+14155550199"})
        await problem(server, 403, f"/api/do-not-call/{id_}", "read", method="DELETE")

    run(tmp_path, main)


def test_a_number_is_pointed_here_and_put_back(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("admin") as client:
            for what in ("point", "restore"):
                done = await client.post(f"/api/numbers/{what}", json={"number": "+15550100002"})
                assert done.status_code == 200 and "voice.example.com" in done.json()["detail"]
        for what in ("point", "restore"):
            body = {"number": "+15550100009"}
            told = await problem(server, 409, f"/api/numbers/{what}", "admin", method="POST", json=body)
            assert "the account has no" in told["detail"]
            await problem(server, 403, f"/api/numbers/{what}", "place", method="POST", json=body)

    run(tmp_path, main)


def test_what_was_done_after_a_call_is_told_and_its_summary(tmp_path: Path):
    async def main(server: Api) -> None:
        async def never(job: Job) -> Outcome:
            raise AssertionError("nobody runs it here")

        target = engine(server.url, write=True)
        queue = Queue(target, "me")
        with target.begin() as connection:
            for name in ("crm", ":upload"):
                hook = Hook(name=name, kind="webhook", run=never)
                assert add(connection, {"id": RECORD, "call": CALL}, hook, '{"said": "words"}', held=False)
        (job,) = [one for one in queue.due((), 9) if one.hook == "crm"]
        assert queue.claim(job, 30)
        queue.give_up(job, "503 from crm.example.com with key a-secret-of-ours")
        queue.summarized(RECORD, "They booked a table.", "")
        target.dispose()
        shown = await server.get(f"/api/calls/{CALL}")
        assert (shown["summary"], shown["summary_why"]) == ("They booked a table.", "")
        by_hook = {one["hook"]: one for one in shown["sent"]}
        assert (by_hook["crm"]["state"], by_hook["crm"]["tries"]) == ("given up", 1)
        assert by_hook["crm"]["error"].startswith("503 from crm") and "a-secret-of-ours" not in by_hook["crm"]["error"]
        assert by_hook["crm"]["key"].startswith("msg_") and by_hook["upload"]["state"] == "queued"
        assert "words" not in str(shown["sent"])
        listed = await server.get("/api/sent?limit=1")
        older = await server.get(f"/api/sent?before={listed['next']}")
        assert [one["hook"] for one in (*listed["sent"], *older["sent"])] == ["upload", "crm"]
        assert older["next"] is None
        assert [one["hook"] for one in (await server.get("/api/sent?state=given+up"))["sent"]] == ["crm"]
        assert [one["hook"] for one in (await server.get("/api/sent?hook=upload"))["sent"]] == ["upload"]
        other = await server.get(f"/api/calls/{'CA' + '3' * 32}")
        assert (other["summary"], other["summary_why"], other["sent"]) == (None, "", [])

    run(tmp_path, main)


def test_a_call_is_shown_while_its_store_cannot_be_read(tmp_path: Path):
    async def main(server: Api) -> None:
        (tmp_path / "calls" / "offhook.db").write_bytes(b"no database " * 400)
        for left in ("offhook.db-wal", "offhook.db-shm"):
            (tmp_path / "calls" / left).unlink(missing_ok=True)
        server.world.reader = lambda: Reader(server.url)
        server.world.access = server.access
        headers = {"authorization": f"Bearer {server.access.own_token()}"}
        async with server.client(**headers) as client:
            shown = (await client.get(f"/api/calls/{CALL}")).json()
            assert shown["id"] == RECORD and shown["sent"] is None and "database" in shown["summary_why"]
            assert (await client.get("/api/sent")).status_code == 503

    run(tmp_path, main)


def test_tokens_are_made_listed_and_taken_back(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("admin") as client:
            made = (await client.post("/api/tokens", json={"name": "bot", "scopes": ["read"]})).json()
            async with server.client(authorization=f"Bearer {made['token']}") as bot:
                assert (await bot.get("/api/session")).json()["scopes"] == ["read"]
                listed = (await client.get("/api/tokens")).json()["tokens"]
                assert made["id"] in [one["id"] for one in listed] and made["token"] not in repr(listed)
                assert (await client.delete(f"/api/tokens/{made['id']}")).json()["tokens"][0]["good"] is False
                assert (await bot.get("/api/session")).status_code == 401
            assert (await client.delete("/api/tokens/00000000")).status_code == 404

    run(tmp_path, main)


def test_a_browser_logs_in_with_a_code_and_every_change_needs_its_word(tmp_path: Path):
    async def main(server: Api) -> None:
        server.ring()
        async with server.client() as client:
            told = await client.post("/api/login", json={"code": server.access.code()})
            cookie = told.headers["set-cookie"].lower()
            assert all(word in cookie for word in ("httponly", "samesite=strict", "secure"))
            assert "path" not in cookie  # so to /api under whatever prefix, and to nothing else of that host
            assert (await client.get("/api/calls")).status_code == 200
            path = f"/api/calls/{RUNNING}/mute"
            assert (await client.post(path, json={"who": "agent"})).status_code == 403
            word = {"x-offhook-csrf": told.json()["csrf"]}
            assert (await client.post(path, json={"who": "agent"}, headers=word)).status_code == 200
            assert (await client.post("/api/logout", headers=word)).status_code == 204
            assert (await client.get("/api/calls")).status_code == 401
        await problem(server, 422, "/api/login", method="POST", json={})
        await problem(server, 401, "/api/login", method="POST", json={"code": "nothing"})

    run(tmp_path, main)


def test_a_request_under_another_name_or_too_long_goes_no_further(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client("read") as client:
            answer = await client.get("/api/calls", headers={"host": "rebound.example"})
            assert answer.status_code == 421 and answer.json()["errors"][0]["got"] == "rebound.example"
            answer = await client.post("/api/login", content=b"x" * 70_000)
            assert answer.status_code == 413
            answer = await client.get("/api/calls")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer.headers
            assert (await client.options("/api/calls", headers={"origin": "https://x"})).status_code == 405

    run(tmp_path, main)


def test_the_server_is_described(tmp_path: Path):
    async def main(server: Api) -> None:
        health = await server.get("/api/health")
        assert health["ready"] and health["limits"]["max_calls"] == 100
        settings = await server.get("/api/settings")
        row = next(one for one in settings["settings"] if one["name"] == "provider.name")
        assert (row["value"], row["origin"]) == ("loopback", "flag --name")
        faults = (await server.get("/api/faults"))["faults"]
        page = await server.get(f"/api/faults/{faults[0]['id']}")
        assert page["page"].startswith("# ") and page["title"] == faults[0]["title"]
        assert (await server.get("/api/codes/31951"))["family"] == "Twilio"
        assert "31951" in (await server.get("/api/codes"))["codes"]
        await problem(server, 404, "/api/codes/0", "read")
        await problem(server, 404, "/api/faults/no/such", "read")
        await problem(server, 404, "/api/agents/nobody", "read")
        await problem(server, 404, "/api/nothing", "read")

    run(tmp_path, main)


def test_checks_are_run_one_at_a_time_and_watched(tmp_path: Path):
    async def main(server: Api) -> None:
        watching = server.hub.subscribe()
        async with server.client("admin") as client:
            run_ = (await client.post("/api/checks", json={"names": ["audio"]})).json()
            for _ in range(3):
                await asyncio.sleep(0)
            shown = (await client.get(f"/api/checks/{run_['id']}")).json()
        assert shown["state"] == "over" and shown["outcomes"][0]["verdict"] == "proven"
        assert server.checked == [(["audio"], False, False)]
        kinds = [(await watching.next()).data.get("kind") for _ in range(4)]
        assert kinds == [None, "step", "outcome", "over"]
        assert (await server.get("/api/health"))["boundaries"][0]["check"] == "audio"
        listed = await server.get("/api/checks")
        assert {one["name"] for one in listed["checks"]} >= {"settings", "provider"}
        told = await problem(server, 422, "/api/checks", "admin", method="POST", json={"names": ["nothing"]})
        assert "settings" in told["errors"][0]["wanted"]
        await problem(server, 403, "/api/checks", "read", method="POST", json={})

    run(tmp_path, main)


def test_numbers_in_full_are_for_those_who_may_and_where_they_are_kept(tmp_path: Path):
    async def main(server: Api) -> None:
        assert "caller_number" not in (await server.get("/api/calls", "read"))["calls"][0]
        assert (await server.get("/api/calls", "read", "numbers"))["calls"][0]["caller_number"] is None

    run(tmp_path, main)


def test_every_request_is_counted_by_route_and_not_by_path(tmp_path: Path):
    async def main(server: Api) -> None:
        await server.get(f"/api/calls/{CALL}")
        await problem(server, 404, "/api/calls/unknown", "read")
        text = server.metrics.text().decode()
        assert 'offhook_api_requests_total{method="GET",route="/api/calls/{call}",status="200"} 1.0' in text
        assert CALL not in text and "unknown" not in text

    run(tmp_path, main)


def test_the_docs_ask_no_other_host(tmp_path: Path):
    async def main(server: Api) -> None:
        async with server.client() as client:
            page = await client.get("/api/docs")
            assert "http" not in page.text and page.headers["content-security-policy"].startswith("default-src 'self'")
            for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
                assert f"docs/{name}" in page.text
                assert (await client.get(f"/api/docs/{name}")).status_code == 200
            assert (await client.get("/api/docs/app.py")).status_code == 404
            assert (await client.get("/api/openapi.json")).status_code == 200

    run(tmp_path, main)


def test_every_answer_is_strict():
    def all_of(kind: type) -> list[type]:
        return [one for direct in kind.__subclasses__() for one in (direct, *all_of(direct))]

    assert all(one.model_config["extra"] == "forbid" for one in all_of(Answer))

"""What hooks are told, and how: the document, the signature, addresses, programs, gptme, models that summarize."""

import asyncio
import base64
import hashlib
import hmac
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.after.kit import Office, Told, agent, caller, hook, note, receiver, rounds

from offhook.after import archive
from offhook.after.command import Command, command
from offhook.after.hook import Job
from offhook.after.plan import planned
from offhook.after.sign import headers, key_of
from offhook.after.summary import Model, by_command, by_model
from offhook.after.webhook import Target, promotion, webhook
from offhook.settings import load

HOME = ("127.0.0.1",)
CUT = note("barge-in", 2500.0, item="b", heard_ms=500, sent_ms=1000)
SAID = (caller("I am at anna@example.com, card 4111 1111 1111 1111", "a", 1000.0),
        agent("Thank you. We open at nine", "b", 2000.0), CUT)  # fmt: skip


def told(tmp_path: Any, clock: Any, *said: Any, numbers: Any = None, **given: Any) -> dict[str, Any]:
    """What a hook is told of a call."""
    one = Told()
    office = Office(tmp_path, clock, hook("crm", one, **given))
    office.call("CA1", *(said or SAID), numbers=numbers)
    rounds(office.worker())
    made: dict[str, Any] = json.loads(one.jobs[0].payload)
    return made


def job(document: dict[str, Any], **given: Any) -> Job:
    return Job(**{
        "id": 1, "hook": "crm", "call": "CA1", "record": "20261125T120000Z-CA1", "key": "msg_1",
        "payload": json.dumps(document), "tries": 1, "queued_at": 0, **given,
    })  # fmt: skip


# ----------------------------------------------------------------------------------------------------- the document


def test_the_document_has_what_was_heard_what_is_unknown_and_no_number(tmp_path, clock):
    made = told(tmp_path, clock)
    data = made["data"]
    assert made["type"] == "call.ended" and made["timestamp"] == data["ended"]
    caller_turn, agent_turn = [turn for turn in data["transcript"] if turn["who"] in ("caller", "agent")]
    assert caller_turn["text"] == "I am at [email], card [card]"
    assert (agent_turn["text"], agent_turn["struck"]) == ("Thank you. We open at nine", "open at nine")
    assert data["cost"]["usd"] is None or data["cost"]["unknown"]  # never zero where it is not known
    assert data["caller"] == "+1********01" and data["summary"] is None and data["recording"] is None
    assert data["findings"][0]["rule"] == "bridge/x" and data["end"] == {"why": "caller hung up", "wanted": True}


def test_numbers_are_masked_and_patterns_taken_out_unless_the_hook_says_otherwise(tmp_path, clock):
    numbers = ("+14155550101", "+14155550102")
    assert told(tmp_path / "a", clock, numbers=numbers)["data"]["caller"] == "+1********01"
    assert "anna@example.com" in told(tmp_path / "b", clock, redact=False)["data"]["transcript"][0]["text"]


def test_a_hook_that_is_to_have_numbers_the_store_does_not_keep_gets_null(tmp_path, clock):
    one = Told()
    office = Office(tmp_path, clock, hook("crm", one, numbers=True))
    office.call("CA1", *SAID)
    office.call("CA2", *SAID, numbers=("+14155550101", "+14155550102"))
    rounds(office.worker())
    assert [json.loads(job.payload)["data"]["caller"] for job in one.jobs] == [None, "+14155550101"]


def test_a_conversation_that_is_too_long_says_how_much_was_cut(tmp_path, clock):
    said = [caller("word " * 2000, f"i{n}", 100.0 * n) for n in range(300)]
    data = told(tmp_path, clock, *said)["data"]
    assert data["transcript_cut"] == 300 - len(data["transcript"]) > 0


# ---------------------------------------------------------------------------------------------------- the signature


def test_the_signature_is_that_of_the_specification():
    # The example that the specification's own libraries test themselves with (standard-webhooks, seen 2026-11-25).
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["short", "whsec_%%%", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_that_could_be_tried_out_is_none(secret):
    with pytest.raises(ValueError):
        key_of(secret)


# ------------------------------------------------------------------------------------------------------ an address


def test_a_webhook_is_signed_and_may_be_checked_by_whoever_gets_it():
    secret, got = base64.b64encode(b"0123456789abcdef").decode(), []

    def answer(request: str, head: Any, body: bytes) -> tuple[int, bytes]:
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        mac = hmac.digest(base64.b64decode(secret), signed, hashlib.sha256)
        if head["webhook-signature"] != "v1," + base64.b64encode(mac).decode() or head["idempotency-key"] != "msg_1":
            return 401, b"signature"
        got.append((request, json.loads(body)))
        return 204, b""

    async def main() -> None:
        async with receiver(answer) as base:
            run = webhook(Target(url=f"{base}/x?y=1", allow=HOME), key_of("whsec_" + secret))
            assert (await run(job({"a": 1}))).ok
            other = webhook(Target(url=f"{base}/x", allow=HOME), b"another key of 16")
            outcome = await other(job({"a": 1}))
            assert (outcome.ok, outcome.last, outcome.why) == (False, False, "127.0.0.1 answered 401: signature")

    asyncio.run(main())
    assert got == [("POST /x?y=1", {"a": 1})]


@pytest.mark.parametrize(
    ("status", "last", "says"), [(302, False, "redirect"), (410, True, "410"), (429, False, "429"), (500, False, "500")]
)
def test_what_is_no_yes_is_a_failure_by_name(status, last, says):
    async def main() -> Any:
        async with receiver(lambda request, head, body: (status, b"")) as base:
            return await webhook(Target(url=base, allow=HOME), None)(job({}))

    outcome = asyncio.run(main())
    assert not outcome.ok and outcome.last is last and says in outcome.why


def test_an_address_inside_is_not_asked_unless_it_is_admitted():
    asked = []

    async def main() -> Any:
        async with receiver(lambda request, head, body: (asked.append(request) or 200, b"")) as base:
            return await webhook(Target(url=base), None)(job({}))

    outcome = asyncio.run(main())
    assert not asked and outcome.last and "no public address" in outcome.why


# -------------------------------------------------------------------------------------------------------- a program


def run_command(folder: Path, script: str, document: dict[str, Any], **given: Any) -> Any:
    made = Command(argv=("sh", "-c", script, "hook"), records=folder, cwd=str(folder), **given)
    return asyncio.run(command(made)(job(document)))


def test_a_program_gets_the_call_on_its_standard_input_in_a_file_and_in_its_environment(tmp_path, clock):
    document = told(tmp_path / "s", clock)
    script = 'cat > in.json; cp "$OFFHOOK_PAYLOAD" file.json; '
    script += 'echo "$OFFHOOK_CALL $OFFHOOK_KEY $OFFHOOK_RECORD $MORE" > env'
    assert run_command(tmp_path, script, document, env={"MORE": "x"}).ok
    assert json.loads((tmp_path / "in.json").read_text()) == document
    assert (tmp_path / "in.json").read_text() == (tmp_path / "file.json").read_text()
    assert (tmp_path / "env").read_text().split() == [
        "CA1", "msg_1", str(tmp_path / "20261125T120000Z-CA1.jsonl"), "x"
    ]  # fmt: skip


def test_a_program_that_fails_or_hangs_is_told_by_name_and_leaves_no_process(tmp_path, clock):
    document = told(tmp_path / "s", clock)
    outcome = run_command(tmp_path, "echo the disk is full >&2; exit 3", document)
    assert (outcome.ok, outcome.why) == (False, "exit 3: the disk is full")
    slow = run_command(tmp_path, "sleep 100 & echo $! > child; sleep 100", document, deadline_s=0.4)
    assert not slow.ok and "not done within 0.4 s" in slow.why and "is left" in slow.why
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"  # dead, and not yet fetched
    missing = asyncio.run(command(Command(argv=("/no/such/program",)))(job(document)))
    assert missing.why == "/no/such/program: No such file or directory"


# ------------------------------------------------------------------------------------------------------------ gptme


def test_a_program_of_gptme_voice_finds_what_it_found_there(tmp_path, clock):
    document = told(tmp_path / "s", clock)
    document["data"]["caller"] = "+14155550101"
    kept = tmp_path / "archive"
    script = 'cp "$1" got.json; env | grep GPTME_VOICE_ | sort > env'
    delay = {"GPTME_VOICE_POST_CALL_DELAY_SECONDS": "300"}
    assert run_command(tmp_path, script, document, archive_dir=kept, env=delay).ok
    (path,) = kept.iterdir()
    assert path.name.endswith("-000-twilio-CA1.json") and stat.S_IMODE(path.stat().st_mode) == 0o600
    made = json.loads((tmp_path / "got.json").read_text())
    assert set(made) == {"caller_id", "source", "ended_at", "transcript", "metadata"}
    assert made["caller_id"] == "+14155550101" and made["metadata"]["call_sid"] == "CA1"
    assert made["transcript"] == [
        {"role": "user", "text": "I am at [email], card [card]"}, {"role": "assistant", "text": "Thank you. We"},
    ]  # fmt: skip
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert env["GPTME_VOICE_POST_CALL_JSON"] == str(path)
    assert json.loads(env["GPTME_VOICE_POST_CALL_JSONS"]) == [str(path)]
    assert env["GPTME_VOICE_CALLER_ID"] == "+14155550101" and env["GPTME_VOICE_POST_CALL_DELAY_SECONDS"] == "300"
    assert env["GPTME_VOICE_POST_CALL_UNIT_NAME"].startswith("gptme-voice-post-call-")
    assert archive.remove(kept, {"CA2"}) == [] and archive.remove(kept, {"CA1"}) == [path]


def test_a_transcript_is_added_to_the_conversation_with_the_caller(tmp_path, clock):
    document = told(tmp_path, clock)
    seen: dict[str, Any] = {}

    def server(request: str, head: Any, body: bytes) -> tuple[int, bytes]:
        """As gptme 0.35.1's endpoint: bearer, role and text of each turn, once for a call."""
        if head.get("authorization") != "Bearer tok":
            return 401, b""
        given = json.loads(body)
        path = "POST /api/v2/conversations/%2B14155550101/transcript"
        if request != path or set(given) != {"turns", "call_metadata"}:
            return 404, b""
        if any(set(turn) != {"role", "text"} or turn["role"] not in ("user", "assistant") for turn in given["turns"]):
            return 400, b""
        again = given["call_metadata"]["call_sid"] in seen
        seen[given["call_metadata"]["call_sid"]] = given["turns"]
        return 200, b'{"status":"already_acked"}' if again else b'{"status":"ok"}'

    async def main() -> None:
        async with receiver(server) as base:
            run = promotion(Target(url=base + "/", allow=HOME), "tok")
            nobody = {**document, "data": {**document["data"], "caller": None}}
            outcome = await run(job(nobody))
            assert outcome.last and "store.numbers" in outcome.why
            document["data"]["caller"] = "+14155550101"
            assert (await run(job(document))).ok and (await run(job(document))).ok

    asyncio.run(main())
    assert [turn["text"] for turn in seen["CA1"]] == ["I am at [email], card [card]", "Thank you. We"]


def test_webhooks_gptme_and_summaries_go_by_the_proxy_of_the_environment(tmp_path, clock):
    document, asked = told(tmp_path, clock), []
    document["data"]["caller"] = "+15550100001"

    def answer(request: str, head: Any, body: bytes) -> tuple[int, bytes]:
        asked.append(request)
        return 200, completion("Short.")

    toml = """
[hooks.crm]
url = "http://crm.test/x"
allow = ["crm.test"]
[hooks.gptme]
gptme_server = "http://gptme.test"
allow = ["gptme.test"]
numbers = true
[hooks.near]
url = "http://near.test/x"
allow = ["near.test"]
[summary]
url = "http://model.test/v1"
model = "m"
allow = ["model.test"]
[store]
numbers = true
"""
    (tmp_path / "offhook.toml").write_text(toml)

    async def main() -> dict[str, Any]:
        async with receiver(answer) as proxy:
            ways = {"HTTP_PROXY": proxy, "NO_PROXY": "near.test"}
            plan, problems = planned(load({}, environment=ways, cwd=tmp_path), tmp_path)
            assert not problems
            return {name: await one.run(job(document)) for name, one in plan.hooks.items()}

    outcomes = asyncio.run(main())
    assert "near.test has no address" in outcomes.pop("near").why
    assert all(outcome.ok for outcome in outcomes.values()) and len(outcomes) == 3
    assert sorted(asked) == [
        "POST http://crm.test/x",
        "POST http://gptme.test/api/v2/conversations/%2B15550100001/transcript",
        "POST http://model.test/v1/chat/completions",
    ]


# ------------------------------------------------------------------------------------------------------- summaries


def chat(answers: Any) -> Any:
    """A strict chat endpoint: what it is asked with is what OpenAI's takes."""

    def answer(request: str, head: Any, body: bytes) -> tuple[int, bytes]:
        given = json.loads(body)
        if request != "POST /v1/chat/completions" or head.get("authorization") != "Bearer k":
            return 401, b'{"error": "no key"}'
        roles = [message["role"] for message in given["messages"]]
        if set(given) != {"model", "messages", "stream"} or roles != ["system", "user"]:
            return 400, b""
        return answers(given)

    return answer


def summarize(document: dict[str, Any], answers: Any, **given: Any) -> Any:
    async def main() -> Any:
        async with receiver(chat(answers)) as base:
            return await by_model(Model(**{"url": base + "/v1", "model": "m", "key": "k", "allow": HOME, **given}))(
                job(document)
            )

    return asyncio.run(main())


def completion(text: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def test_a_model_is_told_what_was_heard_and_its_words_are_kept_to_size(tmp_path, clock):
    document, asked = told(tmp_path, clock), []

    def answers(given: Any) -> tuple[int, bytes]:
        asked.append(given["messages"][1]["content"])
        return 200, completion(" Wants a table. " + "x" * 300)

    outcome = summarize(document, answers, max_chars=100)
    assert outcome.ok and len(outcome.result) == 100 and outcome.result.startswith("Wants a table.")
    assert asked == ["caller: I am at [email], card [card]\nagent: Thank you. We"]


@pytest.mark.parametrize(
    ("answer", "last", "says"),
    [
        ((429, b"slow down"), False, "answered 429: slow down"), ((401, b"key"), True, "401"),
        ((200, b"<html>"), True, "no chat completion"), ((200, completion(None)), True, "no chat completion"),
        ((200, completion("  ")), False, "empty"),
    ],
)  # fmt: skip
def test_a_summary_that_is_none_has_a_name(tmp_path, clock, answer, last, says):
    outcome = summarize(told(tmp_path, clock), lambda given: answer)
    assert not outcome.ok and outcome.last is last and says in outcome.why


def test_a_program_may_summarize(tmp_path, clock):
    document = told(tmp_path, clock)
    run = by_command(("sh", "-c", "wc -l"), cwd=None, deadline_s=5, max_chars=100)
    outcome = asyncio.run(run(job(document)))
    assert outcome.ok and outcome.result == "1"
    outcome = asyncio.run(by_command(("sh", "-c", "exit 1"), cwd=None, deadline_s=5, max_chars=9)(job(document)))
    assert outcome.why == "sh: exit 1"


# ----------------------------------------------------------------------------------------------------- the settings


@pytest.mark.parametrize(
    ("text", "setting", "says"),
    [
        ("[hooks.x]\nevents = ['call.ended']", "hooks.x.url", "nothing"),
        ("[hooks.x]\nurl = 'https://a.example'\ncommand = 'b'", "hooks.x.url", "url and command"),
        ("[hooks.x]\nurl = 'http://a.example'", "hooks.x.url", "http:// across the internet"),
        ("[hooks.x]\nurl = 'https://10.1.2.3'", "hooks.x.url", "private network"),
        ("[hooks.x]\nurl = 'https://a.example'\nevents = ['call.begun']", "hooks.x.events", "call.begun"),
        ("[hooks.x]\nurl = 'https://a.example'\nnumbers = true", "hooks.x.numbers", "keeps no full numbers"),
        ("[hooks.x]\nurl = 'https://a.example'\nsecret = 'env:SHORT'", "hooks.x.secret", "4 bytes"),
        ("[hooks.x]\ngptme_server = 'https://a.example'", "hooks.x.numbers", "nothing"),
        ("[hooks.x]\ncommand = 'a'\n[store]\nurl = 'off'", "store.url", "off"),
        ("[summary]\nurl = 'https://a.example/v1'", "summary.model", "nothing"),
        ("[summary]\nurl = 'https://a.example/v1'\ncommand = 'x'", "summary.url", "summary.command"),
        ("[record]\ns3 = 'bucket/x'\naudio = true", "record.s3", "bucket/x"),
        ("[record]\ns3 = 's3://bucket/x'", "record.s3", "nothing is recorded"),
        ("[record]\ns3 = 's3://bucket/x'\naudio = true", "record.s3_key_id", "nothing"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_setting(tmp_path, text, setting, says):
    (tmp_path / "offhook.toml").write_text(text)
    settings = load({}, environment={"SHORT": "abcd"}, cwd=tmp_path)
    problems = planned(settings, tmp_path)[1]
    assert [problem.setting for problem in problems] == [setting] and says in problems[0].got


def test_what_can_is_made(tmp_path):
    (tmp_path / "offhook.toml").write_text(
        "[hooks.crm]\nurl = 'http://crm.internal/x'\nallow = ['crm.internal']\nheaders = {X-Key = '{env:KEY}'}\n"
        "[hooks.job]\ncommand = 'sh -c true'\ngptme = true\narchive_dir = 'a'\n"
        "[hooks.mind]\ngptme_server = 'https://g.example'\nnumbers = true\n[store]\nnumbers = true\n"
        "[summary]\ncommand = ['cat']\n[record]\naudio = true\ns3 = 's3://b'\ns3_key_id = 'k'\ns3_secret = 's'\n"
    )
    plan, problems = planned(load({}, environment={"KEY": "k1"}, cwd=tmp_path), tmp_path)
    assert not problems
    kinds = {name: (hook.kind, hook.retries, hook.repeatable) for name, hook in plan.hooks.items()}
    assert kinds == {
        "crm": ("webhook", 8, True), "job": ("command", 0, False), "mind": ("transcript", 8, True),
        ":summary": ("summary", 3, True), ":upload": ("upload", 8, True),
    }  # fmt: skip
    assert plan.archives == (tmp_path / "a",)

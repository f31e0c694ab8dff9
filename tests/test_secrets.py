"""Secrets, phone numbers and pressed keys: planted wherever they can come from, looked for wherever text goes."""

import asyncio
import json
import logging
import os
import subprocess
import sys

import pytest
from tests.conformance.harness import KEY, PUBLIC, ROOT, TOKEN, ServerProcess, sid, until, world

from offhook import vocab as v
from offhook.cli.log import Line
from offhook.evidence.files import find
from offhook.evidence.journal import JournalDir
from offhook.evidence.record import Channel
from offhook.evidence.redact import Sieve
from offhook.sims.provider import Answer, tone
from offhook.wires._wire import redact_json
from offhook.wires.carriers import twilio

SHARED = 'planted "shared" kéy\\x'
PROXY = "planted-proxy-password"
CALLER, CALLED, FORWARDED, OTHER = "+15550100001", "+15550100002", "+493012345678", "0171 555 0199"
SAID = (
    f"{KEY} {TOKEN} {SHARED} {PROXY} {CALLER} 1 (555) 010-0001 555.010.0001 5550100001 {CALLED} 030 123 456 78 {OTHER}"
)
NAMED = f"{KEY} {TOKEN} {SHARED} {PROXY} {CALLER} 555-010-0001"
# what must not be found: whole, in any spelling, and escaped as JSON does
PLANTED = (
    KEY, TOKEN, SHARED, json.dumps(SHARED)[1:-1], json.dumps(SHARED, ensure_ascii=False)[1:-1], PROXY,
    "5550100001", "010-0001", "010.0001", "5550100002", "493012345678", "123 456 78", OTHER, "planted-parameter",
)  # fmt: skip
ENV = {
    "OFFHOOK_CARRIER_SHARED_KEY": SHARED, "OFFHOOK_CARRIER_SHARED_KEY_ID": "one", "OFFHOOK_RECORD_AUDIO": "true",
    "HTTPS_PROXY": f"http://user:{PROXY}@proxy.example:3128", "NO_PROXY": "127.0.0.1",
}  # fmt: skip


def inject(session, *events: dict) -> None:
    """The provider says these, ahead of its answer to the next message."""
    real = session.receive

    def receive(data, now, *, binary=False):
        session.receive = real
        return [json.dumps(event).encode() for event in events] + real(data, now, binary=binary)

    session.receive = receive


def cli(*args: str, folder, **env: str) -> str:
    """Whatever a command writes."""
    ran = subprocess.run(
        [sys.executable, "-m", "offhook", *args], capture_output=True, text=True, cwd=folder, timeout=80,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", **ENV, "OPENAI_API_KEY": KEY, **env},
    )  # fmt: skip
    assert ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


async def a_call_full_of_secrets(server: ServerProcess) -> tuple[str, str]:
    script = (Answer(audio=tone(200), transcript=SAID, tool="look_up", arguments=json.dumps({"number": CALLER})),)
    async with world(server, script=script) as w:
        call = sid()
        await w.webhook(call, ForwardedFrom=FORWARDED, Caller=CALLER, SpeechResult=SAID)
        stream = await w.stream(
            call, parameters={"api_secret": "planted-parameter", "callback": FORWARDED, "note": f"call {CALLER}"}
        )
        await until(lambda: w.fake.sessions and w.session.updates)
        said = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "content_index": 0}
        pieces = [
            {"type": "response.output_audio_transcript.delta", "delta": part} for part in ("+1555", "0100", "001")
        ]
        body = {"type": "invalid_request_error", "code": SAID[:60], "message": SAID, "param": CALLER}
        inject(
            w.fake.sessions[-1], {**said, "transcript": SAID}, *pieces, {"type": "error", "error": body},
            {"type": NAMED, NAMED: NAMED},
        )  # fmt: skip
        for digit in "7391#":
            await stream.message("dtmf", dtmf={"track": "inbound_track", "digit": digit})
        await stream.message("dtmf", dtmf={"track": "inbound_track", "digit": "7391"})
        await stream.message("dtmf", Dtmf={"track": "inbound_track", "Digit": "7"})
        await stream.message("strange", customParameters={"token": stream.parameters["token"], "x": CALLER})
        await stream.speak(tone(600))
        await stream.speak(b"\xff\x7f" * 4000)
        await until(lambda: len(w.session.told) == 6)  # the misspelt one is understood, the four at once are not
        await until(lambda: stream.audio())
        await w.webhook(sid(), method="GET", signature="wrong")  # the number stands in the URL, which is logged
        await w.webhook(f"{CALLER}", From=SAID)
        await stream.stop()
        await stream.closed()
    server.record(call)
    return call, stream.parameters["token"]


def test_nothing_planted_reaches_any_sink(tmp_path):
    server = ServerProcess(tmp_path, env=ENV)
    call, token = asyncio.run(a_call_full_of_secrets(server))
    server.stop()
    calls = tmp_path / "calls"
    record = find(call, calls)
    sinks = {
        "stderr": server.stderr(),
        "stdout": json.dumps(server.told, ensure_ascii=False),
        "files": " ".join(path.name for path in calls.iterdir()),
        "record": record.read_text(),
        **{
            " ".join(words): cli(*words, folder=tmp_path, OFFHOOK_RECORD_DIR=str(calls))
            for words in (
                ("show", call),
                ("show", call, "--json"),
                ("trace", call, "--media"),
                ("trace", call, "--json"),
            )
        },
    }
    assert "webhook refused" in sinks["stderr"] and "conversation.item.create" in sinks["trace " + call + " --json"]
    for name, text in sinks.items():
        found = [planted for planted in (*PLANTED, token) if planted in text]
        assert not found, f"{name}: {found}"
        assert not [digit for digit in "7391#" if f"pressed key {digit}" in text or f'"digit":"{digit}"' in text], name
    lines = [json.loads(line) for line in sinks["record"].splitlines()]
    keys = [line for line in lines if line.get("note") == "key"]
    assert [line["digit"] for line in keys] == [v.MASKED] * 6 and lines[-2]["counts"]["keys"] == 6
    assert sum(line.get("m", {}).get("event") == "dtmf" for line in lines) >= 5


def test_digits_are_kept_where_the_setting_says_so(tmp_path):
    server = ServerProcess(tmp_path, env={"OFFHOOK_RECORD_DIGITS": "true"})

    async def run() -> str:
        async with world(server) as w:
            call = sid()
            stream = await w.stream(call)
            await until(lambda: w.fake.sessions and w.session.updates)
            await stream.message("dtmf", dtmf={"track": "inbound_track", "digit": "7"})
            await until(lambda: w.session.told)
            await stream.stop()
            await stream.closed()
            return call

    record = server.record(asyncio.run(run()))
    server.stop()
    assert [note.data["digit"] for note in record.notes("key")] == ["7"]
    assert any(line.data["m"].get("dtmf", {}).get("digit") == "7" for line in record.messages(Channel.FROM_CARRIER))
    assert "pressed key 7" in json.dumps([line.data for line in record.messages(Channel.TO_PROVIDER)])
    assert {"event": "key", "text": "7"}.items() <= next(told for told in server.told if told["event"] == "key").items()


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_check_shows_no_key(tmp_path, how):
    from offhook.sims.run_provider import FakeProvider

    async def run() -> str:
        async with FakeProvider("openai", keys=frozenset({"another"})) as fake:
            env = {"OFFHOOK_PROVIDER_NAME": "openai", "OFFHOOK_PROVIDER_URL": fake.url, "TWILIO_AUTH_TOKEN": TOKEN}
            env |= {"OFFHOOK_SERVER_PUBLIC_URL": PUBLIC, "OFFHOOK_AGENT_INSTRUCTIONS": "x"}
            return await asyncio.to_thread(cli, "check", "provider", *how, folder=tmp_path, **env)

    text = asyncio.run(run())
    assert "Incorrect API key" in text and KEY not in text and KEY[3:] not in text
    wrong = cli("check", "settings", *how, folder=tmp_path, OFFHOOK_PROVIDER_NAME="openai", TWILIO_ACCOUNT_SID=KEY)
    assert KEY not in wrong and "account_sid" in wrong
    assert KEY not in cli("serve", folder=tmp_path, OFFHOOK_PROVIDER_NAME=KEY)


def test_exceptions_and_other_programs_parts_log_through_the_sieve():
    line = Line(Sieve(SHARED, "planted-secret"))
    try:
        raise RuntimeError(f"planted-secret {CALLER}")
    except RuntimeError:
        record = logging.makeLogRecord(
            {"msg": "defect", "levelname": "ERROR", "exc_info": sys.exc_info(), "why": SHARED}
        )
    text = line.format(record)
    assert "RuntimeError" in text and not [planted for planted in (*PLANTED, "planted-secret") if planted in text]
    code = (
        "import logging, threading; from offhook.cli.log import log_to_stderr;"
        "from offhook.evidence.redact import Sieve;"
        "log_to_stderr(Sieve('planted-secret')); logging.getLogger('asyncio').error('planted-secret');"
        "t = threading.Thread(target=lambda: {}['planted-secret']); t.start(); t.join();"
        "raise ValueError('planted-secret')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert ran.returncode == 1 and "planted" not in ran.stdout + ran.stderr.replace("'planted-secret'", "")
    assert ran.stderr.count("***") >= 3 and "ValueError" in ran.stderr and "KeyError" in ran.stderr


def test_a_number_of_the_call_is_masked_however_it_is_written_and_identifiers_are_not(tmp_path):
    directory = JournalDir(tmp_path)
    journal = directory.open("CA1", {}, 0.0, {}, numbers=(CALLER, "", "911", "client:bob"))
    journal.note("x", 0.0, a="0100001 010 00 01 (555)010-0001", b="item_90100001x 9112 01000012 " + "f" * 32)
    journal.close(0.0, {"items": [{"text": f"call {OTHER}", "item": "item_12345678901"}]})
    directory.flush()
    text = journal.path.read_text()
    assert "***01 ***01 (555)***01" in text and "9112 01000012" in text and "item_12345678901" in text
    assert OTHER not in text


def test_a_key_in_pieces_of_a_text_and_in_a_misspelt_message_is_masked():
    pieces = [redact_json(json.dumps({"type": "x.delta", "delta": part}).encode(), {}) for part in ("key 7", "391")]
    assert [piece["delta"] for piece in pieces] == ["key •", "•••"]
    said = {"type": "a", "item": {"content": [{"text": "The caller pressed key *."}]}}
    assert redact_json(json.dumps(said).encode(), {})["item"]["content"][0]["text"] == "The caller pressed key •."
    assert redact_json(json.dumps(said).encode(), {}, digits=True) == said
    odd = {"event": "dtmf", "DTMF": {"Digits": "7391"}, "Media": {"Payload": "AAAA"}, "mark": {"name": "m12345678"}}
    assert twilio.redact(json.dumps(odd).encode()) == {
        "event": "dtmf", "DTMF": {"Digits": v.MASKED}, "Media": {"Payload": "<4 characters>"},
        "mark": {"name": "m12345678"},
    }  # fmt: skip

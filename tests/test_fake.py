"""``offhook fake``: what a client does wrong is named, what it does right is not, and the page about it is true."""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

from offhook.cli.fake import FakeError, run
from offhook.evidence.files import find, read
from offhook.evidence.record import Channel
from offhook.loopback.lines import audio
from offhook.sims.judge import ClientJudge
from offhook.sims.provider import SimProvider
from offhook.sims.provider_faults import faults_of

ROOT = Path(__file__).parent.parent
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
PCMU = {"type": "audio/pcmu"}
SESSION = {
    "type": "realtime",
    "audio": {"input": {"format": PCMU}, "output": {"format": PCMU, "voice": "marin"}},
}  # fmt: skip


FAULTS = ("refuse-401", "reject-key", "reject-session", "reject-voice", "ignore-formats", "ignore-voice",
          "another-voice", "another-format", "echo-without-formats", "error-mid-call", "benign-errors",
          "beta-session", "no-session-updated", "fail-responses")  # fmt: skip


class Client:
    """A client of a simulated provider, in virtual time, under the judge's eyes."""

    def __init__(self, provider: str, query: str = "?model=gpt-realtime", headers=None, faults=(), **knobs):
        self.sim = SimProvider(provider, faults=faults, **knobs)
        self.judge = ClientJudge(provider)
        self.now = 100.0
        headers = {"Authorization": "Bearer sk-test-000000000"} if headers is None else headers
        path = "/v1/realtime" + query
        self.refusal = self.sim.upgrade(path, headers)
        self.judge.request(path, headers, self.sim.peer.upgrade(path, headers))
        if self.refusal is None:
            out = self.sim.opened(self.now)
            self._out(self.judge.opened(self.sim.own, self.now), out)

    def _out(self, found, out):
        for message in out:
            self.judge.sent(message, self.now)

    def send(self, **message):
        data = json.dumps(message).encode()
        out = self.sim.receive(data, self.now)
        found = self.judge.received(data, False, self.sim.own, self.now)
        self._out(found, out)
        return found

    def speak(self, pcmu: bytes, every: float = 0.02):
        for at in range(0, len(pcmu), 160):
            payload = base64.b64encode(pcmu[at : at + 160]).decode()
            self.send(type="input_audio_buffer.append", audio=payload)
            self.now += every
            self._out([], self.sim.tick(self.now))

    def verdict(self):
        return self.judge.verdict(self.now)


def test_a_client_that_does_everything_right_is_told_so():
    client = Client("openai")
    client.send(type="session.update", session=SESSION)
    client.speak(audio("caller_hours") + b"\xff" * 8000)
    verdict = client.verdict()
    assert verdict.state == "right" and not verdict.wrongs and not verdict.notes
    assert verdict.figures["turns"] == verdict.figures["answers"] == 1
    assert 0.95 < verdict.figures["audio_per_s"] < 1.05


@pytest.mark.parametrize(
    ("message", "field", "code"),
    [
        ({"type": "session.update", "session": {"type": "realtime", "voice": "marin"}}, "session.voice",
         "unknown_parameter"),
        ({"type": "session.update", "session": {}}, "session.type", "missing_required_parameter"),
        ({"type": "input_audio_buffer.append"}, "audio", "missing_required_parameter"),
        ({"type": "input_audio_buffer.append", "audio": "///"}, "audio", "invalid_value"),
        ({"type": "response.make"}, "type", "invalid_value"),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": "1"},
         "audio_end_ms", "invalid_type"),
    ],
)  # fmt: skip
def test_a_message_that_openai_refuses_is_named_by_its_field(message, field, code):
    (found,) = Client("openai").send(**message)
    assert (found.field, found.code, found.by) == (field, code, "us")


def test_a_field_of_the_retired_shape_is_told_its_new_place():
    session = {"type": "realtime", "input_audio_format": "g711_ulaw"}
    (found,) = Client("openai").send(type="session.update", session=session)
    assert found.got == "'g711_ulaw'" and "session.audio.input.format" in found.wanted


@pytest.mark.parametrize(
    ("provider", "query", "headers", "field"),
    [
        ("openai", "?model=gpt-4o-realtime-preview", None, "?model="),
        ("openai", "", None, "?model="),
        ("openai", "?model=gpt-realtime", {}, "Authorization"),
        ("openai", "?model=gpt-realtime", {"Authorization": "Bearer k", "OpenAI-Beta": "realtime=v1"}, "OpenAI-Beta"),
        ("xai", "?model=grok-voice-latest", {}, "Authorization"),
        ("xai", "?model=grok-4-voice", None, "?model="),
        ("loopback", "?model=gpt-realtime", None, "?model="),
    ],
)
def test_a_request_is_judged_by_what_it_asks_for(provider, query, headers, field):
    (found,) = Client(provider, query, headers).judge.wrongs
    assert (found.message, found.field) == ("upgrade", field)


def test_a_model_that_is_called_latest_is_answered_by_another_name_and_that_is_right():
    client = Client("xai", "?model=grok-voice-latest")
    shape = json.loads((ROOT / "conformance" / "xai" / "to_peer" / "session-update-livekit.json").read_text())[
        "message"
    ]
    client.send(**{**shape, "session": {**shape["session"], "model": "grok-voice-latest"}})
    assert not client.judge.wrongs
    client.send(**{**shape, "session": {**shape["session"], "model": "grok-voice-2.0"}})
    assert [wrong.field for wrong in client.judge.wrongs] == ["session.model"]


def test_a_key_is_never_repeated():
    client = Client("openai", headers={"Authorization": "Bearer sk-secret-of-mine-123"}, keys=frozenset({"another"}))
    assert client.judge.wrongs and "secret-of-mine" not in repr(client.judge.wrongs)


def test_what_xai_drops_in_silence_is_said_where_it_changes_the_call():
    client = Client("xai", "?model=grok-voice-latest")
    session = {
        "type": "realtime", "output_modalities": ["audio"], "instructions": "Be kind.",
        "audio": {"input": {"format": PCMU}, "output": {"format": PCMU, "voice": "ara"}},
    }  # fmt: skip
    client.send(type="session.update", session=session)
    assert [wrong.field for wrong in client.judge.wrongs] == ["session.audio.output.voice"]
    assert "at the top" in client.judge.wrongs[0].wanted
    assert [note.field for note in client.judge.notes] == ["session.output_modalities"]


@pytest.mark.parametrize(
    ("provider", "fault"), [(name, fault) for name in ("openai", "xai") for fault in FAULTS if fault in faults_of(name)]
)
def test_a_dialled_fault_is_not_the_clients_and_its_own_mistake_is(provider, fault):
    right = SESSION if provider == "openai" else {"voice": "ara", "audio": {"input": {"format": PCMU}}}
    query = "?model=gpt-realtime" if provider == "openai" else "?model=grok-voice-latest"
    client = Client(provider, query, faults=(fault,))
    if client.refusal is None:
        client.send(type="session.update", session=right)
        client.speak(audio("caller_hours") + b"\xff" * 8000)
        assert not client.judge.wrongs
        client.send(type="response.make")
        assert len(client.judge.wrongs) == 1
    else:
        assert not client.judge.wrongs


def test_races_are_counted_and_not_blamed():
    client = Client("openai")
    assert client.send(type="response.cancel") == []
    assert client.judge.races == 1 and not client.judge.wrongs


def test_a_tool_call_that_nobody_answers_is_wrong_and_an_answered_one_is_not():
    from offhook.sims.provider import Answer

    tool = {"type": "function", "name": "book", "parameters": {"type": "object"}}
    for answers in (False, True):
        client = Client("openai", script=(Answer(tool="book"),))
        client.send(type="session.update", session={**SESSION, "tools": [tool]})
        client.speak(audio("caller_hours") + b"\xff" * 8000)
        (call,) = client.judge._calls
        if answers:
            item = {"type": "function_call_output", "call_id": call, "output": "{}"}
            client.send(type="conversation.item.create", item=item)
        assert client.verdict().state == ("right" if answers else "wrong")


def test_pcm16_sent_as_pcmu_is_told_from_its_bytes():
    from offhook.media import g711

    client = Client("openai")
    client.send(type="session.update", session=SESSION)
    client.speak(g711.decode(audio("caller_services")).tobytes())
    (wrong,) = client.verdict().wrongs
    assert wrong.field == "audio" and "pcm16" in wrong.got


@pytest.mark.parametrize("silent", ["update", "audio", "speech"])
def test_what_was_not_seen_is_not_said_to_be_right(silent):
    client = Client("openai")
    if silent != "update":
        client.send(type="session.update", session=SESSION)
    if silent == "speech":
        client.speak(b"\xff" * 8000)
    assert client.verdict().state == "not proven"


# ------------------------------------------------------------------------------------------- as a program


def start(*arguments: str) -> tuple[subprocess.Popen, dict]:
    command = [sys.executable, "-m", "offhook", "fake", *arguments, "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def told(process: subprocess.Popen) -> list[dict]:
    out, err = process.communicate(timeout=80)
    assert not err, err
    return [json.loads(line) for line in out.splitlines()]


async def converse(url: str, *messages: dict) -> None:
    headers = {"Authorization": "Bearer sk-very-secret-key-1234567890"}
    async with websockets.connect(url + "?model=gpt-realtime", additional_headers=headers, proxy=None) as ws:
        await ws.recv()
        for message in messages:
            await ws.send(json.dumps(message))
        await ws.recv()


def test_one_session_is_told_recorded_and_judged(tmp_path):
    process, listening = start("openai", "--once", "--record", str(tmp_path))
    frame = {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\xff" * 160).decode()}
    text = {"type": "input_text", "text": "call +15550100001"}
    item = {"type": "message", "role": "user", "content": [text]}
    asyncio.run(
        converse(
            listening["url"],
            {"type": "session.update", "session": {**SESSION, "voice": "marin"}},
            *[frame] * 8,
            {"type": "conversation.item.create", "item": item},
        )
    )
    events = told(process)
    assert process.returncode == 1
    assert [event["event"] for event in events] == ["accepted", "wrong", "over", "verdict"]
    record = read(find("last", tmp_path))
    assert record.begin["source"] == "fake" and record.begin["sees"] == ["provider"]
    (violation,) = record.violations()
    assert violation.data["field"] == "session.voice" and violation.data["ch"] == Channel.TO_PROVIDER
    assert record.counters()["channels"][Channel.TO_PROVIDER]["frames"] == 8
    (closed,) = record.notes("provider.closed")
    assert closed.data["by"] == "us"  # the program under test
    written = find("last", tmp_path).read_text()
    assert "very-secret" not in written and "5550100001" not in written


def test_ctrl_c_ends_it_cleanly_and_nobody_dialled_is_not_proven():
    process, _ = start("xai")
    process.send_signal(signal.SIGINT)
    assert told(process) == [] and process.returncode == 3


def test_a_request_that_a_dialled_fault_refuses_is_nobodys_mistake():
    process, listening = start("xai", "--once", "--fault", "refuse-429")

    async def knock():
        with pytest.raises(websockets.InvalidStatus):
            headers = {"Authorization": "Bearer xai-000000000"}
            await websockets.connect(listening["url"], additional_headers=headers, proxy=None)

    asyncio.run(knock())
    (refused,) = told(process)
    assert refused["status"] == 429 and refused["dialled"] and process.returncode == 3  # not the client's fault


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("wanted one of openai, xai", {"provider": "nobody"}),
        ("openai has", {"faults": ("sulk",)}),
        ("--port 0", {"host": "192.0.2.1", "port": 1}),
    ],
)
def test_what_cannot_be_served_is_said_at_once(said, given):
    wanted = {"provider": "openai", "host": "127.0.0.1", "port": 0, "faults": (), **given}
    with pytest.raises(FakeError, match=said):
        run(wanted.pop("provider"), tls=None, key="", record=None, think_s=0, once=True, as_json=True, **wanted)


def test_a_mistake_of_the_users_is_a_line_and_no_traceback():
    command = [sys.executable, "-m", "offhook", "fake", "openai", "--tls", "a"]
    ran = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=80)
    assert ran.returncode == 2 and "wanted CERT,KEY" in ran.stderr and "Traceback" not in ran.stderr


def test_the_page_shows_what_really_happens():
    page = (ROOT / "docs" / "fake.md").read_text()
    shown, program, says = re.findall(r"```\w*\n(.*?)```", page, re.S)[:3]
    command = [sys.executable, "-m", "offhook", "fake", "openai", "--once", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENV)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(6)]
    port = re.search(r":(\d+)/", first[0])[1]
    code = program.replace("8790", port)
    client = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=80)
    assert '"type":"error"' in client.stdout, client.stderr
    rest, _ = process.communicate(timeout=80)

    def plain(text: str) -> str:
        text = re.sub(r"^ *\d+\.\d+s", "T", text.replace(port, "8790"), flags=re.M)
        text = re.sub(r"over after \d+\.\d s", "over after T", text)
        return re.sub(r"Python/\S+ websockets/\S+", "WS", text)

    assert plain("".join(first)) == plain(shown.split("\n", 1)[1])
    assert plain(rest) == plain(says)

"""What a tap writes down: both legs of a call in one record, joined by rules that are said, and nothing secret."""

import asyncio
import base64
import gzip
import json
from unittest.mock import Mock

import pytest
from tests.net.kit import frame

from offhook.cli.tap import _Tapping
from offhook.diagnosis.report import report
from offhook.evidence.files import read
from offhook.evidence.journal import JournalDir
from offhook.evidence.record import Channel
from offhook.loopback.lines import audio
from offhook.tap.calls import HOLD_S, LINGER_S, UNSTREAMED_S, CallBook
from offhook.tap.conversation import Conversation
from offhook.tap.legs import CarrierSide, Place, ProviderSide
from offhook.wires.carriers._twilio_peer import Peer
from offhook.wires.carriers.twilio import sign

PUBLIC = "https://voice.example.com"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
)
TWIML = (
    '<?xml version="1.0"?><Response><Connect action="/after"><Stream url="wss://voice.example.com/media">'
    '<Parameter name="agent" value="desk"/></Stream></Connect><Pause length="5"/></Response>'
)
SPEECH = audio("caller_hours")


class World:
    """A tap without sockets: connections are fed by hand, time passes by hand."""

    def __init__(self, folder, sees=("webhook", "carrier", "provider")):
        self.now = 1000.0
        self.planned = []
        self.folder = folder
        self.journals = JournalDir(folder)
        self.book = CallBook(self.journals, lambda: self.now, self._later, sees)
        self.said = []

    def _later(self, seconds, what):
        self.planned.append((self.now + seconds, what))

    def wait(self, seconds):
        until = self.now + seconds
        while due := sorted((at, n) for n, (at, _) in enumerate(self.planned) if at <= until):
            at, n = due[0]
            self.now = max(self.now, at)
            self.planned.pop(n)[1]()
        self.now = until

    def place(self, host="api.openai.com", **more):
        return Place("wss", host, 443, say=lambda *a, **k: self.said.append(a), **more)

    def records(self):
        self.journals.flush()
        return {record.begin["call"]: record for record in map(read, sorted(self.folder.glob("*.jsonl")))}


class Carrier:
    """One call of the carrier's through the tap: a webhook connection, then a stream's."""

    def __init__(self, world, n, **place):
        self.world = world
        self.call_sid = f"CA{n:032x}"
        self.peer = Peer(f"MZ{n:032x}", self.call_sid, "AC" + "0" * 32)
        self.place = world.place(public=PUBLIC, **place)

    def webhook(self, document=TWIML, status=200, kind="text/xml", token="tok-0123456789", headers=""):
        form = {"CallSid": self.call_sid, "From": "+15550100001", "To": "+15550100002", "Direction": "inbound"}
        body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in form.items())
        signature = sign(token, PUBLIC + "/voice", list(form.items()))
        talk = Conversation(CarrierSide(self.world.book, self.place))
        head = f"POST /voice HTTP/1.1\r\nHost: voice.example.com\r\nX-Twilio-Signature: {signature}\r\n{headers}"
        talk.near(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode(), self.world.now)
        self.world.now += 0.01
        answer = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(document)}\r\n\r\n{document}"
        talk.far(answer.encode(), self.world.now)
        return self

    def stream(self):
        self.talk = Conversation(CarrierSide(self.world.book, self.place))
        self.talk.near(b"GET /media HTTP/1.1\r\nHost: voice.example.com\r\nUpgrade: websocket\r\n"
                       b"Connection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n", self.world.now)  # fmt: skip
        self.talk.far(SWITCH, self.world.now)
        self.say(self.peer.connected(), self.peer.start({"token": "secret-token-value", "phone": "+15550100001"}))
        return self

    def say(self, *messages):
        for message in messages:
            self.talk.near(frame(1, message), self.world.now)

    def speak(self, pcmu=SPEECH, n=20):
        frames = [pcmu[at : at + 160] for at in range(0, n * 160, 160)]
        self.say(*(self.peer.media(one, 20 * i) for i, one in enumerate(frames)))
        return frames

    def hear(self, **message):
        self.talk.far(frame(1, json.dumps(message).encode(), mask=False), self.world.now)

    def end(self):
        self.talk.near(frame(8, b"\x03\xe8"), self.world.now)
        self.talk.far(frame(8, b"\x03\xe8", mask=False), self.world.now)
        self.talk.ended("near", False, self.world.now)


class Client:
    """A provider session through the tap."""

    def __init__(self, world, target="/v1/realtime?model=gpt-realtime", answer=SWITCH, headers="", **place):
        self.world = world
        self.talk = Conversation(ProviderSide(world.book, world.place(**place)))
        head = (
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-very-secret-0123456789\r\n{headers}"
        )
        self.talk.near(f"{head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode(), world.now)
        self.talk.far(answer, world.now)

    def send(self, **message):
        self.talk.near(frame(1, json.dumps(message).encode()), self.world.now)

    def append(self, pcmu):
        self.send(type="input_audio_buffer.append", audio=base64.b64encode(pcmu).decode())

    def get(self, **message):
        self.talk.far(frame(1, json.dumps(message).encode(), mask=False), self.world.now)

    def end(self, code=1000):
        self.talk.near(frame(8, code.to_bytes(2, "big")), self.world.now)
        self.talk.ended("near", False, self.world.now)


def joins(record):
    return [(note.data["how"], note.data["certain"]) for note in record.notes("tap.join")]


def test_both_legs_of_a_call_are_one_record(tmp_path):
    world = World(tmp_path)
    carrier = Carrier(world, 1, auth_token="tok-0123456789").webhook().stream()
    client = Client(world)
    client.get(type="session.created", session={"model": "gpt-realtime"})
    session = {"type": "realtime", "voice": "marin", "instructions": "Call +15550100001."}
    client.send(type="session.update", session=session)
    client.append(SPEECH[:160])
    delta = base64.b64encode(SPEECH[:800]).decode()
    for _ in range(6):
        client.get(type="response.output_audio.delta", response_id="r", item_id="i", delta=delta)
        carrier.hear(event="media", stream_sid="MZ", media={"payload": delta})
        carrier.hear(event="media", streamSid=carrier.peer.stream_sid, media={"payload": delta})
    carrier.speak()
    world.now += 3
    client.end()
    carrier.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()

    assert record.begin["source"] == "tap" and record.begin["sees"] == ["webhook", "carrier", "provider"]
    assert record.begin["caller"] == "+1********01" and joins(record) == [("the only call", True)]
    webhook, twiml = next(record.notes("webhook")).data, next(record.notes("twiml")).data
    assert (webhook["scheme"], webhook["host"], webhook["path"], webhook["status"]) == (
        "https", "voice.example.com", "/voice", 200)  # fmt: skip
    assert webhook["signature"]["present"] and webhook["signature"]["ok"] is True and webhook["ms"] == 10.0
    assert twiml["ok"] and twiml["verb"] == "Connect" and twiml["stream"]["path"] == "/media" and twiml["action"]
    assert (twiml["next_verb"], twiml["next_pause_s"], twiml["parameters"]) == ("Pause", 5.0, ["agent"])
    assert next(record.notes("upgrade")).data["status"] == 101
    assert next(record.notes("dial.request")).data["query"] == {"model": "gpt-realtime"}
    broken = {(line.data["ch"], line.data["field"]) for line in record.violations()}
    assert broken == {(Channel.TO_CARRIER, "streamSid"), (Channel.TO_PROVIDER, "session.voice")}
    assert [figures["frames"] for figures in record.counters()["channels"]] == [20, 6, 6, 1]
    closes = {note.data["leg"]: (note.data["by"], note.data["code"]) for note in record.notes("close")}
    assert closes == {"carrier": ("them", 1000), "provider": ("us", 1000)}
    end = record.end or {}
    assert end["carrier_out"]["frames"] == 6 and end["carrier_out"]["bad"] == {"media:streamSid": 6}
    assert end["provider"]["first_sent"] == "session.update" and end["carrier_in"]["frames"] == 20

    written = next(tmp_path.glob("*.jsonl")).read_text()
    for secret in ("very-secret", "secret-token-value", "5550100001", delta[:40]):
        assert secret not in written


@pytest.mark.parametrize(("token", "ok"), [("tok-0123456789", True), ("another-token-1", False), ("", None)])
def test_a_signature_is_judged_only_where_the_secret_is_known(tmp_path, token, ok):
    world = World(tmp_path)
    Carrier(world, 1, auth_token=token).webhook()
    world.book.end_all()
    (record,) = world.records().values()
    assert next(record.notes("webhook")).data["signature"]["ok"] is ok


def test_a_webhook_that_is_refused_or_never_answered_is_a_record(tmp_path):
    world = World(tmp_path)
    Carrier(world, 1).webhook("no such page", 404, "text/plain")
    two = Carrier(world, 2)
    talk = Conversation(CarrierSide(world.book, two.place))
    talk.near(f"GET /voice?CallSid={two.call_sid}&From=%2B15550100001 HTTP/1.1\r\nHost: x\r\n\r\n".encode(), world.now)
    talk.failed("tcp", "tcp: 127.0.0.1:1: refused", world.now)
    world.wait(61)
    found = {name: next(record.notes("webhook")).data for name, record in world.records().items()}
    assert found[f"CA{1:032x}"]["status"] == 404 and found[f"CA{1:032x}"]["why"] == "no such page"
    assert found[two.call_sid]["status"] is None and "refused" in found[two.call_sid]["why"]
    assert not world.book.calls


@pytest.mark.parametrize("how", ["length", "chunked", "gzip", "br"])
def test_a_document_is_read_however_it_is_sent_on_a_connection_that_lives_on(tmp_path, how):
    """A reverse proxy keeps its connection: the webhook, and then the stream's upgrade, on the same one."""
    world = World(tmp_path)
    carrier = Carrier(world, 1)
    talk = carrier.talk = Conversation(CarrierSide(world.book, carrier.place))
    body = f"CallSid={carrier.call_sid}"
    talk.near(f"POST /voice HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(), world.now)
    document = TWIML.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"
    if how == "chunked":
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (document[:50], document[50:])) + b"0\r\n\r\n"
    else:
        sent = gzip.compress(document) if how == "gzip" else document
        head += b"" if how == "length" else f"Content-Encoding: {how}\r\n".encode()
        head += b"Content-Length: %d\r\n\r\n" % len(sent)
    for part in (head, sent[:20], sent[20:]):
        talk.far(part, world.now)
    talk.near(b"GET /media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", world.now)
    talk.far(SWITCH, world.now)
    carrier.say(carrier.peer.connected(), carrier.peer.start({}))
    carrier.speak()
    carrier.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()
    twiml = [note.data for note in record.notes("twiml")]
    assert [note["stream"]["path"] for note in twiml] == ([] if how == "br" else ["/media"])
    assert all(note["ok"] for note in twiml) and record.counters()["channels"][0]["frames"] == 20


# --------------------------------------------------------------------------------------------- joining


def test_the_callers_own_audio_tells_two_calls_apart_even_where_frames_were_put_together(tmp_path):
    world = World(tmp_path)
    one, two = (Carrier(world, n).webhook().stream() for n in (1, 2))
    first, second = Client(world), Client(world)
    said = two.speak(audio("caller_price"))
    one.speak(audio("caller_hours"))
    first.append(b"".join(said[2:7]))  # 100 ms in one message: the text is another, the audio is the same
    for part in one.speak(audio("caller_services")):
        second.append(part)
    assert [client.talk._leg._session.call.name for client in (first, second)] == [two.call_sid, one.call_sid]
    world.book.end_all()
    assert {name: joins(record) for name, record in world.records().items()} == {
        name: [("the caller's own audio", True)] for name in (one.call_sid, two.call_sid)
    }


@pytest.mark.parametrize("where", ["query", "header", "message"])
def test_an_identifier_tells_calls_apart_at_once(tmp_path, where):
    world = World(tmp_path)
    one, two = (Carrier(world, n).webhook().stream() for n in (1, 2))
    client = Client(
        world,
        target=f"/v1/realtime?model=gpt-realtime&call={two.call_sid if where == 'query' else 'x'}",
        headers=f"X-Call: {two.peer.stream_sid}\r\n" if where == "header" else "",
    )
    if where == "message":
        client.send(type="session.update", session={"type": "realtime", "tracing": {"group_id": two.call_sid}})
    world.book.end_all()
    records = world.records()
    assert joins(records[two.call_sid]) == [("an identifier", True)] and not joins(records[one.call_sid])


def test_what_no_rule_decides_is_said_and_never_guessed(tmp_path):
    world = World(tmp_path)
    calls = [Carrier(world, n).webhook().stream() for n in (1, 2)]
    client = Client(world)
    client.get(type="session.created", session={})
    world.wait(HOLD_S)
    client.get(type="session.updated", session={})
    client.end()
    world.wait(LINGER_S)
    world.book.end_all()
    records = world.records()
    assert joins(records["tap-1"]) == [("a record of its own: ambiguous", False)]
    assert next(records["tap-1"].notes("tap.join")).data["candidates"] == [call.call_sid for call in calls]
    assert len(list(records["tap-1"].messages(Channel.FROM_PROVIDER))) == 2
    for call in calls:
        assert joins(records[call.call_sid]) == [("undecided", False)]
        assert not list(records[call.call_sid].messages(Channel.FROM_PROVIDER))


def test_the_only_call_without_a_session_gets_it_and_that_is_called_uncertain(tmp_path):
    world = World(tmp_path)
    one = Carrier(world, 1).webhook().stream()
    Client(world)
    two = Carrier(world, 2).webhook().stream()
    Client(world)
    world.wait(HOLD_S)
    world.book.end_all()
    records = world.records()
    assert joins(records[one.call_sid]) == [("the only call", True)]
    assert joins(records[two.call_sid]) == [("the only call without a session", False)]


def test_a_session_that_ends_early_or_reconnects_stays_with_its_call(tmp_path):
    world = World(tmp_path)
    carrier = Carrier(world, 1).webhook().stream()
    for _ in range(2):
        client = Client(world)
        client.end(1011)
    carrier.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()
    assert joins(record) == [("the only call", True)] * 2
    assert [note.data["attempt"] for note in record.notes("dial.begun")] == [1, 2]


def test_a_session_without_any_call_has_a_record_of_its_own(tmp_path):
    for n, sees in enumerate((("provider",), ("webhook", "carrier", "provider"))):
        world = World(tmp_path / str(n), sees)
        client = Client(world)
        client.get(type="session.created", session={})
        world.wait(HOLD_S)
        client.end()
        world.wait(LINGER_S)
        (record,) = world.records().values()
        assert record.begin["call"] == "tap-1" and record.begin["sees"] == list(sees)
        assert record.end is not None


# ------------------------------------------------------------------------------- what is not understood


@pytest.mark.parametrize(
    ("target", "messages"),
    [("/ws/google.ai.BidiGenerateContent?key=AIzaSySecretSecret", [{"setup": {"model": "m", "secret": "s3cretvalue"}}]),
     ("/v1/realtime?model=unheard-of", [{"type": "hello", "secret": "s3cretvalue"}])],
)  # fmt: skip
def test_a_provider_that_nobody_here_reads_passes_and_is_recorded_as_unknown(tmp_path, target, messages):
    world = World(tmp_path, ("provider",))
    client = Client(world, target, host="generativelanguage.googleapis.com")
    for message in messages:
        client.send(**message)
        client.get(**message)
    client.talk.far(frame(2, b"\x00\x01", mask=False), world.now)
    client.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()
    assert any(record.notes("dialect.unknown")) and not list(record.violations())
    assert [line.data["m"].get("unknown_dialect") for line in record.messages()] == [True, True, None]
    written = next(tmp_path.glob("*.jsonl")).read_text()
    assert "s3cretvalue" not in written and "AIza" not in written


def test_a_carrier_that_is_not_twilio_passes_and_is_recorded_as_unknown(tmp_path):
    world = World(tmp_path)
    carrier = Carrier(world, 1)
    carrier.talk = Conversation(CarrierSide(world.book, carrier.place))
    carrier.talk.near(b"GET /media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", world.now)
    carrier.talk.far(SWITCH, world.now)
    start = {"event": "start", "stream_id": "s-1", "start": {"from": "+15550100001", "call_control_id": "v3:x"}}
    carrier.say(json.dumps(start).encode(), *[b'{"event":"media","media":{"payload":"/////w=="}}'] * 4)
    carrier.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()
    assert record.begin["carrier"] == "unknown" and any(record.notes("dialect.unknown"))
    assert "5550100001" not in next(tmp_path.glob("*.jsonl")).read_text()


@pytest.mark.parametrize("leg", ["carrier", "provider"])
def test_nothing_that_is_sent_breaks_a_reader(tmp_path, leg):
    odd = [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 5000, b'{"event":"media","media":7}', b'{"event":[1],"type":{}}',
           b'{"event":"start","start":{"callSid":1}}', b'{"type":"session.update","session":[]}',
           b'{"type":"session.updated","session":{"audio":7}}', b'{"type":"response.done","response":"x"}',
           b'{"type":"response.output_audio.delta","delta":"%%%"}', b'{"type":"error","error":null}',
           b'{"event":"mark","mark":null}', b'{"event":"media","media":{"payload":"x"}}']  # fmt: skip
    world = World(tmp_path)
    carrier = Carrier(world, 1).webhook().stream()
    client = Client(world)
    talk = carrier.talk if leg == "carrier" else client.talk
    for data in odd:
        for opcode in (1, 2):
            talk.near(frame(opcode, data), world.now)
            talk.far(frame(opcode, data, mask=False), world.now)
    client.get(type="session.created", session={})
    client.end()
    carrier.end()
    world.wait(LINGER_S)
    (record,) = world.records().values()
    assert record.end is not None and not list(record.notes("exception"))


def test_an_upgrade_that_is_refused_is_noted_in_the_call_that_waits_for_its_stream(tmp_path):
    world = World(tmp_path)
    carrier = Carrier(world, 1).webhook()
    talk = Conversation(CarrierSide(world.book, carrier.place))
    talk.near(b"GET /media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", world.now)
    talk.far(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n", world.now)
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nbad key"
    Client(world, answer=answer)
    world.wait(LINGER_S)
    world.book.end_all()
    (record,) = world.records().values()
    assert next(record.notes("upgrade")).data["status"] == 403
    failed = next(record.notes("dial.failed")).data
    assert (failed["status"], failed["body"]) == (401, "bad key")


def test_a_healthy_call_whose_stream_passes_by_the_tap_is_not_blamed(tmp_path):
    world = World(tmp_path)
    Carrier(world, 1).webhook(TWIML.replace("wss://voice.example.com", "wss://voice.example.com:8443"))
    (said,) = [text for kind, text in world.said if kind == "past"]
    assert "wss://voice.example.com:8443" in said and f"--rewrite-stream-url --public {PUBLIC}" in said
    world.wait(UNSTREAMED_S)
    (record,) = world.records().values()
    judged = report(record)
    assert (judged.verdict, judged.roots) == ("not proven", ()) and "past this tap" in judged.because


def test_a_stream_that_comes_by_the_tap_is_not_said_to_pass_it(tmp_path):
    world = World(tmp_path)
    Carrier(world, 1).webhook().stream()
    Carrier(world, 2, rewritten=True).webhook(TWIML.replace("voice.example.com", "10.0.0.4:8080"))
    assert not [kind for kind, *_ in world.said if kind == "past"]
    world.wait(UNSTREAMED_S)
    assert "settings/private-url" not in [root.rule for root in report(world.records()[f"CA{2:032x}"]).roots]


def test_a_tap_that_is_ended_writes_the_end_of_what_still_runs(tmp_path):
    tapping = _Tapping([], tmp_path, "", False, "", None, False, True)
    tapping._over.set()
    tapping.book = Mock(wraps=tapping.book)
    tapping.book.end_all.side_effect = lambda: order.append(tapping._journals._thread.is_alive())
    order: list[bool] = []
    asyncio.run(tapping.run())
    assert order == [True]  # while there is still somebody to write it

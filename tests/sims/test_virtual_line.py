"""The simulated carrier in virtual time does what the real one does with webhooks, documents, streams and ends."""

import pytest

from offhook.sims.virtual import Link, Process, World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_http import Reply, Route

CONNECT = b'<Response><Connect action="/after"><Stream url="wss://x.example/media"/></Connect></Response>'


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, world, *answers):
        self.process = Process(world)
        self.answers, self.asked, self.streams, self.heard, self.ended = list(answers), [], [], [], []

    def http(self, request, reply):
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else Reply(200, b"<Response/>")
        if answer is not None:
            reply(answer)

    def upgrade(self, request, accept, refuse):
        self.asked.append(request)
        self.streams.append(accept(self))

    def opened(self, socket): ...

    def text(self, data):
        self.heard.append(data)

    def binary(self, data): ...

    def closed(self, code, reason, by):
        self.ended.append((code, by))

    def paused(self, n_bytes): ...

    def resumed(self): ...


@pytest.fixture
def world():
    with World() as made:
        yield made


def placed(world, server, seconds=5.0, **options):
    line = Line(world, server, "https://x.example/voice", link=Link(0.01), **options)
    line.begin()
    world.run(seconds)
    return line


def test_a_redirect_is_followed_as_get_and_the_form_moves_into_the_query(world):
    server = Server(world, Reply(301, location="https://x.example/voice/"), Reply(200, b"<Response/>"))
    line = placed(world, server, auth_token="t")
    assert [request.method for request in server.asked] == ["POST", "GET"]
    assert "CallSid=CA" in server.asked[1].url and server.asked[1].body == b""
    assert line.over


def test_a_307_keeps_the_method(world):
    server = Server(world, Reply(307, location="https://x.example/other"))
    placed(world, server)
    assert [request.method for request in server.asked] == ["POST", "POST"]


def test_a_webhook_without_an_answer_is_given_up_after_15_seconds_for_the_fallback(world):
    server = Server(world, None, Reply(200, CONNECT))
    line = placed(world, server, 20.0, fallback_url="https://x.example/second")
    assert [code for code, _ in line.alerts] == ["11205"]
    assert server.asked[1].url == "https://x.example/second"
    assert len(server.streams) == 1


def test_what_stands_between_can_answer_or_fail_itself(world):
    server = Server(world)
    line = placed(world, server, route=Route(webhook=lambda request: "dns"))
    assert server.asked == [] and line.alerts[0][0] == "11210" and line.over


def test_connected_start_and_fifty_frames_a_second_then_stop(world):
    server = Server(world, Reply(200, CONNECT))
    line = placed(world, server, 2.2)
    line.hang_up()
    world.run(1.0)
    kinds = [message.split(b'"')[3] for message in server.heard]
    assert kinds[:2] == [b"connected", b"start"] and kinds[-1] == b"stop"
    assert kinds.count(b"media") == pytest.approx(100, abs=4)
    assert server.ended == [(1000, "them")] and line.over


def test_after_our_close_the_action_is_asked_and_the_debugger_shows_31921(world):
    server = Server(world, Reply(200, CONNECT), Reply(200, b"<Response><Pause length='3'/></Response>"))
    line = placed(world, server, 1.0)
    server.streams[0].close(1000)
    world.run(2.0)
    assert server.asked[-1].url == "https://x.example/after"
    assert [code for code, _ in line.alerts] == ["31921"] and not line.over
    world.run(2.0)
    assert line.over


def test_a_caller_who_left_hears_no_further_verb(world):
    server = Server(world, Reply(200, CONNECT))
    line = placed(world, server, 1.0)
    line.hang_up()
    world.run(2.0)
    assert [request.method for request in server.asked] == ["POST", "GET"], "the webhook and the upgrade, no action"


def test_a_call_whose_caller_gives_up_is_canceled_and_told_so(world):
    server = Server(world, None)
    line = Line(world, server, "https://x.example/voice", status_url="https://x.example/status")
    line.begin()
    world.run(0.1)
    line.hang_up()
    world.run(1.0)
    assert b"CallStatus=canceled" in server.asked[-1].body and server.streams == []


def test_a_one_way_stream_ends_with_the_last_verb(world):
    document = b"<Response><Start><Stream url='wss://x.example/media'/></Start><Pause length='2'/></Response>"
    server = Server(world, Reply(200, document))
    line = placed(world, server, 4.0)
    assert line.over and server.heard[-1].split(b'"')[3] == b"stop"


def test_a_server_that_does_not_read_loses_audio_and_the_debugger_shows_31930(world):
    server = Server(world, Reply(200, CONNECT))
    line = placed(world, server, 1.0)
    server.process.block(10.0)
    world.run(8.0)
    assert "31930" in [code for code, _ in line.alerts]


def test_echo_comes_back_with_its_delay(world):
    import base64
    import json

    from offhook.sims.provider import tone

    server = Server(world, Reply(200, CONNECT))
    line = placed(world, server, 1.0)
    line.echo = (-6.0, 0.2)
    payload = base64.b64encode(tone(1000)).decode()
    sid = line.stream_sid
    server.streams[0].send(json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}}).encode())
    server.heard.clear()
    world.run(1.0)
    loud = [n for n, message in enumerate(server.heard) if len(set(json.loads(message)["media"]["payload"])) > 30]
    assert 8 <= loud[0] <= 14, "200 ms and the network's own delay, in frames"

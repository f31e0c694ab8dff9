"""``offhook tap`` as a user runs it: the page about it is true, and what cannot be tapped is said at once."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import websockets
from tests.ports import free_port

from offhook.cli.tap import TapError, parse, rewriter, run
from offhook.loopback.lines import audio
from offhook.wires.carriers._twilio_peer import Peer

ROOT = Path(__file__).parent.parent.parent
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}


async def call(port: int) -> None:
    """A carrier's stream, with compression, as a library that nobody here wrote speaks it."""
    peer = Peer("MZ" + "0" * 31 + "1", "CA" + "0" * 31 + "1", "AC" + "0" * 32)
    async with websockets.connect(f"ws://127.0.0.1:{port}/media", proxy=None) as ws:
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
        for message in (peer.connected(), peer.start({})):
            await ws.send(message.decode())
        pcmu = audio("caller_hours")
        for n in range(5):
            await ws.send(peer.media(pcmu[n * 160 : n * 160 + 160], n * 20).decode())
            assert "stream_sid" in json.loads(await ws.recv())


def test_the_page_shows_what_really_happens(tmp_path):
    page = (ROOT / "docs" / "tap.md").read_text()
    _, server_code, tap_says, trace_says = re.findall(r"```\w*\n(.*?)```", page, re.S)[:4]
    ports = {"8080": str(free_port()), "9000": str(free_port())}

    def real(text: str) -> str:
        return re.sub("8080|9000", lambda found: ports[found[0]], text)

    server = subprocess.Popen([sys.executable, "-c", real(server_code)])
    command = real(tap_says.splitlines()[0]).split()[2:]
    tap = subprocess.Popen(
        [sys.executable, "-m", "offhook", *command], stdout=subprocess.PIPE, text=True, env=ENV, cwd=tmp_path
    )
    try:
        assert tap.stdout is not None
        first = [tap.stdout.readline() for _ in range(4)]

        async def until_it_answers() -> None:
            while True:
                try:
                    await call(int(ports["9000"]))
                    return
                except websockets.InvalidStatus as error:  # the server is not up yet
                    assert error.response.status_code == 502
                    await asyncio.sleep(0.05)

        asyncio.run(asyncio.wait_for(until_it_answers(), 40))
        rest, _ = tap.communicate(timeout=80)
    finally:
        server.terminate()
        server.wait()
        tap.kill()
    trace = subprocess.run(
        f"{sys.executable} -m offhook trace calls/*.jsonl | grep '!'",
        shell=True, capture_output=True, text=True, env=ENV, cwd=tmp_path, timeout=80,
    )  # fmt: skip

    def plain(text: str) -> str:
        for name, port in ports.items():
            text = text.replace(port, name)
        text = re.sub(r"^ *\d+\.\d+s?( #\d+)?", "T", text, flags=re.M)
        return re.sub(r"\d{8}T\d{6}Z", "STAMP", text)

    lines = [line for line in rest.splitlines() if "502" not in line and "did not answer" not in line]
    assert plain("".join(first)) + plain("\n".join(lines)) + "\n" == plain(tap_says.split("\n", 1)[1])
    assert plain(trace.stdout.splitlines()[0]) == plain(trace_says.split("\n", 1)[1].strip("\n")), trace.stderr
    assert tap.returncode == 0


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("nothing to tap", {}),
        ("LISTEN=URL", {"carrier": ["nonsense"]}),
        ("scheme", {"provider": ["1=ftp://x"]}),
        ("leave it out", {"provider": ["1=wss://api.openai.com/v1/realtime"]}),
        ("no credentials", {"carrier": ["9=http://a:b@c"]}),
        ("--public", {"carrier": ["0=http://x"], "rewrite": True}),
        ("wanted an origin", {"carrier": ["0=http://x"], "public": "voice.example.com"}),
        ("auto", {"carrier": ["0=http://x"], "wire": "y"}),
        ("cannot listen", {"carrier": ["192.0.2.1:1=http://x"]}),
        ("--tls", {"carrier": ["0=http://x"], "tls": ("a", "b")}),
    ],
)
def test_what_cannot_be_tapped_is_said_at_once(said, given, tmp_path):
    wanted = {"carrier": [], "provider": [], "public": "", "rewrite": False, "wire": "auto", "tls": None, **given}
    with pytest.raises(TapError, match=said):
        run(record=tmp_path, once=False, as_json=False, **wanted)


def test_addresses_are_read_as_they_are_written():
    one = parse("carrier", "0.0.0.0:9000=http://[::1]:8080")
    assert (one.listen_host, one.listen_port, one.host, one.port, one.authority) == (
        "0.0.0.0", 9000, "::1", 8080, "[::1]:8080")  # fmt: skip
    assert parse("provider", "[::1]:1=wss://api.x.ai/").authority == "api.x.ai"
    with pytest.raises(TapError):
        parse("provider", "99999=wss://api.x.ai")


def test_only_the_origin_of_a_stream_is_rewritten():
    change = rewriter("https://tap.example.com")
    twiml = b'<Response><Connect><Stream name="a" url="wss://server:8080/media?x=1"/></Connect></Response>'
    assert change(b"text/xml", twiml) == twiml.replace(b"wss://server:8080", b"wss://tap.example.com")
    assert change(b"application/json", twiml) is None and change(b"text/xml", b"<Response/>") is None

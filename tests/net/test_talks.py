"""Calls from screens over real sockets: who is let in, what becomes of the ticket, and who may listen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from tests.net.kit import Ear, run

from offhook.bridge import BridgeSettings
from offhook.evidence.files import read
from offhook.evidence.journal import JournalDir
from offhook.media.lines import spoken_lines
from offhook.net import client, listening
from offhook.net.answerer import Answerer, Declined, always
from offhook.net.call import Call
from offhook.net.calls import Limits
from offhook.net.clock import LoopClock
from offhook.net.host import Host
from offhook.net.listening import Tap
from offhook.net.metrics import Metrics
from offhook.net.server import Server
from offhook.talk.stream import TalkStream
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers import browser, twilio
from offhook.wires.carriers._browser_peer import Peer
from offhook.wires.providers import loopback


@asynccontextmanager
async def served(folder: Path, **limits: Any) -> AsyncIterator[tuple[Host, str]]:
    """A host whose provider never answers."""
    journals = JournalDir(folder)
    who = Answerer(loopback, loopback.SessionSettings(url="ws://127.0.0.1:9"), BridgeSettings(), spoken_lines(), "day")
    answer = always(who)

    async def never(*args: Any, **more: Any) -> None:
        await asyncio.Event().wait()

    host = Host(
        carrier=twilio, carrier_settings=twilio.CarrierSettings(public_url="https://v.example", auth_token="t" * 32),
        answer_for=lambda facts: Declined("no-agent", detail="nobody is called so") if facts.agent == "x"
        else answer(facts),
        journals=journals, clock=LoopClock(asyncio.get_running_loop()), limits=Limits(**limits),
        token_secret=b"s" * 32, metrics=Metrics(), dial_options={}, dialler=never, screen=browser,
    )  # fmt: skip
    server = Server(None, lambda request: host.screens(request) or host.streams.upgrade(request))
    await server.start()
    journals.start()
    try:
        yield host, f"ws://127.0.0.1:{server.port}"
    finally:
        for call in list(host.calls.running.values()):
            call.abandon("test over")
        await server.stop()
        journals.stop()


async def told(url: str, peer: Peer) -> str:
    """Why a stream was not let in."""
    stream = TalkStream(peer)
    await stream.begin(url)
    return await stream.over


def test_a_ticket_is_good_for_one_call_to_its_own_agent_and_the_screen_reads_why_not(tmp_path):
    async def main() -> None:
        async with served(tmp_path, max_calls=1) as (host, base):
            talks = host.talks
            assert talks is not None
            url = base + "/some/prefix" + talks.path
            made, other = talks.ticket("night"), talks.ticket("x")
            assert "not ours" in await told(url, Peer(made.call, made.ticket, agent="day"))
            assert "not ours" in await told(url, Peer(other.call, made.ticket, agent="night"))
            assert "nobody is called so" in await told(url, Peer(other.call, other.ticket, agent="x"))
            stream = TalkStream(Peer(made.call, made.ticket, agent="night"))
            await stream.begin(url)
            while made.call not in host.calls.running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            facts = host.calls._facts[made.call]
            assert (facts.let_in, facts.verified, facts.caller_number) == (True, False, "")
            assert "already spent" in await told(url, Peer(made.call, made.ticket, agent="night"))
            late = talks.ticket()
            assert "full: max_calls" in await told(url, Peer(late.call, late.ticket))
            path = host.calls.running[made.call].journal.path
            stream.stop()
            assert await stream.over == ""
        record = read(path)
        assert record.begin["carrier"] == "browser" and record.begin["caller"] == "a screen"
        assert made.ticket not in path.read_text()

    run(main)


def test_a_listener_hears_the_call_as_it_goes_by_and_the_call_forgets_it(tmp_path):
    async def main() -> None:
        async with served(tmp_path) as (host, base):
            assert host.talks is not None
            made = host.talks.ticket()
            stream = TalkStream(Peer(made.call, made.ticket))
            await stream.begin(base + host.talks.path)
            while made.call not in host.calls.running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            call = host.calls.running[made.call]
            url = f"{base}/api/calls/{made.call}/listen"
            stranger = await listen(url, made.ticket)
            assert (await asyncio.wait_for(stranger.gone, 40))[0] == 1008 and call.recorder is None
            ears = [
                await listen(url, host.listening.ticket(made.call)),
                await listen(url, host.listening.ticket(made.call)),
            ]
            while not all(len(ear.texts) > 3 for ear in ears):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            heard = [json.loads(text) for text in ears[0].texts]
            assert {(one["event"], one["who"], len(one["audio"])) for one in heard} == {("media", "caller", 216)}
            for ear in ears:
                ear.socket.close(1000)
            while call.recorder is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            last = await listen(url, host.listening.ticket(made.call))
            while not last.texts:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            stream.stop()
            await stream.over
            assert (await asyncio.wait_for(last.gone, 40))[:2] == (1000, "the call is over")

    run(main)


def test_what_turns_out_to_be_private_is_taken_back_and_who_joins_then_is_told():
    class Silent:
        recorder, private, ended = None, False, None

        def record_by(self, recorder: Any) -> None:
            self.recorder = recorder

    class Somebody(list[dict[str, Any]]):
        def send(self, data: bytes) -> None:
            self.append(json.loads(data))

    def heard(ear: Somebody) -> list[Any]:
        return [one.get("audio", one["event"]) for one in ear]

    call, first, second = cast("Call", Silent()), Somebody(), Somebody()
    tap = Tap(call)
    tap.join(cast("listening.Ear", first))
    for n in range(100):  # two seconds; the key's sound is from 1.5 s on, the word of it comes at 2.0 s
        tap.caller(b"said" if n <= 75 else b"key", 160, n * 0.02)
    tap.clear(1.99)
    assert "clear" not in heard(first)
    tap.pause(2.0, 0.5)
    call.private = True
    tap.caller(b"key", 160, 2.02)
    Tap(call).join(cast("listening.Ear", second))
    assert heard(second) == ["private"] and second[0]["on"] is True
    tap.resume(7.0)
    for n in range(50):
        tap.caller(b"more", 160, 7.0 + n * 0.02)
    assert heard(first) == ["said"] * 76 + ["clear", "private", "private"] + ["more"] * heard(first).count("more")
    assert 10 < heard(first).count("more") < 20


class Hearing(Ear):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[bytes] = []
        self.gone: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def text(self, data: bytes) -> None:
        self.texts.append(data)

    def closed(self, code: Any, reason: str, by: Any) -> None:
        self.gone.set_result((code, reason, by))


async def listen(url: str, ticket: str) -> Hearing:
    ear = Hearing()
    socket = await client.dial(ConnectRequest(url=url, headers=()), ear)
    socket.send(json.dumps({"event": "start", "ticket": ticket}).encode())
    return ear

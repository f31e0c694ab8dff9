"""
What the API's tests share: a server of which everything is real but the provider and the port, asked over ASGI.

Its records and its store are files; a running call is one that a webhook made and whose provider never answers.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from tests.store.kit import agent, caller, note, record

from offhook import vocab as v
from offhook.api.access import SCOPES, Access
from offhook.api.app import make_api
from offhook.api.live import Hub
from offhook.api.world import World
from offhook.bridge import BridgeSettings
from offhook.cli.agent import AgentError, Asked, described
from offhook.cli.call import options_of
from offhook.cli.play import play
from offhook.cli.stored import projection
from offhook.evidence.files import PLAYGROUND
from offhook.evidence.journal import JournalDir
from offhook.evidence.numbers import NumberHash
from offhook.evidence.recording import StereoRecorder
from offhook.evidence.redact import Sieve
from offhook.media.lines import spoken_lines
from offhook.net.answerer import Answerer, always
from offhook.net.calls import Limits
from offhook.net.clock import LoopClock
from offhook.net.host import Host
from offhook.net.metrics import Metrics
from offhook.net.rest import RestResult
from offhook.settings import load
from offhook.store.database import default_url
from offhook.store.queries import Reader
from offhook.store.queue import QueueTable
from offhook.store.tokens import Tokens
from offhook.store.writer import Writer
from offhook.wires.carriers import browser, twilio
from offhook.wires.providers import loopback

__all__ = ["CALL", "Api", "api", "write_calls"]

CALL = "CA" + "1" * 32
RUNNING = "CA" + "2" * 32
SAID = "I live at 12 Elm Street"


def write_calls(directory: Path) -> None:
    """A healthy-looking call with words, a barge-in, a tool and a recording, and a second one that said nothing."""
    record(
        directory, CALL,
        note("milestone", 5.0, id="M6", what="stream started"),
        {"k": "msg", "t": 6.0, "ch": 0, "bytes": 9, "m": {"event": "start", "start": {"callSid": CALL}}},
        note("milestone", 10.0, id="M8", what="provider open"),
        caller("good morning", "i1", 900.0),
        note("reply", 1300.0, ms=400),
        agent("Good morning, how can I help you today?", "i2", 1400.0),
        note("tool", 2000.0, id="t1", name="book", args_ok=True),
        note("tool.done", 2300.0, id="t1", name="book", outcome="ok", ms=300, out_bytes=12, filler=False, retried=0),
        note("barge-in", 3000.0, item="i2", heard_ms=1000, proven_ms=900, sent_ms=2000, proven_by="marks"),
        note("deadline.missed", 3500.0, name="first mark", waited_ms=2000),
        caller(SAID, "i3", 4000.0),
        agent="clinic",
    )  # fmt: skip
    record(directory, "CA" + "3" * 32, agent="night")
    samples = bytes((0xFF, 0x80)) * 8000
    (directory / f"20261125T120000Z-{CALL}.wav").write_bytes(_wav(samples))


def _wav(data: bytes) -> bytes:
    shape = struct.pack("<IHHIIHHH", 18, 7, 2, 8000, 16000, 2, 8, 0)
    body = (
        b"WAVEfmt " + shape + b"fact" + struct.pack("<II", 4, len(data) // 2) + b"data" + struct.pack("<I", len(data))
    )
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


@functools.cache
def _template() -> Path:
    """The records and their store, made once: a store takes half a second to make."""
    directory = Path(tempfile.mkdtemp(prefix="offhook-api-")) / "calls"
    atexit.register(shutil.rmtree, directory.parent, ignore_errors=True)
    write_calls(directory)
    settings = load({"provider.name": "loopback"}, environment={}, cwd=directory.parent)
    writer = Writer(default_url(directory), directory, projection(settings))
    writer.round()
    writer.stop()
    return directory


class Line:
    """A WebSocket as a call uses it; whoever is at its other end takes everything, and says what a test lets it say."""

    buffered_bytes = 0

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.text: Callable[[bytes], None] = lambda data: None

    def hand_to(self, listener: Any) -> None:
        self.text = listener.text

    def hear(self, text: Callable[[bytes], None]) -> None:
        self.text = text

    def pen(self) -> None:
        """Nothing compiled writes here."""

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def send_both(self, first: bytes, second: bytes) -> None:
        self.sent += [first, second]

    def writer(self) -> Callable[[Any, bytes], None]:
        return lambda kind, data: self.send(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.text = lambda data: None


class Api:
    """One server and its clients."""

    def __init__(self, folder: Path, *, store: bool = True, audio: bool = False, **settings: Any) -> None:
        self.directory = folder / "calls"
        shutil.copytree(_template(), self.directory)
        if not store:
            (self.directory / "offhook.db").unlink()
        self.settings = load({"provider.name": "loopback", **settings}, environment={}, cwd=folder)
        self.sieve = Sieve("a-secret-of-ours")
        self.url = default_url(self.directory)
        self.tokens = Tokens(self.url)
        self.metrics = Metrics()
        self.hub = Hub(self.sieve.clean_data)
        self.access = Access(self.tokens.all if store else list)
        self.rest: list[Any] = []
        self.rest_answer = RestResult(True, 201, None, "", {"sid": "CA" + "4" * 32})
        self.checked: list[tuple[Sequence[str], bool, bool]] = []
        self._queue = QueueTable(self.url, NumberHash(b"key"), twilio.mask_number) if store else None
        self._reader = Reader(self.url) if store else None
        self._texts: dict[tuple[str, ...], str] = {}
        self.has_store, self.audio = store, audio
        self.unstored: list[Path] = []
        self.bucket: dict[str, bytes] = {}

    def begin(self) -> None:
        """On the loop."""
        session = loopback.SessionSettings(url="ws://127.0.0.1:9/v1/realtime")
        carrier = twilio.CarrierSettings(
            public_url="https://voice.example.com", auth_token="t" * 32, account_sid="AC" + "0" * 32
        )
        self.journals = JournalDir(self.directory)
        self.host = Host(
            carrier=twilio, carrier_settings=carrier,
            answer_for=always(
                Answerer(loopback, session, BridgeSettings(greeting="Hello.", records=self.audio), spoken_lines())
            ),
            journals=self.journals, clock=LoopClock(asyncio.get_running_loop()), limits=Limits(),
            token_secret=b"s" * 32, metrics=self.metrics, dial_options={}, observer=self.hub,
            dialler=self._never, send_rest=self._rest, screen=browser,
            recorder=self._recorder if self.audio else None,
        )  # fmt: skip
        self.world = World(
            host=self.host, hub=self.hub, access=self.access, metrics=self.metrics, directory=self.directory,
            settings=lambda: self.settings, reader=lambda: self._reader, clean=self.sieve.clean_data,
            unstored=lambda: self.unstored, fetch=self._fetch,
            public_url=lambda: "https://voice.example.com", detail=lambda: {"store": {"state": "ok"}, "agents": {}},
            numbers=self._numbers, point=self._point, restore=self._point, queue=lambda: self._queue, agent=self._agent,
            agents=lambda: {"agents": [], "routes": [], "default": None, "problems": []},
            options=lambda given: options_of(self.settings, **given), check=self._check, play=self._play,
            project=projection(self.settings), version="0.0.0", began_at=1, hosts=lambda: ("voice.example.com",),
            tokens=lambda: self.tokens if self.has_store else None,
        )  # fmt: skip
        self.app = make_api(self.world)

    def _recorder(self, record: Path, now: float) -> StereoRecorder:
        recorder = StereoRecorder(record.with_suffix(".wav"), now)
        self.journals.each_round(recorder.each_round)
        return recorder

    async def _play(self, row: str) -> Mapping[str, Any]:
        return await asyncio.to_thread(play, row, self.directory / PLAYGROUND)

    def _fetch(self, url: str, path: Path, most_bytes: int) -> None:
        if url not in self.bucket:
            raise LookupError("it does not answer")
        path.write_bytes(self.bucket[url][:most_bytes])

    async def _never(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()

    async def _rest(self, request: Any, **kwargs: Any) -> RestResult:
        self.rest.append(request)
        return self.rest_answer

    async def _numbers(self) -> Sequence[Mapping[str, Any]]:
        if self.has_store:
            return [{"number": "+15550100002", "points_at": "https://x", "here": False, "before": ""}]
        raise LookupError("the carrier's REST is not set up")

    async def _point(self, number: str) -> str:
        if number == "+15550100002":
            return f"{number} points at https://voice.example.com/twilio/voice now; before: nothing"
        raise LookupError(f"NUMBER: the account has no {twilio.mask_number(number)}")

    def _agent(self, name: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return described(self.settings, name, Asked(outbound=asked["outbound"], verified=asked["verified"]))
        except AgentError as error:
            raise LookupError(str(error)) from None

    async def _check(
        self, names: Sequence[str], live: bool, full: bool, told: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.checked.append((names, live, full))
        told({"kind": "step", "check": names[0], "name": "one", "state": "proven"})
        told({"kind": "outcome", "check": names[0], "boundary": names[0], "verdict": "proven", "sentence": "it works"})

    def ring(self, call: str = RUNNING, *, written: bool = True) -> str:
        """A call comes in; it runs until its stream is given up. ``written``: its first lines are on the disk."""
        asked = twilio.Webhook(
            call_sid=call, account_sid="AC", from_="+14155550100", to="+15550100002", direction="inbound",
            status="ringing", parameters={},
        )  # fmt: skip
        who = self.host.calls.answer_for(self.host.calls.facts(asked))
        self.host.calls.make(asked, who)
        if written:
            self.journals.flush()
        return call

    def connect(self, call: str = RUNNING) -> None:
        """The call that rings has its stream, and its provider's session is ready."""
        running, sid = self.host.calls.running[call], "MZ" + "3" * 32
        leg = twilio.Leg(self.host.carrier.settings)
        start = msgspec.json.encode({
            "event": "start", "sequenceNumber": "1", "streamSid": sid,
            "start": {"streamSid": sid, "callSid": call, "accountSid": "AC", "tracks": ["inbound"],
                      "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}},
        })  # fmt: skip
        running.feed(v.CallOffered())
        running.adopt_stream(leg, Line(), [(start, 0.0, leg.receive(start, 0.0))])
        provider = Line()
        running.provider_opened(provider)
        greeted = {"type": "realtime", "model": "receptionist"}
        running.provider.text(msgspec.json.encode({"type": "session.created", "session": greeted}))
        asked = msgspec.json.decode(provider.sent[0])["session"]
        running.provider.text(msgspec.json.encode({"type": "session.updated", "session": asked}))

    def token(self, *scopes: str) -> str:
        """A token with these scopes."""
        if scopes not in self._texts:
            self._texts[scopes] = self.tokens.make("test", scopes)[1]
            self.access.changed()
        return self._texts[scopes]

    def client(self, *scopes: str, **headers: str) -> httpx2.AsyncClient:
        """Somebody with a token of these scopes; with none, nobody."""
        if scopes:
            headers = {"authorization": f"Bearer {self.token(*scopes)}", **headers}
        transport = httpx2.ASGITransport(self.app, client=("203.0.113.9", 1))
        return httpx2.AsyncClient(transport=transport, base_url="https://voice.example.com", headers=headers)

    async def get(self, path: str, *scopes: str) -> Any:
        """An answer that has to be good."""
        async with self.client(*(scopes or tuple(SCOPES))) as client:
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            return answer.json()


@asynccontextmanager
async def api(folder: Path, **given: Any) -> AsyncIterator[Api]:
    """A server while it is asked."""
    made = Api(folder, **given)
    made.begin()
    yield made
    for call in list(made.host.calls.running.values()):
        call.abandon("the test is over")
    made.host.streams.give_up("the test is over")
    await made.app.stop()
    if made._queue is not None:
        made._queue.close()
    await made.host._errands.finish()
    made.journals.flush()

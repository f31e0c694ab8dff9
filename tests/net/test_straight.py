"""The straight way: the same messages, figures and ends as the ordinary one, whatever comes between."""

import base64
import json
import random

import pytest
from tests.net.kit import frame
from tests.net.polled import Line, Loop

from offhook import vocab as v
from offhook.bridge import Bridge, BridgeSettings
from offhook.evidence.journal import Journal
from offhook.evidence.lines import Scribe
from offhook.evidence.recording import StereoRecorder
from offhook.net.call import Call
from offhook.net.hot import hot, tape
from offhook.net.sockets import TEXT
from offhook.wires._wire import ConnectRequest
from offhook.wires.carriers import twilio
from offhook.wires.providers import openai

SID = "MZ" + "0" * 32
# "polled": compiled, and C reads the connections itself
STRAIGHT = ("python", "compiled", *(["polled"] * hasattr(hot, "Poll"))) if hot is not None else ("python",)
WAYS = ("ordinary", *STRAIGHT)


class Clock:
    def __init__(self):
        self.at = 100.0
        self.calls = []

    def now(self):
        return self.at

    def call_at(self, when, fn):
        handle = Handle(when, fn)
        self.calls.append(handle)
        return handle

    def advance(self, seconds):
        end = self.at + seconds
        while due := [h for h in self.calls if not h.cancelled and h.when <= end]:
            first = min(due, key=lambda h: h.when)
            self.calls.remove(first)
            self.at = max(self.at, first.when)
            first.fn()
        self.at = end


class Handle:
    def __init__(self, when, fn):
        self.when, self.fn, self.cancelled = when, fn, False

    def cancel(self):
        self.cancelled = True


class Shell:
    streams_up = 0

    def dial(self, call, attempt): ...
    def stop_dialling(self, call): ...
    def hang_up(self, call, why): ...
    def ended(self, call, end): ...
    def observe(self, call, happened, now): ...


class Wire:
    """A socket as a call uses it; ``on_write`` happens inside the next write."""

    def __init__(self):
        self.sent = []
        self.text = None
        self.way = None  # the compiled one, where there is
        self.unread = 0  # messages that only the compiled way saw
        self.listener = None
        self.compiled = False
        self.closed = None
        self.on_write = None

    def hand_to(self, listener):
        self.listener, self.text = listener, listener.text

    def pen(self):
        return hot.Pen(self.send) if self.compiled else None

    def attach(self, way, *, downwards=False):
        self.way = way and (way.down if downwards else way.up)

    def hears(self, data):
        if self.way is not None and self.way(data):
            self.unread += 1
        else:
            self.text(data)

    def hear(self, text):
        self.text = text

    def send(self, data):
        self.sent.append(data)
        self._happens()

    def _happens(self):
        happens, self.on_write = self.on_write, None
        if happens:
            happens()

    def writer(self):
        def write(kind, data):
            assert kind is TEXT
            self.send(data)

        return write

    def send_both(self, first, second):
        self.send(first)
        self.send(second)

    def close(self, code, reason):
        self.closed = self.closed or code


class Polled(Wire):
    """The same on a real connection; what the peer gets is read where a test asks for it."""

    def __init__(self, loop, *, masked):
        self._got, self._pen = [], None
        super().__init__()
        self._n = 0
        self.line = Line(loop, masked=masked, text=self._told)

    @property
    def sent(self):
        self._got += self.line.read_by_peer() if hasattr(self, "line") else []
        return self._got

    @sent.setter
    def sent(self, value):
        assert not value

    def _told(self, data):
        self.unread -= 1
        self.text(data)

    def pen(self):
        self._pen = hot.Pen(self._write, self._waiting, self.line.here.fileno(), not self.line.masked)
        return self._pen

    @property
    def on_write(self):
        return self._on_write

    @on_write.setter
    def on_write(self, happens):
        self._on_write = happens
        if self._pen is not None:
            self._pen.beside()  # so that the transport is asked inside the next write

    def _waiting(self):
        """The transport is asked inside a write."""
        self._happens()
        return 0

    def _write(self, data):
        """The transport's, for what the kernel does not take: the test reads, and it does."""
        assert self.sent is not None
        self.line.here.sendall(data)

    def attach(self, way, *, downwards=False):
        if way is None:
            self.line.ear.attach(None)
        else:
            assert self.line.attach(way, downwards)

    def hears(self, data):
        self.unread += 1
        self.line.say(data)
        self.line.turn()

    def send(self, data):
        if self._pen is not None:
            self._pen.beside()
        self._write(frame(1, data, mask=not self.line.masked))
        self._happens()


class World:
    """One call between two wires, whose frames go one of WAYS."""

    def __init__(self, tmp_path, *, way="python", recorder=None):
        self.clock = Clock()
        self.way = way
        if way == "polled":
            loop = Loop()
            self.carrier, self.provider = Polled(loop, masked=True), Polled(loop, masked=False)
        else:
            self.carrier, self.provider = Wire(), Wire()
        self.carrier.compiled = self.provider.compiled = way == "compiled"
        self.leg = twilio.Leg(twilio.CarrierSettings(public_url="https://a.example"))
        settings = openai.SessionSettings(model="gpt-realtime", voice="marin", instructions="Be brief.", api_key="sk-x")
        carrier = twilio.traits(twilio.CarrierSettings(public_url="https://a.example"))
        self.call = Call(
            "c1",
            shell=Shell(),
            clock=self.clock,
            bridge=Bridge(BridgeSettings(), openai.traits(settings), carrier, {}),
            provider_leg=openai.Leg(settings),
            connect_request=ConnectRequest("wss://p.example", ()),
            journal=Journal("c1", tmp_path / "c1", self.clock.at, Scribe(self.clock.at, {}), {}),
            recorder=recorder,
        )
        self.call.feed(v.CallOffered())
        self.sequence, self.chunk = 2, 0
        start = json.dumps(
            {
                "event": "start", "sequenceNumber": "1", "streamSid": SID,
                "start": {"streamSid": SID, "callSid": "CA1", "accountSid": "AC1", "tracks": ["inbound"],
                          "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}},
            }
        ).encode()  # fmt: skip
        self.call.adopt_stream(self.leg, self.carrier, [(start, self.clock.at, self.leg.receive(start, self.clock.at))])
        self.call.provider_opened(self.provider)
        self.tell(type="session.created", event_id="e", session={})
        asked = openai.session_object(settings)
        self.tell(type="session.updated", event_id="e", session={**asked, "model": "gpt-realtime"})

    def tell(self, **message):
        """The provider says something."""
        self.tell_bytes(json.dumps(message).encode())

    def tell_bytes(self, data):
        if self.way in ("compiled", "polled") and self.provider.text is not None:
            self.provider.hears(data)
        else:
            self.call.provider.text(data)

    def say(self, data):
        """The carrier says something."""
        (self.call.from_carrier if self.way == "ordinary" else self.carrier.hears)(data)

    def message(self, event, body=None, sid=SID):
        data = {"event": event, "sequenceNumber": str(self.sequence), "streamSid": sid}
        self.sequence += 1
        self.say(json.dumps({**data, **({event: body} if body is not None else {})}, separators=(",", ":")).encode())

    def frame(self, audio=b"\x21" * 160, track="inbound", **more):
        self.chunk += 1
        payload = base64.b64encode(audio).decode()
        body = {"track": track, "chunk": str(self.chunk), "timestamp": str(self.chunk * 20), "payload": payload}
        self.message("media", {**body, **more})

    def frames(self, n):
        for _ in range(n):
            self.clock.advance(0.02)
            self.frame()

    def agent(self, n_bytes, item="i1", response="r1"):
        delta = base64.b64encode(b"\x35" * n_bytes).decode()
        self.tell(type="response.output_audio.delta", event_id="e", response_id=response, item_id=item,
                  output_index=0, content_index=0, delta=delta)  # fmt: skip

    @property
    def goes_straight(self):
        return self.carrier.text != self.call.from_carrier

    def figures(self):
        """Everything that either way counts."""
        self.call.abandon("test over")
        counters = self.call.journal.counters()
        frames = [channel[:2] for channel in counters["channels"]]
        return self.call.bridge.summary(), self.leg.counters(), frames, counters["gap_max_ms"], counters["marks"]


@pytest.mark.parametrize("way", STRAIGHT)
def test_frames_like_those_before_go_straight_and_are_counted(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(40)
    assert world.goes_straight
    appended = [json.loads(data) for data in world.provider.sent if b"append" in data]
    assert len(appended) == 40
    assert {message["audio"] for message in appended} == {base64.b64encode(b"\x21" * 160).decode()}
    summary, leg, frames, gap_ms, _ = world.figures()
    assert summary["frames_from_carrier"] == 40 and summary["appended_bytes"] == 6400
    assert leg["frames"] == 40 and leg["lost"] == 0
    assert frames[0] == frames[3] == [40, 6400]
    assert gap_ms == 20


@pytest.mark.parametrize("way", STRAIGHT)
def test_the_meter_looks_at_every_fifth_frame_whatever_comes_between(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(12)
    before = world.call.journal.meters[0].snapshot()["measured"]
    for _ in range(25):  # four frames, then something else: a look must not be put off for ever
        world.frames(4)
        world.message("dtmf", {"digit": "1", "track": "inbound_track"})
    assert world.call.journal.meters[0].snapshot()["measured"] - before == 20


@pytest.mark.parametrize("way", STRAIGHT)
def test_a_gap_is_measured_on_the_straight_way(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(30)
    world.clock.advance(0.2)
    world.frame()
    world.frames(30)
    assert world.figures()[3] == 200


@pytest.mark.parametrize(
    "odd",
    [
        lambda w: w.frame(audio=b"\x21" * 80),
        lambda w: w.frame(audio=b"\x21" * 161),
        lambda w: w.frame(track="outbound"),
        lambda w: w.frame(payload="!" * 214 + "=="),
        lambda w: w.frame(payload='"' + "A" * 213 + "=="),
        lambda w: w.message("media", {"track": "inbound", "payload": "AAAA"}, sid="MZ" + "1" * 32),
        lambda w: setattr(w, "sequence", w.sequence + 3),
        lambda w: setattr(w, "sequence", w.sequence - 3),
        lambda w: setattr(w, "sequence", 2**64 - 20),
        lambda w: setattr(w, "sequence", 10**25),
        lambda w: [setattr(w, "sequence", -40), w.frames(13)],
        lambda w: w.say(b"{"),
        lambda w: w.say(b'{"event":"media"}'),
        lambda w: w.message("mark", {"name": "unheard of"}),
        lambda w: w.message("dtmf", {"digit": "5"}),
        lambda w: w.agent(800),
        lambda w: w.tell(type="input_audio_buffer.speech_started", event_id="e", audio_start_ms=300, item_id="u1"),
        lambda w: w.message("stop", {}),
    ],
)  # fmt: skip
def test_what_is_not_usual_is_read_as_on_the_ordinary_way(tmp_path, odd):
    told = []
    for way in WAYS:
        world = World(tmp_path, way=way)
        world.frames(33)
        odd(world)
        world.frames(33)
        told.append((world.provider.sent, world.carrier.sent, [str(x) for x in world.leg.violations], world.figures()))
    assert all(other == told[0] for other in told)


class Talk:
    """A wild call, the same each time for one ``seed``: what happens next is thrown with dice."""

    def __init__(self, world, seed):
        self.world = world
        self.chance = random.Random(seed)
        self.responses = 0
        self.marks = []  # names of marks that have not come back
        self.seen = 0
        self.happens = (
            [self.frame] * 120 + [self.agent] * 40 + [self.mark] * 16 + [self.interrupt, self.response, self.words]
            + [self.aside, self.aside_that_is_torn]
            + [self.odd_frame, self.jump, self.pause, self.resume, self.resume, self.key]
        )  # fmt: skip

    def go_on(self, steps):
        for _ in range(steps):
            self.world.clock.advance(self.chance.choice((0.0, 0.02, 0.02, 0.02, 0.04)))
            if self.world.call.ended is None:
                self.chance.choice(self.happens)()

    def frame(self):
        self.world.frame(audio=bytes([self.chance.randrange(256)]) * 160)

    def odd_frame(self):
        self.world.frame(audio=b"\x21" * self.chance.randrange(1, 400))

    def jump(self):
        self.world.sequence += self.chance.randrange(-2, 4)

    def agent(self):
        item = f"i{self.responses}"
        self.world.agent(self.chance.choice((160, 800, 800, 800, 800, 1600)), item, f"r{self.responses}")

    def words(self):
        self.world.tell(type="response.output_audio_transcript.delta", event_id="e", response_id=f"r{self.responses}",
                        item_id=f"i{self.responses}", output_index=0, content_index=0, delta="So ")  # fmt: skip

    def aside(self):
        part = {"type": "audio", "transcript": ""}
        self.world.tell(type=self.chance.choice(("response.content_part.added", "response.output_item.added",
                        "rate_limits.updated", "response.content_part.addad")), event_id="e", part=part)  # fmt: skip

    def aside_that_is_torn(self):
        self.world.tell_bytes(b'{"type":"rate_limits.updated","rate_limits":[{"name":')

    def mark(self):
        new = [json.loads(data) for data in self.world.carrier.sent[self.seen :] if b'"mark"' in data]
        self.seen = len(self.world.carrier.sent)
        self.marks += [message["mark"]["name"] for message in new]
        name = self.marks.pop(0) if self.marks and self.chance.random() < 0.95 else "m7"
        self.world.message("mark", {"name": name})

    def pause(self):
        self.world.call.feed(v.WritePaused(leg=self.chance.choice(list(v.Leg)), buffered_bytes=1))

    def resume(self):
        for leg in v.Leg:
            self.world.call.feed(v.WriteResumed(leg=leg))

    def response(self):
        done = {"id": f"r{self.responses}", "status": "completed"}
        self.world.tell(type="response.done", event_id="e", response=done)
        self.responses += 1
        self.world.tell(type="response.created", event_id="e", response={"id": f"r{self.responses}"})

    def interrupt(self):
        self.world.tell(type="input_audio_buffer.speech_started", event_id="e", audio_start_ms=300, item_id="u1")
        self.world.tell(type="input_audio_buffer.speech_stopped", event_id="e", audio_end_ms=900, item_id="u1")

    def key(self):
        self.world.message("dtmf", {"digit": "5", "track": "inbound_track"})


@pytest.mark.parametrize("seed", range(6))
def test_all_ways_tell_the_same_of_a_long_and_wild_call(tmp_path, seed):
    told, measured = {}, {}
    for way in WAYS:
        world = World(tmp_path, way=way)
        world.tell(type="response.created", event_id="e", response={"id": "r0"})
        Talk(world, seed).go_on(2500)
        told[way] = {"figures": world.figures(), "to provider": world.provider.sent, "to carrier": world.carrier.sent}
        record = world.call.journal.take()
        measured[way] = [entry for entry in record if entry[0] in ("counters", "end")]
        told[way]["record"] = [entry for entry in record if entry not in measured[way]]
    for way in STRAIGHT:
        for what, expected in told["ordinary"].items():
            assert told[way][what] == expected, (way, what)
        assert measured[way] == measured["python"]  # the ordinary way looks at other frames
    assert len(told["ordinary"]["to provider"]) > 300
    if hot is not None:
        assert world.carrier.unread > 500 and world.provider.unread > 30


@pytest.mark.parametrize("way", STRAIGHT)
def test_while_the_provider_does_not_read_frames_are_dropped_by_name(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(20)
    # the write of this frame fills the socket: the pause is told inside it
    world.provider.on_write = lambda: world.call.provider.paused(1)
    world.frames(1)
    assert not world.goes_straight
    sent = len(world.provider.sent)
    world.frames(5)
    assert len(world.provider.sent) == sent
    world.call.provider.resumed()
    assert world.goes_straight
    world.frames(1)
    assert len(world.provider.sent) == sent + 1
    summary = world.figures()[0]
    assert summary["counts"]["uplink_dropped_bytes"] == 800
    assert summary["appended_bytes"] == 22 * 160


@pytest.mark.parametrize("way", STRAIGHT)
def test_without_a_provider_socket_nothing_goes_straight(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(20)
    world.call.provider.closed(1006, "", "nobody")
    assert not world.goes_straight
    sent = len(world.provider.sent)
    world.frames(3)
    assert len(world.provider.sent) == sent


@pytest.mark.parametrize("way", STRAIGHT)
def test_a_defect_on_the_straight_way_ends_the_call_by_name(tmp_path, way):
    def break_down():
        raise RuntimeError

    world = World(tmp_path, way=way)
    world.frames(20)
    world.provider.on_write = break_down
    world.frame()
    assert world.call.ended == v.EndCall(wanted=False, why="defect: RuntimeError in break_down")
    assert world.carrier.closed == 1011
    assert world.call.bridge.summary()["frames_from_carrier"] == 21


@pytest.mark.parametrize("way", STRAIGHT)
def test_a_recorder_hears_what_goes_straight(tmp_path, way):
    heard = []

    class Tape:
        def caller(self, payload, n_bytes, now):
            heard.append((n_bytes, round(now, 3)))

        def agent(self, payload, n_bytes, now): ...

        def close(self, now): ...

    world = World(tmp_path, way=way, recorder=Tape())
    world.frames(30)
    assert heard == [(160, round(100 + 0.02 * n, 3)) for n in range(1, 31)]


def test_a_recording_is_the_same_by_every_way(tmp_path):
    for way in WAYS:
        recorder = StereoRecorder(tmp_path / f"{way}.wav", 100.0, tape=tape(way == "compiled"))
        world, rolled = World(tmp_path, way=way, recorder=recorder), random.Random(2)
        world.tell(type="response.created", event_id="e", response={"id": "r1"})
        for n in range(200):
            world.clock.advance(0.02)
            world.frame(rolled.randbytes(160))
            if n > 20 and n % 5 == 0:
                world.agent(800)
            if n == 120:
                world.tell(type="input_audio_buffer.speech_started", event_id="e", audio_start_ms=300, item_id="u1")
        world.call.abandon("test over")
        assert recorder.flush() is False
        if way == "compiled":
            assert world.carrier.unread > 150 and world.provider.unread > 15
    files = [(tmp_path / f"{way}.wav").read_bytes() for way in WAYS]
    assert len(files[0]) > 60_000 and files.count(files[0]) == len(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_the_audio_that_broke_a_call_is_on_record(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(20)
    before = len(world.call.journal.take())

    def broken():
        raise RuntimeError("a defect")

    world.provider.on_write = broken
    world.frame(audio=b"\x42" * 160)
    taken = world.call.journal.take()
    assert before and world.call.ended is not None
    kept = [entry[3] for entry in taken if entry[0] == "msg" and entry[2] == 0]
    assert any(base64.b64encode(b"\x42" * 160) in data for data in kept)


@pytest.mark.parametrize("way", STRAIGHT)
def test_audio_that_no_carrier_plays_ends_the_call_by_name_and_not_by_a_defect(tmp_path, way):
    world = World(tmp_path, way=way)
    world.frames(20)
    world.tell(type="response.created", event_id="e", response={"id": "r1"})
    wav = base64.b64encode(b"RIFF" + bytes(796)).decode()
    world.tell(type="response.output_audio.delta", event_id="e", response_id="r1", item_id="i1", output_index=0,
               content_index=0, delta=wav)  # fmt: skip
    taken = world.call.journal.take()
    assert [entry[2]["code"] for entry in taken if entry[0] == "note" and entry[2]["note"] == "provider.error"] == [
        "unplayable_audio"
    ]
    assert any(entry[0] == "violation" and entry[2]["got"] == "a file header" for entry in taken)
    assert world.call.ended is None or "defect" not in world.call.ended.why
    assert not any(b"UklGR" in data for data in world.carrier.sent)


@pytest.mark.skipif(hot is None, reason="no compiled part")
def test_a_timer_whose_deadline_was_met_settles_nothing(tmp_path):
    world = World(tmp_path, way="compiled")
    world.frames(60)
    call, deadlines = world.call, world.call.bridge.deadlines
    deadlines.set("tool", world.clock.at + 0.5, lambda at: None)
    call.so_far()  # settles, and sets the timer
    assert [round(handle.when - world.clock.at, 2) for handle in world.clock.calls if not handle.cancelled] == [0.5]
    deadlines.met("tool")
    world.frames(60)
    assert call.journal.unsettled()[0] == 60

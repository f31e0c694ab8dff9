"""A scripted session with a simulated provider in virtual time, as our own leg sees it."""

import base64

from msgspec import Struct, structs

from offhook import vocab as v
from offhook.sims.provider import Answer, SimProvider, tone
from offhook.wires._wire import PeerClose, Violation
from offhook.wires.providers import loopback, openai, xai

WIRES = {"openai": openai, "xai": xai, "loopback": loopback}
KEYS = {"openai": "sk-test-000000", "xai": "xai-test-000000", "loopback": ""}
VOICES = {"openai": "cedar", "xai": "ara", "loopback": "slt"}
TOOL = v.ToolSpec("hang_up", "ends the call", {"type": "object", "properties": {}})
QUIET = b"\xff\x7f" * 80
SCRIPT = (Answer(tone(6000), "A long answer."), Answer(tone(600), "Goodbye.", tool="hang_up"))


class Heard(Struct):
    """What came of one session."""

    acts: list[tuple[float, object]]
    events: list[tuple[float, v.Event]]
    violations: list[Violation]
    sim: SimProvider

    def of(self, kind: type) -> list:
        return [event for _, event in self.events if isinstance(event, kind)]

    @property
    def close(self) -> PeerClose | None:
        return next((act for _, act in self.acts if isinstance(act, PeerClose)), None)

    @property
    def audio(self) -> bytes:
        return b"".join(base64.b64decode(event.payload) for event in self.of(v.AgentAudio))


class Session:
    """One session, frame by frame; ``now`` is the only clock."""

    def __init__(self, name: str, *faults: str, **knobs) -> None:
        module = WIRES[name]
        settings = module.SessionSettings(
            api_key=KEYS[name], voice=VOICES[name], tools=(TOOL,), instructions="Be kind."
        )
        self.name, self.now = name, 0.0
        self.leg = module.Leg(settings)
        self.request = module.connect_request(settings)
        self.sim = SimProvider(
            name, faults=faults, **{"script": SCRIPT, "greeting": Answer(tone(400), "Hello."), **knobs}
        )
        self.acts: list[tuple[float, object]] = []
        self.events: list[tuple[float, v.Event]] = []

    def open(self, path: str | None = None) -> None:
        path = path or "/v1/realtime?" + self.request.url.partition("?")[2]
        refusal = self.sim.upgrade(path, dict(self.request.headers))
        assert refusal is None, refusal
        self._take(self.sim.opened(self.now))

    def send(self, command: v.Command) -> None:
        for data in self.leg.send(command):
            self.raw(data)

    def raw(self, data: bytes) -> None:
        self._take(self.sim.receive(data, self.now))

    def pass_s(self, seconds: float) -> None:
        """Time goes by, without audio."""
        until = self.now + seconds
        while (due := self.sim.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self._take(self.sim.tick(self.now))
        self.now = until

    def say(self, ms: int, level_dbfs: float = -12, quiet_ms: int = 800) -> None:
        """The caller speaks, and then is quiet."""
        audio = tone(ms, 440, level_dbfs) + QUIET * (quiet_ms // 20)
        for at in range(0, len(audio), 160):
            self.pass_s(0.02)
            self.send(v.AppendAudio(base64.b64encode(audio[at : at + 160]), 160))

    def _take(self, acts: list) -> None:
        for act in acts:
            self.acts.append((self.now, act))
            if isinstance(act, bytes):
                self.events.append((self.now, self.leg.receive(act, self.now)))

    def heard(self) -> Heard:
        return Heard(self.acts, self.events, list(self.leg.violations), self.sim)


def played(name: str, *faults: str, **knobs) -> Heard:
    """A greeting, a turn whose answer the caller breaks into, and a turn whose answer calls a tool."""
    session = Session(name, *faults, **knobs)
    session.open()
    session.pass_s(0.1)
    session.send(v.ConfigureSession())
    session.pass_s(0.1)
    session.send(v.Greet("Hello."))
    session.pass_s(1.0)
    session.say(400)
    session.say(300, quiet_ms=100)  # into the answer
    session.say(20, level_dbfs=-80, quiet_ms=800)
    session.pass_s(12.0)
    return session.heard()


def shape(heard: Heard) -> list:
    """What tells one session from another: what came, when, in which words."""
    return [(round(at, 3), structs.asdict(act) if isinstance(act, Struct) else act) for at, act in heard.acts]

"""
Yesterday's call against today's code: the real host, call, bridge and legs in virtual time, between a carrier and a
provider that do what they did then.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.diagnosis.report import Report, report
from offhook.evidence.files import read as read_file
from offhook.evidence.record import Recording
from offhook.replay import compare, sound
from offhook.replay.compare import Difference, Latencies
from offhook.replay.cues import Session
from offhook.replay.player import Player
from offhook.replay.tape import Tape, TapeError
from offhook.replay.tape import read as read_tape
from offhook.sims.run_world import TOKEN, OurServer
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_provider import USUAL_S, Net, ProviderHost

__all__ = ["Outcome", "Setup", "replay"]

HOSTS = {"openai": "api.openai.com", "xai": "api.x.ai", "loopback": "loopback"}
_OURS = ("bridge", "replay")
AFTERWARDS_S = 1.0
SETTLE_S = 30.0  # after the recorded length: whoever does not end by then does not end
# Settings of the bridge by the names that a record has.
_BRIDGE = {
    "failure.policy": "on_failure", "limits.max_call_s": "max_call_s", "limits.idle_s": "idle_s",
    "limits.stream_timeout_s": "stream_s", "record.digits": "note_digits",
}  # fmt: skip


class Setup(Struct, frozen=True):
    """What our side is started with; what is not given is as the record has it, or the default of today."""

    greeting: str | None = None
    instructions: str | None = None
    session: Mapping[str, Any] = {}
    bridge: Mapping[str, Any] = {}


class Outcome(Struct, frozen=True):
    """The two calls side by side."""

    was: Report
    now: Report
    differences: list[Difference]
    latencies: Latencies
    said: list[str]  # what was put in the place of what the record does not have

    @property
    def passed(self) -> bool:
        """Healthy now; and where it was healthy then, with the same messages and no slower."""
        if self.now.verdict != "healthy":
            return False
        return self.was.verdict != "healthy" or not (self.differences or self.latencies.worse)

    @property
    def why(self) -> str:
        """Why it passed or failed, in a sentence."""
        if self.now.verdict != "healthy":
            if [found.rule for found in self.was.roots] == [found.rule for found in self.now.roots] and self.was.roots:
                return f"the same fault as then: {self.now.roots[0].rule}"
            return f"today's code does not get through this call: {self.now.line}"
        if self.was.verdict != "healthy":
            return f"the call that was {self.was.verdict} then is healthy now"
        if self.differences:
            return f"healthy, but not as it was: {self.differences[0]}"
        if self.latencies.worse:
            return f"healthy, but slower: {self.latencies.now} ms, was {self.latencies.was} ms"
        return "healthy as it was, message by message"

    def __str__(self) -> str:
        return text(self)


def text(outcome: Outcome) -> str:
    """Both calls side by side, for people."""
    was, now = outcome.was, outcome.now
    rows: list[tuple[str, str, str]] = [("verdict", was.verdict, now.verdict)]
    rows += [("finding", before, after) for before, after in zip_longest(
        [found.rule for found in was.roots], [found.rule for found in now.roots], fillvalue="-")]  # fmt: skip
    rows.append(("agent heard", _heard(was.call), _heard(now.call)))
    before, after = (", ".join(map(str, ms)) or "-" for ms in (outcome.latencies.was, outcome.latencies.now))
    rows.append(("replies, ms", before, after))
    width = max(24, *(len(before) + 2 for _, before, _ in rows))
    how = "in virtual time" if now.call.begin.get("source") == "replay" else "in real time"
    lines = [f"replay   {was.call.begin.get('call')}, {now.call.last_ms / 1000:.1f} s {how}"]
    lines += [f"         {said}" for said in outcome.said]
    lines += ["", f"{'':13}{'then':<{width}}now"]
    lines += [f"{name:<13}{before:<{width}}{after}" for name, before, after in rows]
    lines += ["", *(f"differs  {difference}" for difference in outcome.differences)]
    lines.append(f"{'passed' if outcome.passed else 'failed'}: {outcome.why}")
    return "\n".join(lines)


def _heard(call: Recording) -> str:
    """How much of the agent reached the caller's ear, where the bridge has said it."""
    if "played_bytes" not in (call.end or {}):
        return "-"
    unheard = sum(max(0.0, float(row.get("ms") or 0) - float(row.get("heard_ms") or 0)) for row in call.rows("items"))
    return f"{max(0.0, call.figure('played_bytes') / 8 - unheard) / 1000:.1f} s"


def replay(record: Path, setup: Setup | None = None) -> Outcome:
    """Raises RecordingError and TapeError."""
    return replay_recording(read_file(record), setup, record)


def replay_recording(was: Recording, setup: Setup | None = None, record: Path | None = None) -> Outcome:
    """The same of a recording in memory; ``record`` is where a WAV file might be."""
    tape = read_tape(was)
    track = sound.caller(tape, sound.wav_of(record, tape) if record is not None else None)
    sound.tell_agent(tape)
    before = report(was)
    if tape.ends is None and before.verdict != "healthy":
        tape.said.append(
            f"our side ended it {tape.length_s:.1f} s into the stream; whoever gets further is alone there"
        )
    now = _play(tape, track, _settings(was, tape, setup or Setup()))
    if tape.source not in _OURS:
        tape.said.append(f"recorded of another program (source {tape.source}): its messages are not ours to compare")
        return Outcome(before, report(now), [], Latencies([], compare.latencies(was, now).now), tape.said)
    return Outcome(before, report(now), compare.differences(was, now), compare.latencies(was, now), tape.said)


def _settings(was: Recording, tape: Tape, setup: Setup) -> dict[str, Any]:
    """The server's settings: the record's, where it names them."""
    table = was.boot.get("settings")
    given = {name: entry.get("value") for name, entry in table.items() if isinstance(entry, dict)} if isinstance(
        table, dict) else {}  # fmt: skip
    session = {name: was.boot[name] for name in ("model", "voice") if isinstance(was.boot.get(name), str)}
    instructions = setup.instructions if setup.instructions is not None else tape.instructions
    if instructions is not None:
        session["instructions"] = instructions
    bridge = {ours: _converted(given[name]) for name, ours in _BRIDGE.items() if name in given}
    greeting = setup.greeting if setup.greeting is not None else given.get("agent.greeting")
    return {
        "session": {**session, **setup.session}, "bridge": {**bridge, **setup.bridge},
        "greeting": str(greeting) if greeting else None,
        "with_rest": any(was.notes("rest.hang-up")),
    }  # fmt: skip


def _converted(value: Any) -> Any:
    """A setting as the record shows it, as text."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    try:
        return float(value)
    except ValueError:
        return value


class _Host(ProviderHost):
    """The provider of the record: each dial is the next of its sessions."""

    def __init__(self, tape: Tape) -> None:
        first = tape.sessions[0]
        fails = first.failed if first.failed is not None and first.status is None else None
        slow = {name: ms / 1000 - USUAL_S[name] for name, ms in first.phases_ms.items() if name in USUAL_S}
        super().__init__(tape.provider, slow_s=slow, fails=fails, make=self._player)
        self.players: list[Player] = []
        self.stream_at: float | None = None
        self._tape = tape

    def _player(self, n: int) -> Player:
        sessions = self._tape.sessions
        session = sessions[n - 1] if n <= len(sessions) else Session(0.0, [], {})
        player = Player(session, sound.silence if self._tape.agent_silence else sound.answer)
        if self.stream_at is not None:
            player.start_stream(self.stream_at)
        self.players.append(player)
        return player

    def start(self, now: float) -> None:
        self.stream_at = now
        for player in self.players:
            player.start_stream(now)


def _play(tape: Tape, track: bytes, settings: dict[str, Any]) -> Recording:
    with World() as world:
        host = _Host(tape)
        server = OurServer(world, Net(world, {HOSTS[tape.provider]: host}), tape.provider, rest=tape.rest, **settings)
        line = Line(
            world, server, auth_token=TOKEN, start_delay_s=tape.start_delay_s, returns_marks=tape.returns_marks,
            quiet=sound.SILENCE * 160 if tape.digital_silence else sound.QUIET * 20,
        )  # fmt: skip
        server.lines[line.call_sid] = line
        line.then(0.0, lambda: (host.start(world.now()), line.say(track))[0])
        for at in tape.keys_at:
            line.then(at, lambda: line.press("#"))
        if tape.ends is not None:
            how, at = tape.ends
            line.then(at, line.hang_up if how == "hang-up" else line.drop)
        else:  # it was ours to end: whoever gets further than the record goes finds nobody there
            line.then(tape.length_s + AFTERWARDS_S, line.hang_up)
        if tape.stream_ms is None:
            world.after(tape.length_s, line.hang_up)
        line.begin()
        world.run_until(lambda: line.over, tape.length_s + SETTLE_S)
        if not line.over:  # it was ours to end, and we do not
            line.hang_up()
        world.run(8.0)
        made = server.recordings()
    if not made:
        raise TapeError("the call did not come about: our server wrote no record")
    return _named(made[0], tape)


def _named(recording: Recording, tape: Tape) -> Recording:
    first = recording.lines[0]
    first.data.update(
        source="replay", of=tape.call, began=tape.began, sees=["webhook", "carrier", "provider", "bridge"]
    )
    return recording

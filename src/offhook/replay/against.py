"""
A recorded call against somebody's server, in real time: started for it, between a carrier and a provider that do what
they did then, and watched from both sides as the tap watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from offhook.diagnosis.report import report
from offhook.dial.foreign import Foreign, ForeignError, fake_environment
from offhook.evidence.files import find
from offhook.evidence.files import read as read_file
from offhook.evidence.journal import JournalDir
from offhook.evidence.record import Recording
from offhook.net.clock import LoopClock
from offhook.replay import compare, sound
from offhook.replay.cues import Session
from offhook.replay.play import AFTERWARDS_S, Outcome
from offhook.replay.player import Player
from offhook.replay.tape import Tape, TapeError
from offhook.replay.tape import read as read_tape
from offhook.sims.run_carrier import CallFailed, PhoneCall
from offhook.sims.run_provider import FakeProvider
from offhook.tap.calls import CallBook
from offhook.tap.conversation import Conversation
from offhook.tap.legs import CarrierSide, Place, ProviderSide
from offhook.tap.pipe import Tapped, Upstream

__all__ = ["replay_against"]

PUBLIC = "https://replay.example.net"  # never looked up: the simulated carrier knows the way
# Slower than life a server's own clock would be ahead of what the phone has played; above that this machine's timers
# decide, and not the server.
SPEEDS = (1.0, 20.0)
SEES = ("webhook", "carrier", "provider")


def replay_against(
    record: Path, command: str, *, path: str = "", stream: bool = False, token: str = "", speed: float = 1.0
) -> Outcome:
    """
    Play ``record`` at the server that ``command`` starts ({port} stands for its port).

    ``path`` is that of its webhook, or with ``stream`` that of its media stream; the record's own where it has one.
    ``speed``: carrier and provider play so many times as fast; the server's own timers do not, and look as much slower.
    Raises RecordingError, TapeError and ForeignError.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise TapeError(f"--speed {speed:g}: wanted {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    was = read_file(record)
    tape = read_tape(was)
    track = sound.caller(tape, sound.wav_of(record, tape))
    sound.tell_agent(tape)
    found = path or _path(was, "upgrade" if stream else "webhook")
    if not found:
        raise TapeError("the record has no webhook of this server: give its path with --path, or --stream and --path")
    now = asyncio.run(_Against(tape, track, command, found, stream, token, speed).run())
    if speed != 1.0:
        tape.said.append(
            f"played at {speed:g} times the speed: times are the call's; the server's own timers look slower by as much"
        )
    if tape.source not in ("tap", "dial"):
        tape.said.append(f"recorded by the {tape.source} itself, seen from outside now: the verdicts rest on less")
    return Outcome(report(was), report(now), compare.differences(was, now), compare.Latencies([], []), tape.said)


def _path(was: Recording, note: str) -> str:
    return next((line.text("path") for line in was.notes(note)), "")


class _Against:
    """One run."""

    def __init__(
        self, tape: Tape, track: bytes, command: str, path: str, stream: bool, token: str, speed: float
    ) -> None:
        self._tape, self._track, self._command = tape, track, command
        self._path, self._stream, self._token, self._speed = path, stream, token, speed
        self._players: list[Player] = []
        self._stream_at: float | None = None

    async def run(self) -> Recording:
        tape = self._tape
        with tempfile.TemporaryDirectory(prefix="offhook-replay-") as folder:
            journals = JournalDir(Path(folder))
            loop = asyncio.get_running_loop()
            clock = self._clock = LoopClock(loop, self._speed)
            book = CallBook(journals, clock.now, lambda s, fn: loop.call_later(s / self._speed, fn), SEES)
            fake = FakeProvider(tape.provider, make=self._player, clock=clock)
            async with fake, self._tapped(book, _port(fake.url), provider=True) as provider:
                told = (
                    fake_environment(tape.provider, _moved(fake.url, provider.port))
                    if tape.provider != "loopback"
                    else {}
                )
                told["OFFHOOK_PROVIDER_URL"] = _moved(fake.url, provider.port)
                async with Foreign(self._command, environment=told) as server:
                    async with self._tapped(book, server.port, provider=False) as carrier:
                        sid = await self._call(carrier.port)
                        book.end_all()
            journals.flush()
            return read_file(find(sid, Path(folder)))

    def _player(self, n: int) -> Player:
        sessions = self._tape.sessions
        voice = sound.silence if self._tape.agent_silence else sound.answer
        player = Player(sessions[n - 1] if n <= len(sessions) else Session(0.0, [], {}), voice)
        if self._stream_at is not None:
            player.start_stream(self._stream_at)
        self._players.append(player)
        return player

    @contextlib.asynccontextmanager
    async def _tapped(self, book: CallBook, port: int, *, provider: bool) -> AsyncIterator[Tapped]:
        place = Place("ws" if provider else "http", "127.0.0.1", port, public=PUBLIC, provider=self._tape.provider)
        side = ProviderSide if provider else CarrierSide
        defects: list[BaseException] = []
        tapped = Tapped(Upstream("127.0.0.1", port), lambda client: Conversation(side(book, place)), defects.append,
                        now=self._clock.now)  # fmt: skip
        await tapped.start()
        try:
            yield tapped
        finally:
            await tapped.stop()
        if defects:
            raise defects[0]

    async def _call(self, port: int) -> str:
        """The carrier's side of the record, in real time."""
        tape = self._tape
        phone = PhoneCall(
            "" if self._stream else PUBLIC + self._path,
            stream_url=f"ws://127.0.0.1:{port}{self._path}" if self._stream else "",
            auth_token=self._token,
            connect_to=("127.0.0.1", port),
            clock=self._clock,
        )
        try:
            async with phone as call:
                now = self._stream_at = self._clock.now()
                for player in self._players:
                    player.start_stream(now)
                call.say(self._track)
                plan: list[tuple[float, Callable[[], None]]] = [(at, partial(call.press, "#")) for at in tape.keys_at]
                how, end = tape.ends or ("hang-up", tape.length_s + AFTERWARDS_S)
                plan.append((end, call.hang_up if how == "hang-up" else call.drop))
                for due, act in sorted(plan, key=lambda step: step[0]):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(call.ended(), max(0.0, now + due - self._clock.now()) / self._speed)
                    act()
        except CallFailed as error:
            raise ForeignError(f"the carrier would log {error}") from None
        return phone.call_sid


def _port(url: str) -> int:
    return int(url.partition("://")[2].partition("/")[0].rpartition(":")[2])


def _moved(url: str, port: int) -> str:
    return url.replace(f":{_port(url)}/", f":{port}/")

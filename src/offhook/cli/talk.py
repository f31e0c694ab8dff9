"""
``offhook talk``: speak with an agent from the terminal, through the server that runs here or one for this call alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from offhook.checks import settings as judge
from offhook.cli.api import state_file
from offhook.cli.banner import refusal
from offhook.cli.places import data_dir
from offhook.cli.process import new_loop
from offhook.cli.screen import colored
from offhook.cli.serve import ListenError, Serving
from offhook.diagnosis.report import EXIT
from offhook.diagnosis.report import judge as verdict_on
from offhook.evidence.files import find
from offhook.evidence.record import RecordingError
from offhook.evidence.redact import Sieve
from offhook.net.client import DialError
from offhook.settings import Settings, load
from offhook.talk.sound import Sound, SoundError
from offhook.talk.stream import TalkStream
from offhook.wires.carriers._browser_peer import Peer

__all__ = ["run"]

KEYS = frozenset("0123456789*#ABCD")
ANSWER_S = 20.0  # an answer to a piped line begins within this
GREETING_S = 2.0  # and a greeting, if there is one
PAUSE_S = 0.6  # and is over when nothing was played for so long
WHOLE_S = 5.0
GOODBYE_S = 10.0
ECHO = {
    True: "the microphone does not hear the speakers: speak whenever you like, over the agent too",
    False: "the microphone hears the speakers: while the agent speaks it is closed but to a voice well above them; a "
    "headset opens it, and what you write interrupts",
}
HELP = "write a line and press Enter; /5 presses a key; /bye, Ctrl-D or Ctrl-C hangs up"


class _Line(Struct, frozen=True):
    """Where a talk goes."""

    url: str
    call: str
    ticket: str
    where: str  # in words


class TalkError(Exception):
    """Why there is no talk, and what to do."""


def run(settings: Settings, *, agent: str = "", text: bool = False) -> int:
    """Talk until somebody hangs up. The exit code."""
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            call = runner.run(_talk(settings, agent, text))
    except (TalkError, ListenError, DialError) as error:
        sys.stderr.write(f"offhook talk: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return _verdict(settings, call)


def _verdict(settings: Settings, call: str) -> int:
    until = time.monotonic() + WHOLE_S  # a running server still writes the record
    try:
        report = verdict_on(find(call, data_dir(settings)))
        while report.call.live and time.monotonic() < until:
            time.sleep(0.1)
            report = verdict_on(find(call, data_dir(settings)))
    except RecordingError as error:
        sys.stderr.write(f"offhook talk: {error}\n")
        return 1
    sys.stdout.write(f"\n{report.line}\nthe record: offhook show {call}, offhook explain {call}\n")
    return EXIT[report.verdict]


# ------------------------------------------------------------------------------------------------ the server


@asynccontextmanager
async def _line(settings: Settings, agent: str) -> AsyncIterator[_Line]:
    """The running server of these settings, else one for this call."""
    path = state_file(settings)
    if path.is_file():
        data = json.loads(path.read_text("utf-8"))
        made = await _ticket(str(data["url"]), str(data["token"]), agent)
        if made is not None:
            yield made
            return
    async with _own(settings, agent) as made:
        yield made


async def _ticket(url: str, token: str, agent: str) -> _Line | None:
    """A ticket of a server that runs; None where it has ended. Raises TalkError."""
    import httpx2

    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
            answer = await client.post("/api/talk", json={"agent": agent})
    except httpx2.ConnectError:
        return None  # killed, and its note left behind
    if not answer.is_success:
        raise TalkError(_problem(answer))
    told = answer.json()
    return _Line(f"ws{url.removeprefix('http')}{told['path']}", told["call"], told["ticket"], f"the server at {url}")


def _problem(answer: Any) -> str:
    try:
        told = answer.json()
        fix = next((error["fix"] for error in told.get("errors", ()) if error.get("fix")), "")
        return f"{told['detail']}; {fix}" if fix else str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}"


@asynccontextmanager
async def _own(settings: Settings, agent: str) -> AsyncIterator[_Line]:
    """A server on this machine for one call: no carrier is part of it, so nothing of one has to be set up."""
    flags: dict[str, Any] = {
        **settings.flags, "server.host": "127.0.0.1", "server.port": 0, "server.public_url": "", "carrier.auth": "none",
    }  # fmt: skip
    if not settings["provider.name"] and not settings.sections("agents"):
        flags["provider.name"] = "loopback"
    own = load(flags, file=settings.file, cwd=settings.base)
    found = judge.problems(own)
    if found:
        raise TalkError(Sieve(*own.secrets()).clean(refusal(found)).strip())
    serving = Serving(own)
    await serving.start()
    logging.getLogger("offhook").setLevel(logging.WARNING)  # what goes well is told on the terminal
    try:
        assert serving.server is not None and serving.host.talks is not None
        made = serving.host.talks.ticket(agent)
        where = "a server for this call alone" + (", loopback provider (no AI)" if "provider.name" in flags else "")
        yield _Line(f"ws://127.0.0.1:{serving.server.port}{made.path}", made.call, made.ticket, where)
        await serving.host.calls.idle(10.0)
    finally:
        await serving.stop()  # the record is whole then


# ------------------------------------------------------------------------------------------------ the talk


async def _talk(settings: Settings, agent: str, text: bool) -> str:
    async with _line(settings, agent) as line:
        say = _Screen()
        say.line("", f"{line.where}; {HELP}", "2")
        stream = TalkStream(Peer(line.call, line.ticket, agent=agent, client="terminal"), shown=say.said)
        sound = None if text else _sound(stream, say)
        try:
            await stream.begin(line.url)
            typing = asyncio.ensure_future(_typed(stream, say))
            with _interrupt(typing.cancel):
                both: set[asyncio.Future[Any]] = {typing, stream.over}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not stream.over.done():
                stream.stop()
            why = await _over(stream)
            typing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await typing
        finally:
            if sound is not None:
                sound.close()
        if why:
            raise TalkError(why)
        return line.call


@contextlib.contextmanager
def _interrupt(hang_up: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C hangs up, so that the call is judged; a second one ends everything."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, hang_up)
    except NotImplementedError:  # Windows
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _over(stream: TalkStream) -> str:
    """Why the talk is over, once it was hung up; empty: as it should be."""
    try:
        return await asyncio.wait_for(asyncio.shield(stream.over), GOODBYE_S)
    except TimeoutError:
        return f"the server has not ended the call within {GOODBYE_S:.0f} s of the hang-up"


def _sound(stream: TalkStream, say: _Screen) -> Sound | None:
    loop = asyncio.get_running_loop()

    def soon(do: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the talk is over, and its loop closed
            loop.call_soon_threadsafe(do, *args)

    def reached(marks: list[str], late_s: float) -> None:
        soon(loop.call_later, late_s, stream.reached, marks)

    def gone() -> None:
        soon(stream.fall_silent)
        soon(say.line, "", "the sound device is gone; in writing from here on", "2")

    try:
        sound = Sound(stream.playback, reached, lambda both: soon(say.line, "", ECHO[both], "2"), gone)
    except SoundError as error:
        say.line("", f"in writing only: {error}", "2")
        return None
    stream.speak(sound)
    say.line(
        "", "the microphone is open; while it is not known whether it hears the speakers, the agent speaks alone", "2"
    )
    return sound


class _Screen:
    """What is said, as it is said."""

    def __init__(self) -> None:
        self._color = colored()

    def said(self, who: str, text: str) -> None:
        self.line(who, "".join(char if char.isprintable() else " " for char in text), "32" if who == "agent" else "36")

    def line(self, who: str, text: str, style: str) -> None:
        body = f"\x1b[{style}m{text}\x1b[0m" if self._color else text
        sys.stdout.write(f"{who:<7} {body}\n" if who else f"{body}\n")
        sys.stdout.flush()


async def _typed(stream: TalkStream, say: _Screen) -> None:
    """Lines of the keyboard, until there are no more; those of a pipe each when the one before was answered."""
    patient = not sys.stdin.isatty()
    lines = _lines()
    if patient:
        await _quiet(stream, GREETING_S)
    while (line := await lines()) is not None:
        line = line.strip()
        if line in ("/bye", "/quit"):
            return
        if not line:
            continue
        if patient:  # nobody saw it typed
            say.line("you", line, "36")
        if line.startswith("/"):
            for digit in line[1:].upper():
                if digit in KEYS:
                    stream.press(digit)
        else:
            stream.type(line)
        if patient:
            await _quiet(stream)


async def _quiet(stream: TalkStream, within_s: float = ANSWER_S) -> None:
    """Until the agent has answered and nothing is played any more."""
    loop = asyncio.get_running_loop()
    asked = quiet_at = loop.time()
    while not stream.over.done():
        now = loop.time()
        answered = stream.words_at > asked
        if stream.playback.waiting_ms or not answered:
            quiet_at = now
        if now - quiet_at > PAUSE_S or (not answered and now - asked > within_s):
            return
        await asyncio.sleep(0.05)


def _lines() -> Callable[[], Any]:
    """Standard input line by line, read on a thread that nobody waits for: it may never come back."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the talk is over, and its loop closed
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="keyboard", daemon=True).start()
    return queue.get

"""The process of ``offhook serve``: its loop, its signals, what it prints at its start, its memory, and systemd."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from offhook.agent.profile import Agent
from offhook.checks import settings as judge
from offhook.cli.banner import api_rows, banner, refusal, tool_rows
from offhook.cli.behind import pointed, run_behind_tunnel
from offhook.cli.serve import Serving
from offhook.evidence.redact import Sieve
from offhook.settings import Settings

__all__ = ["judged", "new_loop", "run"]


def run(
    settings: Settings, *, live: str = "", declared: Sequence[Agent] = (), tunnel: str = "", number: str = ""
) -> int:
    """
    Serve until SIGTERM or SIGINT. The exit code.

    ``tunnel`` names a tunnel program that gives the public URL, ``number`` one of the carrier's that points here
    meanwhile.
    """

    async def work(told: Settings) -> int:
        return await _serve(told, live, declared, number)

    if tunnel:
        return run_behind_tunnel(settings, tunnel, "serve", new_loop, lambda told: judged(told, work, declared))
    found = judge.problems(settings, declared)
    if found:
        sys.stderr.write(Sieve(*settings.secrets()).clean(refusal(found)))
        return 2
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work(settings))


async def judged(settings: Settings, work: Callable[[Settings], Awaitable[int]], declared: Sequence[Agent] = ()) -> int:
    """Do ``work`` with settings that were found out meanwhile, unless they cannot work. The exit code."""
    found = judge.problems(settings, declared)
    if found:
        sys.stderr.write(Sieve(*settings.secrets()).clean(refusal(found)))
        return 2
    return await work(settings)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one, with the transports that the WebSocket path is made for."""
    import aiofastnet

    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return aiofastnet.patch_loop(asyncio.new_event_loop())
    return aiofastnet.patch_loop(uvloop.new_event_loop())


async def _serve(settings: Settings, live: str, declared: Sequence[Agent], number: str = "") -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    asked: deque[asyncio.Task[bool]] = deque(maxlen=8)  # a task that nobody holds may vanish
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    serving = Serving(settings, live=live, declared=declared, api=settings["api.enabled"], places_queued=True)
    await serving.start()
    assert serving.server is not None
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None:
        loop.add_signal_handler(hang_up, lambda: asked.append(loop.create_task(serving.reload.again("SIGHUP"))))
    port = serving.server.port
    if live == "json":
        assert serving.live is not None
        serving.live.say("listening", port=port, public_url=serving.public_url)
    else:
        board = serving.switchboard
        sessions = {name: board.session(ready) for name, ready in board.roster.ready.items()}
        rows = banner(settings, board.roster, sessions, serving.public_url, port)
        rows += tool_rows(serving.equipment.declared, serving.equipment.box)
        rows += [f"  console     {serving.api.link()}"] if serving.api is not None else []
        rows += api_rows(settings, port) if serving.api is not None else []
        sys.stdout.write("\n".join(rows) + "\n")
        sys.stdout.flush()
    if serving.api is not None:
        serving.api.say_where()
    _notify("READY=1")
    if serving.api is not None:
        await serving.api.made()
    _settle_memory()
    async with pointed(settings, serving.public_url, number):
        await stop.wait()
        _notify("STOPPING=1")
    await serving.stop()
    return 0


def _settle_memory() -> None:
    """
    Keep the garbage collector out of the calls.

    What start-up made stays for good and need not be looked at again; the audio path makes no cycles, so rounds
    may be rare. With the defaults a full round over 200,000 objects stood in the way of a frame every few seconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _notify(state: str) -> None:
    """Tell systemd, if it asked to be told (Type=notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(state.encode())

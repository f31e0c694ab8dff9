"""
What a server may have in front of it for as long as it runs: a tunnel that gives it a public address, and a number of
the carrier's that points here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from offhook.cli.carrier_rest import NoRest
from offhook.cli.numbers import point_number, restore_number
from offhook.cli.tunnel import Tunnel, TunnelError
from offhook.settings import Settings

__all__ = ["free_port", "pointed", "run_behind_tunnel"]

log = logging.getLogger("offhook")


def run_behind_tunnel(
    settings: Settings,
    name: str,
    who: str,
    loop: Callable[[], asyncio.AbstractEventLoop],
    work: Callable[[Settings], Awaitable[int]],
) -> int:
    """Run ``work`` behind a tunnel, with the settings that its address makes. The exit code."""

    async def behind() -> int:
        port = settings["server.port"] or free_port()
        died: list[str] = []

        def dead(why: str) -> None:
            died.append(why)
            log.error("the tunnel is gone: nobody can call any more; running calls go on", extra={"why": why})
            sys.stdout.write(f"tunnel: {why}; nobody can call any more\n")
            sys.stdout.flush()

        tunnel = Tunnel(Tunnel.choose(name), port, dead)
        url = await tunnel.start()
        sys.stdout.write(f"tunnel: {tunnel.name} leads from {url} to port {port} of this machine\n")
        sys.stdout.flush()
        try:
            told = settings.told("server.port", port, f"tunnel {tunnel.name}")
            return await work(told.told("server.public_url", url, f"tunnel {tunnel.name}")) or (1 if died else 0)
        finally:
            await tunnel.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        try:
            return runner.run(behind())
        except TunnelError as error:
            sys.stderr.write(f"offhook {who}: {error}\n")
            return 2


def free_port() -> int:
    """A port that nobody listens on, for a tunnel that has to be told one before the server is there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def pointed(settings: Settings, public_url: str, number: str) -> AsyncIterator[None]:
    """A number of the carrier points at this server meanwhile, if one was named; it is put back at the end."""
    if not number:
        yield
        return
    try:
        sys.stdout.write(f"{await point_number(settings, number, public_url)}\n")
        sys.stdout.flush()
    except NoRest as error:  # the server is there all the same
        sys.stderr.write(f"offhook serve: {error}\n")
        yield
        return
    try:
        yield
    finally:
        try:
            sys.stdout.write(f"{await restore_number(settings, number)}\n")
        except NoRest as error:
            sys.stderr.write(f"offhook serve: {error}\n")

"""
Connecting to whichever address of a name answers first. Knows no name, no TLS and no HTTP.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

__all__ = ["first_to_answer"]

# RFC 8305, 5: an address that does not answer gets this long before the next one is tried beside it.
NEXT_ADDRESS_S = 0.25
MAX_ADDRESSES = 6


async def first_to_answer(loop: asyncio.AbstractEventLoop, found: Sequence[Any]) -> socket.socket:
    """
    Connect to the first address that answers; families take turns (RFC 8305, without its memory).

    Raises the first OSError when all fail.
    """
    by_family: dict[int, list[Any]] = {}
    for info in found:
        by_family.setdefault(info[0], []).append(info)
    longest = max(map(len, by_family.values()), default=0)
    ordered = [infos[i] for i in range(longest) for infos in by_family.values() if i < len(infos)]
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    waiting = ordered[:MAX_ADDRESSES]
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(_connect_one(loop, waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=NEXT_ADDRESS_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            winner: socket.socket | None = None
            for task in done:
                error = task.exception()
                if isinstance(error, OSError):
                    errors.append(error)
                elif error is not None:
                    raise error
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
            if winner is not None:
                return winner
    finally:
        await _call_off(running)
    raise errors[0] if errors else OSError("the name has no address")


async def _call_off(running: set[asyncio.Task[socket.socket]]) -> None:
    """End the attempts that lost; one that connected in the last moment is closed."""
    for task in running:
        task.cancel()
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, socket.socket):
            ended.close()


async def _connect_one(loop: asyncio.AbstractEventLoop, info: Any) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock

"""
The one place that touches picows' inner class, which both the shared port and the timed dial need.

``WSProtocol`` is not among picows' public names. Its constructor is pinned here by name and checked by a
test, and the dependency is held below the next major version. Knows nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from picows import WSAutoPingStrategy
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from offhook.net.hot import hot

__all__ = ["PARAMETERS", "Ear", "begin", "client_protocol", "feed", "server_protocol"]

# The constructor's parameters in picows 2.3.1, all without default (read in its source, 2026-11-24).
PARAMETERS = (
    "host_port", "ws_path", "is_client_side", "ws_listener_factory", "logger", "disconnect_on_exception",
    "websocket_handshake_timeout", "enable_auto_ping", "auto_ping_idle_timeout", "auto_ping_reply_timeout",
    "auto_ping_strategy", "enable_auto_pong", "max_frame_size", "extra_headers", "read_buffer_init_size",
)  # fmt: skip

# picows makes a child logger for every connection and logs frames' sizes; ours is the journal.
_QUIET = logging.Logger("offhook.picows", logging.CRITICAL + 1)
# One media message is 330 bytes, one 100 ms delta 1.3 kB; the buffer grows when more comes.
_READ_BUFFER_BYTES = 4096


def _protocol(**given: Any) -> WSProtocol:
    values = {
        "host_port": None,
        "ws_path": None,
        "is_client_side": False,
        "logger": _QUIET,
        "disconnect_on_exception": True,
        "websocket_handshake_timeout": None,
        "enable_auto_ping": False,
        "auto_ping_idle_timeout": 20,
        "auto_ping_reply_timeout": 20,
        "auto_ping_strategy": WSAutoPingStrategy.PING_WHEN_IDLE,
        "enable_auto_pong": False,  # sockets.py checks a ping before it answers
        "extra_headers": None,
        "read_buffer_init_size": _READ_BUFFER_BYTES,
        **given,
    }
    return WSProtocol(**{name: values[name] for name in PARAMETERS})


def server_protocol(listener_factory: Callable[[Any], Any], *, max_frame_bytes: int) -> WSProtocol:
    """The server's side of one connection, before its upgrade request was read."""
    return _protocol(ws_listener_factory=listener_factory, max_frame_size=max_frame_bytes)


def client_protocol(
    listener_factory: Callable[[], Any],
    *,
    host_port: str,
    path: str,
    headers: Sequence[tuple[str, str]],
    max_frame_bytes: int,
) -> WSProtocol:
    """The client's side of one connection; sends its upgrade request as soon as it is connected."""
    return _protocol(
        is_client_side=True,
        host_port=host_port,
        ws_path=path,
        ws_listener_factory=listener_factory,
        extra_headers=list(headers),
        max_frame_size=max_frame_bytes,
    )


if hot is not None:

    class Ear(hot.Ear, asyncio.BufferedProtocol):
        """Hears a connection before picows does; asyncio wants it to be a BufferedProtocol by inheritance."""

        __slots__ = ()

else:

    class Ear:  # type: ignore[no-redef]
        """Nobody: nothing was compiled."""


def begin(protocol: WSProtocol, transport: Any, head: bytes, rest: bytes, *, masked: bool, compiled: bool) -> None:
    """
    Give ``transport`` to ``protocol``, and what came before: ``head`` of HTTP, and the ``rest`` behind it.

    Where ``compiled`` is wanted, and there, an Ear comes between; ``masked``: the peer's frames are.
    """
    if hot is None or not compiled:
        transport.set_protocol(protocol)
        feed(protocol, transport, head + rest)
        return
    ear = Ear(protocol, masked)
    transport.set_protocol(ear)
    feed(protocol, transport, head)
    if rest and not transport.is_closing():
        ear.feed(rest)


def feed(protocol: WSProtocol, transport: Any, data: bytes) -> None:
    """Let ``protocol`` read ``data``, which came before it took over ``transport``."""
    rest = memoryview(data)
    while rest and not transport.is_closing():
        buffer = protocol.get_buffer(-1)
        n = min(len(buffer), len(rest))
        buffer[:n] = rest[:n]
        protocol.buffer_updated(n)
        rest = rest[n:]

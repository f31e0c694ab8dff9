"""
What the API sees of the server that it belongs to; the command line puts it together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.api.access import Access
from offhook.api.live import Hub
from offhook.net.host import Host
from offhook.net.metrics import Metrics
from offhook.net.outbound import Options
from offhook.settings import Settings
from offhook.store.projection import Projection
from offhook.store.queries import Reader
from offhook.store.queue import QueueTable
from offhook.store.tokens import Tokens

__all__ = ["World"]

Data = Mapping[str, Any]


class World(Struct):
    """
    All of it. Functions are called on a thread beside the loop unless they are said to be awaited.

    ``reader`` gives the store, or None where there is none; raises StoreError. ``agent(name, asked)`` is an agent with
    its prompt as it is in such a call; raises LookupError.
    """

    host: Host
    hub: Hub
    access: Access
    metrics: Metrics
    directory: Path
    settings: Callable[[], Settings]
    reader: Callable[[], Reader | None]
    unstored: Callable[[], Sequence[Path]]  # records of calls that the store has not got yet
    fetch: Callable[[str, Path, int], None]  # from the bucket, so many bytes at most; raises LookupError
    clean: Callable[[Any], Any]  # what nobody may read, taken out of data
    public_url: Callable[[], str]
    detail: Callable[[], Data]  # what /readyz says besides; on the loop
    agents: Callable[[], Data]
    agent: Callable[[str, Data], Data]
    queue: Callable[[], QueueTable | None]  # None where there is no store
    options: Callable[
        [Data], Options
    ]  # of a call to be placed, by what was said of it and by the settings; on the loop
    numbers: Callable[[], Awaitable[Sequence[Data]]]  # awaited; raises LookupError where the carrier does not tell
    point: Callable[[str], Awaitable[str]]  # awaited; a number at this server, and back; raises LookupError
    restore: Callable[[str], Awaitable[str]]
    check: Callable[[Sequence[str], bool, bool, Callable[[Data], None]], Awaitable[None]]  # awaited; names, live, full
    play: Callable[[str], Awaitable[Data]]  # awaited; a row of the fault catalogue, in the virtual world
    version: str
    project: Projection
    began_at: int  # milliseconds since 1970
    hosts: Callable[[], Sequence[str]]
    tokens: Callable[[], Tokens | None]

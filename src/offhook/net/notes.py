"""
What a host writes down of requests: webhooks and their answers, upgrades, and what was refused or not served.

A request that no call comes of gets a short record of its own, so that ``offhook explain last`` names its fault; a
few a minute, for anybody can send such requests. The rest are counted, and told once a minute in log, metrics and
``offhook calls``. Knows no wire by name; never on the path of a frame.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from offhook.evidence.journal import Journal, JournalDir
from offhook.evidence.reach import came_from_afar
from offhook.evidence.unrecorded import Unrecorded, append
from offhook.net.clock import Clock, Handle
from offhook.net.metrics import Metrics
from offhook.wires._wire import ConnectRequest

__all__ = ["RequestNotes"]

log = logging.getLogger("offhook")

REFUSED_A_MINUTE = 6


class RequestNotes:
    """One process's evidence of requests."""

    def __init__(
        self,
        journals: JournalDir,
        clock: Clock,
        carrier: ModuleType,
        metrics: Metrics,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._journals = journals
        self._clock = clock
        self._carrier = carrier
        self._metrics = metrics
        self._unix = unix
        self._refused: deque[float] = deque()
        self._beyond = Unrecorded()
        self._tell: Handle | None = None  # planned from the first one of a minute

    def hook(
        self, journal: Journal, method: str, path_qs: str, headers: Mapping[str, str], began: float, **said: Any
    ) -> None:
        """A webhook that was answered."""
        now = self._clock.now()
        ms = round((now - began) * 1000, 1)
        target = _target(path_qs, headers)
        journal.note(
            "webhook", now, method=method, **target, ms=ms, from_afar=came_from_afar(headers.items()), **said
        )  # fmt: skip

    def document(self, journal: Journal, body: bytes) -> None:
        """What the document that opens the stream says: the wire describes its own."""
        journal.note("twiml", self._clock.now(), **self._carrier.describe(body))

    def upgrade(self, journal: Journal, path_qs: str, headers: Mapping[str, str], at: float) -> None:
        """The upgrade that became this call's stream."""
        target = _target(path_qs, headers)
        journal.note(
            "upgrade", at, path=target["path"], query_keys=target["query_keys"], host=target["host"], status=101,
            headers={"upgrade": headers.get("upgrade", ""), "connection": headers.get("connection", "")},
        )  # fmt: skip

    def dial(self, journal: Journal, request: ConnectRequest, proxy: str | None) -> None:
        """A provider connection is asked for: where, and with which headers by name."""
        url = urlsplit(request.url)
        query = dict(pair.partition("=")[::2] for pair in url.query.split("&") if pair)
        journal.note(
            "dial.request", self._clock.now(), scheme=url.scheme, host=url.hostname, port=url.port, path=url.path,
            query={"model": query["model"]} if "model" in query else {}, query_keys=sorted(query),
            header_names=[name for name, _ in request.headers], via_proxy="environment" if proxy else None,
        )  # fmt: skip

    def late(self, call_sid: str, kind: str, **said: Any) -> None:
        """What the carrier says of a call that is over."""
        self._journals.late(call_sid, kind, self._clock.now(), **said)

    @property
    def room(self) -> bool:
        """Whether one more refused request is written down now."""
        now = self._clock.now()
        while self._refused and self._refused[0] < now - 60:
            self._refused.popleft()
        return len(self._refused) < REFUSED_A_MINUTE

    def refused(
        self,
        what: str,
        method: str,
        path_qs: str,
        headers: Sequence[tuple[str, str]],
        status: int,
        *,
        begin: Mapping[str, Any] | None = None,
        numbers: Iterable[str] = (),
        **said: Any,
    ) -> None:
        """
        A request that no call comes of: a record of its own, while there are not too many; else it is counted.

        ``begin`` and ``numbers`` are of a call that is really the carrier's: it is found again by its id.
        """
        if not self.room:
            self._count(a_call=begin is not None)
            return
        now = self._clock.now()
        self._refused.append(now)
        begin = begin or {"call": "refused", "carrier": self._carrier.NAME}
        journal = self._journals.open(begin["call"], {}, now, begin, numbers)
        found = {name.lower(): value for name, value in headers}
        journal.note(what, now, method=method, **_target(path_qs, found), status=status, **said)
        journal.close(now, {"end": {"wanted": False, "why": f"{what} refused"}})

    def _count(self, *, a_call: bool) -> None:
        self._metrics.unrecorded("call" if a_call else "request")
        seen = self._beyond
        self._beyond = Unrecorded(seen.calls + a_call, seen.requests + (not a_call))
        if self._tell is None:
            self._tell = self._clock.call_at(self._clock.now() + 60, self.tell)

    def tell(self) -> None:
        """Say now how many were refused without a record since it was said last; nothing where there were none."""
        if self._tell is None:
            return
        self._tell.cancel()
        self._tell = None
        seen, self._beyond = self._beyond, Unrecorded()
        log.warning(
            "refused without a record of their own: more than %d in a minute", REFUSED_A_MINUTE,
            extra={"calls": seen.calls, "requests": seen.requests},
        )  # fmt: skip
        at = self._unix()
        self._journals.submit(lambda: _append(self._journals.directory, at, seen))


def _append(directory: Path, at: float, seen: Unrecorded) -> None:
    try:
        append(directory, at, seen)
    except OSError as error:
        log.warning("how many were refused without a record could not be written", extra={"why": str(error)})


def _target(path_qs: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Whom a request asked for what, without a value of its query."""
    path, _, query = path_qs.partition("?")
    host, _, port = headers.get("host", "").partition(":")
    return {
        "scheme": headers.get("x-forwarded-proto", "")[:8],
        "host": host[:100],
        "port": int(port) if port.isdigit() else None,
        "path": path[:200],
        "query_keys": [pair.partition("=")[0][:40] for pair in query.split("&") if pair][:16],
    }

"""
The verdict on every running call as it stands, while somebody watches: one call after the other, on a thread.

Judging takes some milliseconds of the interpreter that the calls use, so it has a small share of a core and no more: of
many calls the verdicts are older, and each says when it was made.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offhook.api.giving_way import giving_way
from offhook.api.live import Hub
from offhook.api.running import RunningCall
from offhook.diagnosis.report import report
from offhook.evidence.files import read
from offhook.evidence.record import RecordingError

__all__ = ["Standing", "judged"]

log = logging.getLogger("offhook")

SHARE = 0.05  # of a core
AGAIN_S = 5.0  # a call is judged no sooner than this after the last time
TROUBLED_S = 1.0  # and so soon where something has gone wrong since, or it has just begun: its record has it by then

Judged = tuple[dict[str, Any] | None, float]  # what is told, and the seconds of a core that it took


def judged(path: Path) -> Judged:
    """On a thread. None: nothing of the call is on the disk yet."""
    began = time.thread_time()
    told = None
    with giving_way():
        try:
            found = report(read(path))
            rules = list(dict.fromkeys(one.rule for one in found.roots))
            told = {"verdict": found.verdict, "findings": rules, "because": found.because}
        except RecordingError:
            pass  # its first lines are not written yet
    return told, time.thread_time() - began


class Standing:
    """``look()`` is called while somebody watches, on the loop, more often than there is something to do."""

    def __init__(
        self, hub: Hub, directory: Path, judge: Callable[[Path], Judged] = judged, now: Callable[[], float] = time.time
    ) -> None:
        self._hub, self._directory, self._judge, self._now = hub, directory, judge, now
        self._asked: asyncio.Future[Judged] | None = None
        self._free_at = 0.0  # when the share of the core allows the next

    def look(self) -> None:
        if self._asked is not None or self._now() < self._free_at:
            return
        call = self._next()
        if call is not None:
            troubled = call.troubled
            path = self._directory / f"{call.record}.jsonl"
            self._asked = asyncio.get_running_loop().run_in_executor(None, self._judge, path)
            self._asked.add_done_callback(lambda done: self._told(call, troubled, done))

    def _next(self) -> RunningCall | None:
        """Whose turn it is: first where something went wrong since, then whose verdict is the oldest."""
        now, due = self._now(), []
        for call in self._hub.calls.values():
            quiet = call.judged_at > 0 and call.troubled == call.judged_troubled
            if now - max(call.judged_at, call.began_at / 1000) >= (AGAIN_S if quiet else TROUBLED_S):
                due.append((quiet, call.judged_at, call))
        return min(due, key=lambda one: one[:2])[2] if due else None

    def _told(self, call: RunningCall, troubled: int, done: asyncio.Future[Judged]) -> None:
        self._asked = None
        try:
            told, took = done.result()
        except Exception:
            log.exception("a running call could not be judged", extra={"call": call.call})
            told, took = None, AGAIN_S * SHARE
        now = self._now()
        self._free_at = now + took * (1 / SHARE - 1)
        call.judged_at, call.judged_troubled = now, troubled
        if told is not None and self._hub.calls.get(call.call) is call:
            call.stands = {**told, "judged_at": round(now * 1000)}
            self._hub.publish("stands", call.call, call.stands, kept=False)

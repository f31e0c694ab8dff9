"""
What was asked of running calls and is not answered yet.

Belongs to the loop of the calls; who asks from another thread hands the coroutine over
(``asyncio.run_coroutine_threadsafe``). Knows no call from inside.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from msgspec import structs

from offhook import vocab as v
from offhook.net.call import Call

__all__ = ["Asks"]


class Asks:
    """Futures by call and id; each is answered by ``Done``, or by the end of its call."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._waiting: dict[tuple[str, str], asyncio.Future[v.Done]] = {}

    async def ask(self, call: Call | None, event: Any) -> v.Done:
        """Feed ``event`` under an id of its own and wait for its answer."""
        if call is None or call.ended is not None:
            return v.Done("", "", "refused", "there is no such call, or it is over")
        id_ = f"a{next(self._ids)}"
        answer: asyncio.Future[v.Done] = asyncio.get_running_loop().create_future()
        self._waiting[call.name, id_] = answer
        try:
            call.feed(structs.replace(event, id=id_))
            return await answer
        finally:
            self._waiting.pop((call.name, id_), None)

    def done(self, call: str, answer: v.Done) -> None:
        waiting = self._waiting.get((call, answer.id))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def ended(self, call: str) -> None:
        """A call is over: what it has not answered it never will."""
        for (name, id_), waiting in list(self._waiting.items()):
            if name == call and not waiting.done():
                waiting.set_result(v.Done(id_, "", "ended", "the call ended first"))

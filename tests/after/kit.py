"""What the tests of hooks share: calls in a store, an outbox whose rounds the test runs, and receivers that refuse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.store.kit import BOOT, agent, caller, note, record, writer

from offhook.after import queue as queues
from offhook.after.hook import Hook, Job, Outcome
from offhook.after.plan import Plan
from offhook.after.queue import Queue
from offhook.after.worker import Worker
from offhook.agent.tools.threads import INLINE
from offhook.evidence.patterns import Patterns
from offhook.store import schema
from offhook.store.database import engine

SERVER = {"server": {"id": "here-1"}}


class Clock:
    """The time by which things fall due."""

    def __init__(self) -> None:
        self.ms = round(time.time() * 1000)

    def __call__(self) -> int:
        return self.ms


class Told:
    """A hook's other side: what it was told, and what it answers."""

    def __init__(self, *answers: Outcome) -> None:
        self.jobs: list[Job] = []
        self._answers = list(answers)

    async def __call__(self, job: Job) -> Outcome:
        self.jobs.append(job)
        return self._answers.pop(0) if self._answers else Outcome(True)


class Office:
    """A store with hooks, and workers on it."""

    def __init__(self, folder: Path, clock: Clock, *hooks: Hook, **plan: Any) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'offhook.db'}"
        self.clock = clock
        self.plan = Plan(hooks={hook.name: hook for hook in hooks}, patterns=Patterns(), **plan)
        self.writer = writer(self.url, folder, on_stored=self.plan.stored)
        self.engine = engine(self.url, write=True)
        self._n = 0

    def call(self, call: str = "CA1", *lines: Mapping[str, Any], numbers: Any = None, **begin: Any) -> Path:
        """A call that has just ended, stored."""
        said = lines or (caller("hello", "a", 1000.0), agent("Good day to you all", "b", 2000.0))
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.ms / 1000 - 9))
        path = record(self.folder, call, *map(dict, said), began=began, **{"boot": {**BOOT, **SERVER}, **begin})
        self.store(path, numbers)
        return path

    def store(self, path: Path, numbers: Any = None) -> None:
        if numbers:
            facts = {
                "call": path.stem.split("-")[1],
                **dict(zip(("caller_number", "called_number"), numbers, strict=True)),
            }
            self.writer.begun(path, facts)
        self.writer.whole(path)
        self.writer.round()
        assert self.writer.state.word == "ok", self.writer.state

    def worker(self, server: str = "here-1", lives: Callable[[str], bool | None] = lambda server: False) -> Worker:
        return Worker(lambda: Queue(self.engine, server), self.plan.hooks, lives, share=lambda: 0.5)

    def rows(self) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return {row.hook: row for row in connection.execute(sa.select(schema.outbox).order_by(schema.outbox.c.id))}


async def run(worker: Worker) -> None:
    """One round, and all that it began."""
    INLINE.set(True)
    await worker.round()
    while tasks := [task for _, task in worker._running.values()]:
        await asyncio.wait(tasks)
        await asyncio.sleep(0)


def rounds(worker: Worker, n: int = 1) -> None:
    async def main() -> None:
        for _ in range(n):
            await run(worker)

    asyncio.run(main())


def hook(name: str, told: Any, **given: Any) -> Hook:
    return Hook(**{"name": name, "kind": "webhook", "run": told, **given})


@asynccontextmanager
async def receiver(answer: Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]) -> Any:
    """A server on loopback; its base address."""

    async def serve(reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, data = answer(head[0].rpartition(" ")[0], headers, body)
        sink.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(data), data))
        await sink.drain()
        sink.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def clock_in(monkeypatch: Any) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(queues, "now_ms", clock)
    yield clock


__all__ = ["Clock", "Office", "Told", "agent", "caller", "clock_in", "hook", "note", "receiver", "rounds", "run"]

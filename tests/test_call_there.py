"""``offhook call`` through a server that ends, hangs or loses what it tells: the command ends and says why."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from offhook.cli import call
from offhook.cli import call_there as there
from offhook.cli.ctl import CtlError
from offhook.settings import load

PLACED = {
    "id": "p1", "call": "CA1", "to": "+1********77", "from": "", "agent": "", "status": "ringing", "code": None,
    "http": 201, "detail": "", "answered_by": "", "seconds": None, "sip": "", "over": False,
    "history": [{"at_s": 0.0, "status": "queued"}, {"at_s": 1.0, "status": "ringing"}],
}  # fmt: skip
OVER = {**PLACED, "status": "completed", "over": True}
Live = Callable[[asyncio.StreamWriter], Awaitable[None]]


def event(kind: str, **data: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind, **data}).encode() + b"\n\n"


async def for_ever(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def place(folder: Path, live: Live, answers: dict[str, tuple[int, Any]]) -> tuple[str, str]:
    """What the command makes of a server whose live stream, after its hello, goes on so."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, path = head.split(" ")[:2]
                length = next((int(one.split(":")[1]) for one in head.lower().split("\r\n") if "content-le" in one), 0)
                await reader.readexactly(length)
                if path == "/api/live":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                    writer.write(event("hello", calls=[]))
                    await live(writer)
                    return
                status, data = answers[f"{method} {path}"]
                body = json.dumps(data).encode()
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        except asyncio.IncompleteReadError:
            pass  # the command has what it wanted
        finally:
            writer.close()

    async with asyncio.timeout(20):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        (folder / "rec").mkdir(exist_ok=True)
        (folder / "rec" / ".server.json").write_text(json.dumps({"pid": 1, "url": url, "token": "t"}))
        settings = load(environment={"OFFHOOK_RECORD_DIR": "rec", "OFFHOOK_PROVIDER_NAME": "loopback"}, cwd=folder)
        try:
            return await there.place(settings, "+15550100077", call.options_of(settings), "json")
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_a_server_that_hangs_is_waited_for_no_longer_than_it_would_be_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(there, "QUIET_S", 0.2)
    with pytest.raises(CtlError, match="says nothing any more"):
        asyncio.run(place(tmp_path, for_ever, {"POST /api/calls": (201, PLACED)}))


def test_a_server_that_ends_ends_the_command(tmp_path):
    async def ends(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)

    with pytest.raises(CtlError, match="ended its live stream before the call was over"):
        asyncio.run(place(tmp_path, ends, {"POST /api/calls": (201, PLACED)}))


def test_an_end_that_was_lost_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(there, "VERDICT_S", 0.1)

    async def loses(writer: asyncio.StreamWriter) -> None:
        writer.write(event("lost", lost=7, why="too slow"))
        await for_ever(writer)

    answers = {"POST /api/calls": (201, PLACED), "GET /api/outbound/p1": (200, OVER)}
    assert asyncio.run(place(tmp_path, loses, answers)) == ("CA1", "completed")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"DELETE /api/outbound/p1": (409, {}), "POST /api/calls/CA1/hangup": (202, {})}, "the call is not over"),
        ({}, "RemoteProtocolError|ReadError|says nothing"),  # it breaks off
    ],
)
def test_ctrl_c_ends_the_command_whatever_the_server_does(tmp_path, monkeypatch, answers, says):
    monkeypatch.setattr(there, "BACK_S", 0.3)

    async def rings(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)
        await for_ever(writer)

    with pytest.raises(CtlError, match=says):
        asyncio.run(place(tmp_path, rings, {"POST /api/calls": (201, PLACED), **answers}))

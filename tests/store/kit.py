"""
What the store's tests share: records as a journal writes them, a writer whose rounds the test runs itself, and a
Postgres server of its own where this machine can have one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from offhook.store.projection import Judged, Projection
from offhook.store.writer import Writer
from offhook.wires.providers import openai

BOOT = {"model": "gpt-realtime", "profile": {"provider": "openai"}}


def record(directory: Path, name: str, *lines: dict[str, Any], end: bool = True, **begin: Any) -> Path:
    """A record of ``lines`` (kind ``k``, time ``t``), with begin and end around them."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"20261125T120000Z-{name}.jsonl"
    first = {
        "k": "begin", "t": 0.0, "version": 1, "began": "2026-11-25T12:00:00Z", "call": name, "caller": "+1********01",
        "called": "+1********02", "direction": "inbound", "carrier": "twilio", "boot": BOOT, **begin,
    }  # fmt: skip
    last = {"k": "end", "t": 9000.0, "end": {"why": "caller hung up", "wanted": True}, "usage": {}}
    written = [first, *lines, *([last] if end else [])]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in written))
    return path


def caller(text: str, item: str, at: float) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"k": "msg", "t": at, "ch": 2, "bytes": 9, "m": {"type": kind, "item_id": item, "transcript": text}}


def agent(text: str, item: str, at: float, response: str = "r") -> dict[str, Any]:
    kind = "response.output_audio_transcript.done"
    message = {"type": kind, "item_id": item, "response_id": response, "content_index": 0, "transcript": text}
    return {"k": "msg", "t": at, "ch": 2, "bytes": 9, "m": message}


def note(kind: str, at: float, **data: Any) -> dict[str, Any]:
    return {"k": "note", "t": at, "note": kind, **data}


def projection() -> Projection:
    prices = {"openai": openai.price_list}
    finding = {"rule": "bridge/x", "boundary": "bridge", "proof": "proven", "sentence": "s", "fix": "f", "line": 3}
    verdict = Judged("broken", "because of x", (finding,))
    return Projection(lambda call: verdict, lambda name, model: prices[name](model) if name in prices else None)


def writer(url: str, directory: Path, **given: Any) -> Writer:
    """Its thread is not started: the test runs its rounds."""
    return Writer(url, directory, projection(), **given)


class Postgres:
    """A Postgres server of its own, on loopback, in a folder that goes with it."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://offhook@127.0.0.1:{self._port}/postgres"
        folder.mkdir(mode=0o755, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-D", folder / "data", "-A", "trust", "-U", "offhook", "--no-sync")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        if os.geteuid() == 0:  # Postgres refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", timeout=60)

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._folder / "data", "-o", options, "-l", log, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-m", how, "-w", "stop")


def postgres_binaries() -> Path | None:
    """Where a Postgres server is installed on this machine (Debian: apt-get install postgresql)."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return places[-1].parent if places else None


def postgres_server(folder: Path) -> Iterator[Postgres]:
    binaries = postgres_binaries()
    assert binaries is not None
    server = Postgres(binaries, folder)
    server.start()
    yield server
    server.stop()


def example(directory: Path, caller_id: str) -> None:
    """The two calls of docs/records.md."""
    usage = b'"usage":{"input_token_details.text_tokens":900,"input_token_details.audio_tokens":5200,"output_token_details.audio_tokens":3100}'  # noqa: E501  # fmt: skip
    times = (note("milestone", 40.0, id="M8"), note("milestone", 60.0, id="M6"), note("milestone", 60.0, id="M7"))
    path = record(
        directory, "CA51c2", *times, agent("Hello, this is the front desk.", "i1", 300.0),
        caller("do you have a table for two tonight", "c1", 3100.0), note("tool", 3300.0, id="t1", name="book_table"),
        note("tool.done", 3900.0, id="t1", name="book_table", outcome="ok", ms=600), note("reply", 4100.0, ms=640),
        agent("Yes, at eight. Shall I send a confirmation to your phone?", "i2", 4200.0),
        note("barge-in", 6000.0, item="i2", heard_ms=1700, sent_ms=4200),
        caller("yes, to ann@mail.example", "c2", 7200.0),
        caller_id=caller_id, agent="desk", began="2026-11-25T14:03:10Z",
    )  # fmt: skip
    path.write_bytes(path.read_bytes().replace(b'"usage":{}', usage))
    record(directory, "CA9d07", *times, caller("what are your opening hours", "c1", 900.0), agent="desk",
           began="2026-11-25T14:09:41Z")  # fmt: skip

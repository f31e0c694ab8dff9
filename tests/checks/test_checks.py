"""The isolated checks against a real server process, bare and behind proxies that break things."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from tests.ports import free_port

from offhook.checks._check import Ask, Outcome
from offhook.checks.registry import NAMES, checks, run_all
from offhook.checks.webhook import difference
from offhook.settings import load

TOKEN = "check-token-0123456789abcdef"


def serve(folder: Path, port: int, public: str, **more: str) -> subprocess.Popen[str]:
    """A server of its own; public URLs on loopback need signatures off."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OFFHOOK_", "TWILIO_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "offhook", "serve", "--live", "json"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env | environment(folder, port, public, **more),
    )  # fmt: skip
    assert process.stdout is not None and json.loads(process.stdout.readline())["event"] == "listening"
    return process


def environment(folder: Path, port: int, public: str, **more: str) -> dict[str, str]:
    return {
        "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_SERVER_PORT": str(port), "OFFHOOK_SERVER_PUBLIC_URL": public,
        "OFFHOOK_CARRIER_AUTH": "none", "OFFHOOK_RECORD_DIR": str(folder / "calls"), **more,
    }  # fmt: skip


def ask(folder: Path, port: int, public: str, **more: str) -> Ask:
    return Ask(load(environment=environment(folder, port, public, **more), cwd=folder), folder / "calls")


def outcome(name: str, given: Ask) -> Outcome:
    (check,) = checks([name])
    return asyncio.run(check.outcome(given))


def state(found: Outcome, step: str) -> str:
    return next(s.state for s in found.steps if s.name == step)


@pytest.fixture(autouse=True)
def short_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.checks.proxy.QUICK_IDLE_S", 1.2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, int]]:
    """Folder, the server's port, and the port of its public URL, where a test may put a proxy."""
    folder = tmp_path_factory.mktemp("served")
    port, front = free_port(), free_port()
    process = serve(folder, port, f"http://127.0.0.1:{front}")
    yield folder, port, front
    process.terminate()
    process.communicate(timeout=80)


@asynccontextmanager
async def proxy(front: int, back: int, *, drop_upgrade: bool = False, close_after_s: float | None = None):
    """A proxy that passes bytes on, or breaks what a proxy breaks."""

    open_now: set[asyncio.StreamWriter] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if drop_upgrade:
                gone = (b"upgrade:", b"connection:")
                head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(gone))
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", back)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        to_writer.write(head)
        timed = b"upgrade: websocket" in head.lower() and close_after_s is not None
        try:
            async with asyncio.timeout(close_after_s if timed else None):
                await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))
        except (TimeoutError, OSError):
            pass  # as a proxy does it: without a word
        open_now.add(to_writer)
        writer.close()
        to_writer.close()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async with await asyncio.start_server(one, "127.0.0.1", front):
        yield
    for writer in open_now:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in open_now), return_exceptions=True)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


def behind(given: Ask, name: str, front: int, back: int, **broken: object) -> Outcome:
    """The outcome of a check whose public URL leads through a proxy."""

    async def run() -> Outcome:
        async with proxy(front, back, **broken):
            (check,) = checks([name])
            return await check.outcome(given)

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["settings", "audio", "store", "tools"])
def test_what_needs_nothing_is_proven_on_a_good_installation(name, tmp_path):
    found = outcome(name, ask(tmp_path, 1, "http://127.0.0.1:1"))
    assert found.verdict == "proven", found


@pytest.mark.parametrize("name", ["public", "webhook", "proxy"])
def test_a_good_proxy_is_proven(name, world):
    folder, port, front = world
    found = behind(ask(folder, port, f"http://127.0.0.1:{front}"), name, front, port)
    # signatures are off here, so a document for an unsigned request is said but no fault
    assert found.verdict == "proven", found


def test_a_proxy_that_drops_the_upgrade_is_named_beside_the_way_past_it(world):
    folder, port, front = world
    found = behind(ask(folder, port, f"http://127.0.0.1:{front}"), "proxy", front, port, drop_upgrade=True)
    assert state(found, "direct") == "proven" and state(found, "public") == "broken"
    assert "F-011" in found.steps[-1].decides and "Upgrade" in found.steps[-1].fix


def test_a_proxy_that_closes_idle_streams_is_named(world):
    folder, port, front = world
    found = behind(ask(folder, port, f"http://127.0.0.1:{front}"), "proxy", front, port, close_after_s=0.6)
    assert state(found, "public") == "proven" and state(found, "idle") == "broken"
    assert "F-013" in found.steps[-1].decides


def test_a_public_url_of_another_process_is_no_way_to_this_one(world, tmp_path):
    folder, port, front = world
    other = free_port()
    process = serve(tmp_path, other, f"http://127.0.0.1:{other}")
    try:
        found = behind(ask(folder, port, f"http://127.0.0.1:{front}"), "public", front, other)
    finally:
        process.terminate()
        process.communicate(timeout=80)
    assert found.verdict == "broken" and "another Offhook process" in found.sentence


def test_a_name_that_nobody_knows_is_a_fault_of_dns_and_hides_nothing_else(world):
    folder, port, _ = world
    given = ask(folder, port, "https://nowhere.invalid", OFFHOOK_CARRIER_AUTH="signature", TWILIO_AUTH_TOKEN=TOKEN)
    assert outcome("public", given).sentence.startswith("dns:")


def test_nothing_that_answers_is_not_proven_and_no_fault_of_anybody(tmp_path):
    port = free_port()
    for name in ("webhook", "proxy", "public"):
        found = outcome(name, ask(tmp_path, port, f"http://127.0.0.1:{port}"))
        assert found.verdict == "not proven" and "offhook serve" in found.steps[0].fix


def test_a_server_with_another_token_is_told_from_one_with_another_address(tmp_path):
    port = free_port()
    public = "https://voice.example.com"
    signed = {"OFFHOOK_CARRIER_AUTH": "signature", "TWILIO_AUTH_TOKEN": "another-token-0123456789abcdef"}
    process = serve(tmp_path, port, public, **signed)
    try:
        wrong_token = outcome("webhook", ask(tmp_path, port, public, **signed | {"TWILIO_AUTH_TOKEN": TOKEN}))
        wrong_host = outcome("webhook", ask(tmp_path, port, "https://old.example.com", **signed))
        right = outcome("webhook", ask(tmp_path, port, public, **signed))
    finally:
        process.terminate()
        process.communicate(timeout=80)
    by_name = {step.name: step for step in wrong_token.steps}
    assert "the secret" in by_name["direct"].detail and "F-023" in by_name["direct"].decides
    by_name = {step.name: step for step in wrong_host.steps}
    assert "the host" in by_name["direct"].detail and "F-029" in by_name["direct"].decides
    assert state(right, "direct") == "proven"


@pytest.mark.parametrize(
    ("ours", "theirs", "which"),
    [
        ("https://a.example/x", ("https://a.example/x", "https://a.example:443/x"), "secret"),
        ("https://a.example/x", ("http://a.example/x",), "scheme"),
        ("https://a.example/x", ("https://b.example/x",), "host"),
        ("https://a.example:8443/x", ("https://a.example/x", "https://a.example:443/x"), "port"),
        ("https://a.example/x", ("https://a.example/pre/x",), "path"),
        ("https://a.example/x", (), "secret"),
    ],
)
def test_the_dimension_of_a_signature_that_differs_is_named(ours, theirs, which):
    assert difference(ours, theirs) == which


def test_a_check_makes_no_call_and_leaves_no_record(world):
    folder, port, front = world
    behind(ask(folder, port, f"http://127.0.0.1:{front}"), "webhook", front, port)
    assert not list((folder / "calls").glob("*.jsonl"))
    assert httpx2.get(f"http://127.0.0.1:{port}/healthz").json()["calls"] == 0


def test_a_directory_that_takes_nothing_is_named(tmp_path):
    (tmp_path / "calls").write_text("a file stands here")
    found = outcome("store", ask(tmp_path, 1, "http://127.0.0.1:1"))
    assert found.verdict == "broken" and "F-154" in found.steps[-1].decides


def test_all_checks_report_whatever_the_others_find(tmp_path):
    given = ask(tmp_path, free_port(), "http://127.0.0.1:1", OFFHOOK_PROVIDER_NAME="")
    chosen = [check for check in checks() if check.name not in ("stream",)]
    found = asyncio.run(run_all(chosen, given))
    assert [o.check for o in found] == [name for name in NAMES if name != "stream"]
    assert next(o for o in found if o.check == "settings").verdict == "broken"
    assert next(o for o in found if o.check == "audio").verdict == "proven"
    assert not any("defect" in step.fix for o in found for step in o.steps)


@pytest.mark.timeout(240)
def test_a_scripted_call_proves_the_stream_and_the_public_url(world):
    folder, port, front = world
    found = behind(ask(folder, port, f"http://127.0.0.1:{front}"), "stream", front, port)
    assert found.verdict == "proven", found
    assert [step.name for step in found.steps][-2:] == ["record", "public"]


def test_watching_tells_what_changed_and_nothing_else(tmp_path, monkeypatch, capsys):
    cli = importlib.import_module("offhook.cli.check")  # the package has a command of that name

    folder = tmp_path / "calls"
    rounds = 0

    def next_round(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:  # the directory of records turns into something that takes none
            folder.rename(tmp_path / "moved")
            folder.write_text("a file stands here")
        if rounds == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli.time, "sleep", next_round)
    settings = load(environment=environment(tmp_path, 1, "http://127.0.0.1:1"), cwd=tmp_path)
    assert cli.run(settings, ["store"], folder, watch_s=5) == 130
    said = capsys.readouterr().out
    assert said.count("nothing broken") == 2 and said.count("broken: store") == 2
    assert said.count("store/directory: was proven") == 1 and "now broken" in said

"""A real server, killed in a call while its store is locked: the call never noticed, and its record tells the truth."""

import asyncio
import json
import sqlite3
import sys
import urllib.request
from pathlib import Path

import pytest

from offhook.diagnosis.report import judge
from offhook.dial.call import place
from offhook.dial.foreign import FAKE_KEYS, Foreign
from offhook.dial.plan import Plan, targets
from offhook.loopback.lines import audio
from offhook.sims.provider import Answer
from offhook.sims.run_provider import FakeProvider
from offhook.sims.scenario import Scenario, Step
from offhook.store.database import default_url
from offhook.store.queries import Reader
from offhook.store.state import CallFilter

ROOT = Path(__file__).parent.parent.parent
TOKEN, PUBLIC = "kill-test-token-0123456789", "https://voice.example.com"
STAY = Scenario((Step("silence", 30.0), Step("hang-up", "true")))
pytestmark = pytest.mark.timeout(240)


async def until(true, within_s: float = 40.0):
    """What ``true`` gives when it gives something; asked beside the loop that carries the caller's audio."""
    async with asyncio.timeout(within_s):
        found = await asyncio.to_thread(true)
        while not found:
            await asyncio.sleep(0.05)
            found = await asyncio.to_thread(true)
    return found


async def killed(folder: Path) -> dict:
    calls = folder / "calls"
    greeting = Answer(audio=audio("hello"), transcript="Hello.")
    async with FakeProvider("openai", keys=frozenset({FAKE_KEYS["openai"]}), greeting=greeting) as fake:
        environment = {
            "PYTHONPATH": str(ROOT / "src"), "OFFHOOK_PROVIDER_NAME": "openai", "OFFHOOK_PROVIDER_URL": fake.url,
            "OPENAI_API_KEY": FAKE_KEYS["openai"], "OFFHOOK_SERVER_PORT": "{port}", "OFFHOOK_SERVER_DRAIN_S": "0.2",
            "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC, "OFFHOOK_RECORD_DIR": str(calls), "OFFHOOK_RECORD_AUDIO": "true",
            "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_ACCOUNT_SID": "", "OFFHOOK_AGENT_GREETING": "Hello.",
        }  # fmt: skip
        async with Foreign(f"{sys.executable} -m offhook serve", environment=environment) as foreign:
            await until(lambda: (calls / "offhook.db").exists() and _state(foreign.port)["state"] == "ok")
            lock = sqlite3.connect(calls / "offhook.db", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            plan = Plan(**targets(f"http://127.0.0.1:{foreign.port}/twilio/voice", PUBLIC), token=TOKEN, scenario=STAY)
            call = asyncio.create_task(place(plan))
            await until(lambda: _state(foreign.port)["state"] == "behind")
            behind = await asyncio.to_thread(_state, foreign.port)
            await asyncio.sleep(1.2)  # what a call said in its last second may be lost
            foreign._process.kill()
            placed = await call
            lock.execute("ROLLBACK")
            lock.close()
        async with Foreign(f"{sys.executable} -m offhook serve", environment=environment):
            (record,) = calls.glob("*.jsonl")
            await until(lambda: b'"k":"closed"' in record.read_bytes())
            reader = Reader(default_url(calls))
            try:
                await until(lambda: reader.calls(CallFilter())[:1] and reader.calls(CallFilter())[0]["verdict"])
                row = reader.calls(CallFilter())[0]
            finally:
                reader.close()
    return {"row": row, "behind": behind, "placed": placed, "record": record}


def _state(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
        return json.load(answer)["store"]


def test_a_call_whose_server_is_killed_while_the_store_is_locked_is_told_as_it_was(tmp_path):
    found = asyncio.run(killed(tmp_path))
    row, report = found["row"], judge(found["record"])
    assert "locked" in found["behind"]["why"]
    assert row["state"] == "died" and row["end_why"].startswith("server died: last heard of at")
    assert "the last second may be missing" in row["end_why"]
    assert "records/process-died" in row["findings"]
    assert [root.catalogue for root in report.roots if root.rule == "records/process-died"] == ["F-155"]
    stalls = [note.data for note in report.call.notes("store.stall")]
    assert stalls and "locked" in stalls[0]["error"] and stalls[0]["ms"] > 1000
    # the store hung for seconds, and the audio flowed: no lag of the loop, no finding that blames the store
    assert not [note for note in report.call.notes("bridge.loop-lag") if note.data["ms"] > 500]
    assert "records/store-on-call-path" not in row["findings"]
    assert found["record"].with_suffix(".wav").stat().st_size > 16_000

"""What explain joins to a record when it is asked to: the carrier's own log, and what isolated checks prove."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.checks.rest import SID, TOKEN, stub
from tests.diagnosis.tape import CA, good

from offhook.cli import joined
from offhook.diagnosis.report import report
from offhook.settings import load
from offhook.wires.carriers import twilio

ENV = {
    "OFFHOOK_PROVIDER_NAME": "xai", "OFFHOOK_PROVIDER_MODEL": "grok-2-realtime", "XAI_API_KEY": "xai-test-00000000",
    "OFFHOOK_SERVER_PUBLIC_URL": "https://voice.example.com", "TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN,
}  # fmt: skip


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A carrier whose log of the call the test writes."""
    log: dict[str, Any] = {"notifications": [], "status": 200}
    ready, over = threading.Event(), threading.Event()
    where: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        assert CA in path
        if "Notifications" in path:
            return log["status"], {"notifications": log["notifications"]}
        return 200, {"status": "completed"}

    async def serve() -> None:
        async with stub(answer) as base:
            where.append(base)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(40)
    original = joined.carrier

    def settings(ask: Any) -> twilio.CarrierSettings:
        made = original(ask)
        return twilio.CarrierSettings(
            public_url=made.public_url, auth_token=made.auth_token, account_sid=made.account_sid, rest_base=where[0]
        )

    monkeypatch.setattr(joined, "carrier", settings)
    yield log
    over.set()
    thread.join(40)


def test_the_carriers_alerts_are_symptoms_of_what_the_record_proves(carrier, tmp_path):
    carrier["notifications"] = [{"error_code": "31951"}]
    settings = load(environment=ENV, cwd=tmp_path)
    tape = good().violation("streamSid", got="'stream_sid'", n=50)
    made = report(joined.with_carriers_view(tape.recording(), settings))
    assert [root.rule for root in made.roots] == ["carrier-stream/misspelt-field"]
    assert "carrier:31951" in [one.rule for one in made.symptoms]


def test_an_alert_on_a_healthy_call_is_said_as_an_unknown_cause(carrier, tmp_path):
    carrier["notifications"] = [{"error_code": "31951"}]
    made = report(joined.with_carriers_view(good().recording(), load(environment=ENV, cwd=tmp_path)))
    assert made.verdict == "not proven" and [root.rule for root in made.roots] == ["carrier:31951"]


def test_a_carrier_that_does_not_tell_is_an_error_with_its_answer(carrier, tmp_path):
    carrier["status"] = 404
    with pytest.raises(joined.CarrierError, match="answers 404"):
        joined.with_carriers_view(good().recording(), load(environment=ENV, cwd=tmp_path))
    without = {name: value for name, value in ENV.items() if name != "TWILIO_ACCOUNT_SID"}
    with pytest.raises(joined.CarrierError, match="TWILIO_ACCOUNT_SID"):
        joined.with_carriers_view(good().recording(), load(environment=without, cwd=tmp_path))


def test_what_a_fault_hid_is_proven_by_isolated_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(joined, "CHEAP", ("audio", "store", "provider"))
    broken = report(good().change("webhook", status=403, signature={"present": True, "ok": False}).recording())
    assert broken.roots and broken.roots[0].boundary == "webhook"
    said = joined.hidden(broken, load(environment=ENV, cwd=tmp_path), Path(tmp_path))
    assert any("would have hit next" in line and "grok-2-realtime" in line for line in said)
    assert any(line.startswith("nothing broken by: offhook check audio store") for line in said)
    assert joined.hidden(report(good().recording()), load(environment=ENV, cwd=tmp_path), Path(tmp_path)) == [
        "nothing is hidden: no fault stands before another boundary"
    ]

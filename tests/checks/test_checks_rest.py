"""The checks that ask the carrier's and the provider's REST: against a stub that answers as theirs do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.checks.rest import SID, TOKEN, Answer, stub
from tests.diagnosis.tape import good

from offhook.checks import _server
from offhook.checks._check import Ask, Outcome
from offhook.checks.registry import checks
from offhook.settings import load
from offhook.wires._wire import Fact
from offhook.wires.carriers import twilio

PUBLIC = "https://voice.example.com"
HOOK = PUBLIC + "/twilio/voice"
MINE = {"phone_number": "+15550100002", "voice_url": HOOK, "voice_method": "POST"}
OTHER = {"phone_number": "+15550100009", "voice_url": "https://other.example/x", "voice_method": "POST"}


def account(numbers: list[dict[str, Any]], status: str = "active", **more: Any) -> Answer:
    """The carrier's answers to what the checks ask."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        if "IncomingPhoneNumbers" in path:
            return 200, {"incoming_phone_numbers": numbers}
        if path.startswith("/Alerts"):
            return 200, {"alerts": more.get("alerts", [])}
        if method == "POST":
            return more.get("placed", (201, {"sid": "CA" + "2" * 32}))
        if "/Calls/" in path:
            return 200, {"status": more.get("ended", "completed")}
        if "/Calls.json" in path:
            return 200, {"calls": more.get("calls", [])}
        return 200, {"status": status, "type": "Full"}

    return answer


def outcome(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, *, live: bool = False,
    ahead_s: float = 0.0, token: str = TOKEN, **env: str
) -> Outcome:  # fmt: skip
    """What a check says of a carrier that answers so."""

    async def run() -> Outcome:
        async with stub(answer, ahead_s=ahead_s) as base:
            original = _server.judge.carrier_settings

            def settings(given: Any, public: str) -> twilio.CarrierSettings:
                made = original(given, public)
                return twilio.CarrierSettings(
                    public_url=made.public_url, auth_token=made.auth_token, account_sid=made.account_sid, rest_base=base
                )

            monkeypatch.setattr(_server.judge, "carrier_settings", settings)
            monkeypatch.setattr("offhook.checks.account.ALERTS", Fact(base + "/Alerts", "stub", "2026-11-25"))
            given = load(
                environment={
                    "OFFHOOK_PROVIDER_NAME": "loopback", "OFFHOOK_SERVER_PUBLIC_URL": PUBLIC,
                    "TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": token, "OFFHOOK_RECORD_DIR": str(folder), **env,
                },
                cwd=folder,
            )  # fmt: skip
            (check,) = checks([name])
            return await check.outcome(Ask(given, folder, live=live))

    return asyncio.run(run())


def states(found: Outcome) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


def test_a_right_account_with_a_number_that_points_here_is_proven(tmp_path, monkeypatch):
    found = outcome("credentials", tmp_path, monkeypatch, account([MINE, OTHER]))
    assert found.verdict == "proven", found
    assert "+15550100002" not in json.dumps(found.as_data())


@pytest.mark.parametrize(
    ("answer", "step", "row"),
    [
        (account([MINE], status="suspended"), "carrier account", "F-157"),
        (account([OTHER]), "number", "F-042"),
        (account([{**MINE, "voice_application_sid": "AP1"}]), "number", "F-042"),
        (account([{**MINE, "voice_method": "GET"}]), "number", "F-027"),
    ],
)
def test_what_is_wrong_with_the_account_is_named(tmp_path, monkeypatch, answer, step, row):
    found = outcome("credentials", tmp_path, monkeypatch, answer)
    broken = next(s for s in found.steps if s.state == "broken")
    assert broken.name == step and row in broken.decides and broken.fix


def test_another_token_and_a_wrong_clock_are_named_beside_each_other(tmp_path, monkeypatch):
    found = outcome("credentials", tmp_path, monkeypatch, account([MINE]), token="another-token-000", ahead_s=400)
    assert states(found)["carrier account"] == "broken" and states(found)["clock"] == "broken"
    assert next(s.detail for s in found.steps if s.name == "clock") in ("400 s ahead", "401 s ahead")
    assert "another-token-000" not in json.dumps(found.as_data())


@pytest.mark.parametrize(("status", "state"), [(200, "proven"), (401, "broken"), (503, "not proven")])
def test_a_providers_key_is_told_by_its_list_of_models(tmp_path, monkeypatch, status, state):
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        return (status, {}) if path == "/v1/models" else account([MINE])(method, path, body)

    async def run() -> Outcome:
        async with stub(answer) as base:
            env = {"OFFHOOK_PROVIDER_NAME": "openai", "OPENAI_API_KEY": "sk-test-0000000000000000",
                   "OFFHOOK_PROVIDER_URL": base.replace("http", "ws") + "/v1/realtime"}  # fmt: skip
            (check,) = checks(["credentials"])
            return await check.outcome(Ask(load(environment=env, cwd=tmp_path), tmp_path))

    assert states(asyncio.run(run()))["provider key"] == state


def test_alerts_are_symptoms_and_calls_without_a_record_are_counted(tmp_path, monkeypatch):
    calls = [{"sid": "CA" + "3" * 32, "direction": "inbound"}, {"sid": "CA" + "4" * 32, "direction": "outbound-api"}]
    found = outcome("account", tmp_path, monkeypatch, account([MINE], calls=calls, alerts=[{"error_code": "31951"}]))
    assert states(found) == {"calls": "not proven", "alerts": "not proven"}
    assert "offhook explain 31951" in [step.fix for step in found.steps]
    (tmp_path / f"20261125T120000Z-CA{'3' * 32}.jsonl").write_text("{}")
    assert outcome("account", tmp_path, monkeypatch, account([MINE], calls=calls)).verdict == "proven"


def test_a_real_call_is_placed_only_when_asked_for_and_judged_by_our_own_record(tmp_path, monkeypatch):
    monkeypatch.setattr("offhook.checks.call.POLL_S", 0.01)
    monkeypatch.setattr("offhook.checks.call.RECORD_S", 1.0)
    asked: list[str] = []
    recording = good().raw()

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked.append(method)
        if method == "POST":
            (tmp_path / "20261125T120000Z-CA1.jsonl").write_bytes(recording)
        return account([MINE, OTHER])(method, path, body)

    assert outcome("call", tmp_path, monkeypatch, answer).verdict == "not proven" and not asked
    found = outcome("call", tmp_path, monkeypatch, answer, live=True)
    assert found.verdict == "proven", found
    assert [step.name for step in found.steps] == ["numbers", "call", "record"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"placed": (400, {"code": 21215, "message": "not allowed"})}, "21215"),
        ({"ended": "busy"}, "busy"),
    ],
)
def test_a_call_that_does_not_come_about_is_named(tmp_path, monkeypatch, more, said):
    monkeypatch.setattr("offhook.checks.call.POLL_S", 0.01)
    found = outcome("call", tmp_path, monkeypatch, account([MINE, OTHER], **more), live=True)
    assert found.verdict == "broken" and said in found.sentence and "F-157" in found.steps[-1].decides

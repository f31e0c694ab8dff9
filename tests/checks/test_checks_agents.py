"""The checks of providers and keys look at what every agent has, and name the agents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.checks.rest import stub

from offhook.checks import provider
from offhook.checks._check import Ask, Outcome
from offhook.checks.registry import checks
from offhook.settings import Settings, load
from offhook.sims.run_provider import FakeProvider

KEYS = {"OPENAI_API_KEY": "sk-test-0000000000000000", "XAI_API_KEY": "xai-test-0000000000000000"}


def settings(folder: Path, toml: str, **env: str) -> Settings:
    (folder / "offhook.toml").write_text(toml)
    return load(environment={"TWILIO_AUTH_TOKEN": "t0ken-t0ken", **KEYS, **env}, cwd=folder)


async def outcome(name: str, given: Settings, folder: Path) -> Outcome:
    (check,) = checks([name])
    return await check.outcome(Ask(given, folder))


def states(found: Outcome) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


AGENTS = """
[provider]
name = "openai"
url = "{openai}"
[agents.desk]
[agents.night]
[agents.sales]
provider = "xai"
url = "{xai}"
[agents.mute]
model = "gpt-realtime-mini"
"""


def test_every_provider_model_and_voice_that_an_agent_has_is_dialled_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(provider, "STEP_S", 0.5)

    async def main() -> Outcome:
        async with FakeProvider("openai") as openai, FakeProvider("xai", faults=["refuse-401"]) as xai:
            given = settings(tmp_path, AGENTS.format(openai=openai.url, xai=xai.url))
            return await outcome("provider", given, tmp_path)

    found = asyncio.run(main())
    assert found.verdict == "broken" and found.sentence.startswith("sales: upgrade: "), found
    told = states(found)
    assert told["desk, night: session applied"] == "proven" and told["sales: upgrade"] == "broken"
    assert told["mute: session applied"] == "proven"
    assert sum(name.endswith(": upgrade") for name in told) == 3  # agents with the same need one session
    assert next(step.decides for step in found.steps if step.state == "broken")


def test_an_agent_that_cannot_work_is_named_and_the_others_are_dialled(tmp_path, monkeypatch):
    async def main() -> Outcome:
        async with FakeProvider("openai") as openai:
            toml = AGENTS.format(openai=openai.url, xai="wss://api.x.ai/v1/realtime")
            return await outcome("provider", settings(tmp_path, toml, XAI_API_KEY=""), tmp_path)

    told = states(asyncio.run(main()))
    assert told["provider.xai_key"] == "broken" and told["mute: session applied"] == "proven"
    assert not any(name.startswith("sales: ") for name in told)


def test_the_key_of_every_provider_is_asked_for_where_its_agents_dial(tmp_path):
    asked = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked.append(path)
        return (200 if path == "/v1/models" else 401), {}

    async def main() -> Outcome:
        async with stub(answer) as base:
            socket = base.replace("http", "ws")
            toml = AGENTS.format(openai=f"{socket}/v1/realtime", xai=f"{socket}/x/realtime")
            return await outcome("credentials", settings(tmp_path, toml), tmp_path)

    found = asyncio.run(main())
    told = states(found)
    assert told["desk, night, mute: provider key"] == "proven"
    assert told["sales: provider key"] == "broken" and sorted(asked) == ["/v1/models", "/x/models"]
    step = next(step for step in found.steps if step.name == "sales: provider key")
    assert "xai answers 401" in step.detail and "XAI_API_KEY" in step.fix
    assert not any(key in str(found.as_data()) for key in KEYS.values())


def test_what_live_costs_is_said_for_each(tmp_path):
    toml = AGENTS.format(openai="wss://api.openai.com/v1/realtime", xai="wss://api.x.ai/v1/realtime")
    said = checks(["provider"])[0].costs(settings(tmp_path, toml))
    assert said.startswith("desk, night: a few cents") and "; sales: about $" in said

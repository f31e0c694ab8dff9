"""
Lets clients that nobody here wrote talk to our simulated providers: ``make peers``. Not part of ``make test``: heavy.

Installs them into an environment of their own (``.peers``), at the newest versions that the index has, runs each
against a strict provider, and prints one line each, with its version, as conformance/xai/SOURCES.md keeps them.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from offhook.sims.judge import ClientJudge
from offhook.sims.provider import Answer, SimProvider, tone
from offhook.sims.run_provider import FakeProvider

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".peers"
PYTHON = HOME / "bin" / "python"
CLIENT = Path(__file__).with_name("peers_clients.py")
PACKAGES = ("openai", "openai-agents", "livekit-agents", "livekit-plugins-xai", "pipecat-ai", "websockets")
RUNS = (("openai", "openai", "openai"), ("openai", "xai", "openai"), ("openai-agents", "openai", "openai-agents"),
        ("livekit", "xai", "livekit-plugins-xai"), ("pipecat", "xai", "pipecat-ai"))  # fmt: skip
ANSWER_MS = 600
ANSWER_BYTES = ANSWER_MS * 48  # PCM16 at 24 kHz, which all of them ask for


def install() -> None:
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", *PACKAGES]
    subprocess.run(command, check=True)


def version(package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class Watch:
    """The judge of each session that came."""

    def __init__(self, provider: str) -> None:
        self.judges: list[Judged] = []
        self._provider = provider

    def asked(self, request: Any, session: SimProvider, refusal: Any) -> Judged:
        judged = Judged(self._provider)
        judged.judge.request(request.path_qs, dict(request.headers), refusal)
        self.judges.append(judged)
        return judged

    def strayed(self, method: str, path: str) -> None:
        raise AssertionError(f"{method} {path} is no realtime session")


class Judged:
    def __init__(self, provider: str) -> None:
        self.judge = ClientJudge(provider)
        self.verdict = "still open"

    def opened(self, own: list[Any], now: float) -> None:
        self.judge.opened(own, now)

    def received(self, data: bytes, binary: bool, own: list[Any], now: float) -> None:
        self.judge.received(data, binary, own, now)

    def sent(self, message: Any, now: float) -> None:
        self.judge.sent(message, now)

    def closed(self, code: int | None, reason: str, by: str, now: float) -> None:
        verdict = self.judge.verdict(now)
        self.verdict = f"{verdict.state}: {verdict.because}"


async def run(client: str, provider: str) -> tuple[bool, str]:
    """Whether the client heard an answer to what it said, and how it went."""
    watch = Watch(provider)
    answer = Answer(tone(ANSWER_MS), "We are open from nine to five.")
    async with FakeProvider(provider, script=(answer,), greeting=answer, watch=watch) as fake:
        url = fake.url + ("/xai" if provider == "xai" and client == "openai" else "")
        process = await asyncio.create_subprocess_exec(
            str(PYTHON), str(CLIENT), client, url, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 90)
        if process.returncode or not fake.sessions:
            last = (err.decode().strip().splitlines() or ["no word"])[-1]
            return False, f"ended with {process.returncode}: {last[:160]}"
        async with asyncio.timeout(5):
            while fake.open:  # noqa: ASYNC110 (its last words are still on the way)
                await asyncio.sleep(0.01)
        seen = json.loads(out.decode().strip().splitlines()[-1])
        sim = fake.sessions[-1]
        heard = bool(seen["heard"]) and sim.turns >= 1 and seen["bytes"] > 0
        whole = seen["bytes"] % ANSWER_BYTES == 0
        told = ", ".join(f"{name} {value}" for name, value in seen.items())
        return heard and whole and watch.judges[-1].verdict.startswith(
            "right"
        ), f"{told}; turns {sim.turns}; the judge: {watch.judges[-1].verdict}"


def main() -> int:
    if "--installed" not in sys.argv:
        install()
    today = datetime.date.today().isoformat()
    failed = 0
    for client, provider, package in RUNS:
        ok, how = asyncio.run(run(client, provider))
        failed += not ok
        said = how if ok else f"FAILED {how}"
        sys.stdout.write(f"| `{package}` {version(package)} at {provider} | {today} | {said} |\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

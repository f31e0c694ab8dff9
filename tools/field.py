"""
Points ``offhook dial`` at other people's servers: ``make field``. Not part of ``make test``: heavy, and needs an index.

Installs them into an environment of their own (``.field``), at the newest versions of the index, starts each behind
our fakes, calls it, and compares what is said with what is expected; prints a line each, as docs/field-notes.md keeps
them. Examples that stand in a package's source archive only are taken from there. Clients at our fakes: ``make peers``.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import Any

from msgspec import Struct

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".field"
PYTHON = HOME / "bin" / "python"
HERE = Path(__file__).with_name("field")
PACKAGES = ("pipecat-ai[openai,websocket]", "openai-agents", "streamdouble", "twilio", "fastapi", "uvicorn")
BUILD = ("hatchling", "setuptools", "setuptools-scm", "wheel")  # what the source archives want before they are let go
ARCHIVES = {"openai-agents": "examples/realtime/twilio", "streamdouble": "examples"}
PUBLIC = "https://voice.example.com"
TOKEN = {"TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef", "TWILIO_PUBLIC_BASE_URL": PUBLIC}


class Case(Struct, frozen=True):
    """A server, how it is dialled, and the findings that are right."""

    package: str
    what: str
    command: str
    url: str
    wants: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


def cases(archives: dict[str, Path]) -> list[Case]:
    pipecat = f"{PYTHON} {HERE}/pipecat_server.py {{port}}"
    media, stream = "ws://127.0.0.1:{port}/media", "ws://127.0.0.1:{port}/media-stream"
    at_openai, at_xai = (("--fakes", name, "--provider", name) for name in ("openai", "xai"))
    agents = f"{PYTHON} {HERE}/openai_agents_example.py {{port}} {archives['openai-agents']}"
    signed = ("--public", PUBLIC, "--auth-token-env", "TWILIO_AUTH_TOKEN", "--insecure-ws", *at_openai)
    hook = "http://127.0.0.1:{port}/incoming-call"
    echo = f"{PYTHON} {archives['streamdouble']}/echo_agent.py --port {{port}}"
    barge = ("--scenario", str(ROOT / "examples/scenarios/barge-in.toml"))

    def fault(name: str) -> tuple[str, ...]:
        return "--provider-fault", name, "--max", "25"

    dead_air = ("bridge/line-left-open",)
    return [
        Case("pipecat-ai", "openai", f"{pipecat} openai", media, (), at_openai),
        Case("pipecat-ai", "openai, barge-in", f"{pipecat} openai", media, (), (*at_openai, *barge)),
        Case("pipecat-ai", "xai", f"{pipecat} xai", media, (), at_xai),
        Case("pipecat-ai", "openai refuses", f"{pipecat} openai", media, ("provider-connect/failed",),
             (*at_openai, *fault("refuse-401"))),
        Case("pipecat-ai", "openai closes", f"{pipecat} openai", media, dead_air,
             (*at_openai, *fault("close-1011@5s"))),
        Case("openai-agents", "its example", agents, hook, (), signed),
        Case("openai-agents", "its example, barge-in", agents, hook, (), (*signed, *barge)),
        Case("openai-agents", "its example, a forged stream", agents, hook, (),
             (*signed, "--fault", "upgrade-signature=secret")),
        Case("openai-agents", "its example, openai refuses", agents, hook, ("carrier-stream/accepted-after-dial",),
             (*signed, *fault("refuse-401"))),
        Case("openai-agents", "its example, openai closes", agents, hook,
             ("provider-session/lost", "bridge/closed-over-speech"), (*signed, *fault("close-1011@5s"))),
        Case("streamdouble", "its echo", echo, stream),
    ]  # fmt: skip


def install() -> dict[str, Path]:
    """The packages, and the folders of their examples."""
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    if "--installed" not in sys.argv:
        subprocess.run([*pip, "install", "--upgrade", *PACKAGES, *BUILD], check=True)
    return {package: HOME / "archives" / package / inside for package, inside in _unpacked(pip)}


def _unpacked(pip: list[str]) -> list[tuple[str, str]]:
    for package, inside in ARCHIVES.items():
        to = HOME / "archives" / package
        if (to / inside).exists():
            continue
        wanted = [f"{package}=={version(package)}", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        subprocess.run([*pip, "download", "--dest", str(to), *wanted], check=True)
        with tarfile.open(next(to.glob("*.tar.gz"))) as archive:
            top = archive.getnames()[0].partition("/")[0]
            archive.extractall(to, [m for m in archive if m.name.startswith(f"{top}/{inside}")], filter="data")
        (to / inside).parent.mkdir(parents=True, exist_ok=True)
        (to / top / inside).rename(to / inside)
    return list(ARCHIVES.items())


def version(package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def dial(case: Case) -> tuple[str, list[str], dict[str, Any]]:
    """The verdict, the findings, and everything that was said."""
    saved = HOME / "told.json"
    saved.unlink(missing_ok=True)
    command = [sys.executable, "-m", "offhook", "dial", case.url, "--server", case.command, *case.more, "--passes", "1",
               "--out", str(HOME / "records"), "--save", str(saved)]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, env={**os.environ, **TOKEN})
    if not saved.exists():
        return "not dialled", [ran.stderr.strip()[-300:]], {}
    told = json.loads(saved.read_text())
    found = told.get("findings") or told.get("engine", {}).get("findings", [])
    return told["verdict"], [finding["rule"] for finding in found], told


def main() -> int:
    archives = install()
    wrong = 0
    for case in cases(archives):
        verdict, found, _ = dial(case)
        ok = tuple(found) == case.wants and (bool(found) or verdict == "healthy")
        wrong += not ok
        said = ", ".join(found) or verdict
        mark = "" if ok else f" UNEXPECTED, wanted {', '.join(case.wants) or 'healthy'}"
        today = datetime.date.today().isoformat()
        sys.stdout.write(f"| `{case.package}` {version(case.package)}, {case.what} | {today} | {said}{mark} |\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""
What a gptme-voice server is set to, read where that one reads it: environment, ``.env``, gptme's own files.

Source: gptme-contrib, packages/gptme-voice, realtime/server.py and its siblings (read 2026-11-22 and 2026-11-25).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from offhook.settings.files import read_dotenv
from offhook.settings.spec import SettingsError, Value

__all__ = ["NAMES", "PREFIX", "gptme_voice"]

PREFIX = "GPTME_VOICE_"
NAMES = (
    "OPENAI_API_KEY", "XAI_API_KEY", "AGENT_NAME", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER",
    "TWILIO_CALLER_ALLOWLIST", "TWILIO_PUBLIC_BASE_URL",
)  # fmt: skip


def gptme_voice(
    dotenv: Path, workspace: Path | None, *, environment: Mapping[str, str] | None = None, home: Path | None = None
) -> dict[str, Value]:
    """Each of its settings that is set, with where; the environment first. Raises SettingsError."""
    env = dict(os.environ if environment is None else environment)
    problems: list[str] = []
    found: dict[str, Value] = {}
    config = Path(env.get("XDG_CONFIG_HOME") or (home or Path.home()) / ".config") / "gptme"
    files = [config / "config.toml", config / "config.local.toml"]
    if workspace is not None:
        files += [workspace / "gptme.toml", workspace / "gptme.local.toml"]
    for path in files:
        found |= {name: Value(value, str(path)) for name, value in _env_of(path, problems).items()}
    if dotenv.is_file():
        found |= {name: Value(value, where) for name, (value, where) in read_dotenv(dotenv, problems).items()}
    found |= {name: Value(value, f"environment {name}") for name, value in env.items()}
    if problems:
        raise SettingsError(problems)
    return {name: value for name, value in found.items() if value.value and (name in NAMES or name.startswith(PREFIX))}


def _env_of(path: Path, problems: list[str]) -> dict[str, str]:
    """The ``[env]`` of a gptme file; nothing where there is no such file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        problems.append(f"{path}: cannot be read: {str(error)[:120]}")
        return {}
    given = data.get("env")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}

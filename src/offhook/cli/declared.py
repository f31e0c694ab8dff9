"""Agents that are declared in Python: those of a file, and a server for those of a program."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from offhook.agent.profile import Agent

__all__ = ["AppError", "declared_in", "serve"]


class AppError(Exception):
    """A Python file that declares no agents, or fails."""


def declared_in(path: Path | None) -> tuple[Agent, ...]:
    """Every Agent at the top of a file, in order; none where no file is given. Raises AppError."""
    if path is None:
        return ()
    if not path.is_file():
        raise AppError(f"--app {path}: no such file; wanted Python with Agent(...) in it")
    spec = importlib.util.spec_from_file_location("offhook_app", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # decorators and dataclasses look themselves up there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as Python does for a script
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code: said with its place
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:200]
        raise AppError(f"--app {path}: {type(error).__name__}: {said} ({where.filename}:{where.lineno})") from None
    found = [value for value in vars(module).values() if isinstance(value, Agent)]
    agents = tuple({id(agent): agent for agent in found}.values())
    if not agents:
        raise AppError(f"--app {path}: no Agent(...) at its top; wanted one, as in: receptionist = Agent(...)")
    return agents


def serve(*agents: Agent, config: Path | str | None = None, live: str = "", **flags: object) -> int:
    """
    Answer the phone with these agents until SIGTERM; what they do not say comes from ``offhook.toml`` beside it.

    ``flags`` are settings as ``server__port=8080``. The same server as ``offhook serve``; returns its exit code.
    """
    from offhook.cli.process import run
    from offhook.settings import SettingsError, load

    given = {name.replace("__", "."): value for name, value in flags.items()}
    try:
        settings = load(given, file=Path(config) if config is not None else None)
    except SettingsError as error:
        sys.stderr.write("".join(f"offhook: {line}\n" for line in str(error).splitlines()))
        return 2
    return run(settings, live=live, declared=_flat(agents))


def _flat(agents: Sequence[Agent]) -> tuple[Agent, ...]:
    for agent in agents:
        if not isinstance(agent, Agent):
            raise TypeError(f"serve: got {type(agent).__name__}, wanted Agent(...)")
    return tuple(agents)

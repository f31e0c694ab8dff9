"""What every command is given: the settings file, and whether its answer is for a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from offhook.settings import Settings

__all__ = ["Config", "Json", "Parameters", "parameters_of", "settings_of"]

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

Parameters = Annotated[
    list[str] | None, typer.Option("--param", help="NAME=VALUE that agent and tools know of the call; again and again.")
]


def parameters_of(texts: list[str] | None) -> dict[str, str]:
    """Custom parameters by name. Raises typer.BadParameter."""
    from offhook.agent.prompt import parameter_problem

    given: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or (problem := parameter_problem(name, value)):
            why = problem if equals else "wanted NAME=VALUE"
            raise typer.BadParameter(f"got {text[:40]!r}: {why}", param_hint="'--param'")
        given[name] = value
    return given


def settings_of(config: Path | None, **flags: object) -> Settings:
    """The effective settings; a flag ``a__b`` is the setting ``a.b``. Raises SettingsError."""
    from offhook.settings import load

    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load(given, file=config)

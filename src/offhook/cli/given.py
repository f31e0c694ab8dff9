"""What every command is given: the settings file, and whether its answer is for a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from offhook.settings import Settings

__all__ = ["Config", "Json", "settings_of"]

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default ./offhook.toml).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def settings_of(config: Path | None, **flags: object) -> Settings:
    """The effective settings; a flag ``a__b`` is the setting ``a.b``. Raises SettingsError."""
    from offhook.settings import load

    given = {name.replace("__", "."): value for name, value in flags.items()}
    return load(given, file=config)

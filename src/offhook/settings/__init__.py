"""
Every setting with its origin, and the only reader of the environment and of files.

Precedence: flag, environment, ``.env``, ``offhook.toml``, default. A setting says where it came from, a secret never
shows itself, and a mistake names the setting, what was got, what was wanted, where it is written and what to do.
Knows nothing of Offhook's other parts: whether a value can work is judged in ``checks/settings.py``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offhook.settings.files import Read, Section, check_environment, read_dotenv, read_toml, sections
from offhook.settings.known import AGENT, ALIASES, FALLS_TO, SPECS, TABLES, Table
from offhook.settings.spec import Secret, SettingsError, Spec, Value, convert, shown

__all__ = [
    "AGENT",
    "ALIASES",
    "FALLS_TO",
    "SPECS",
    "TABLES",
    "Secret",
    "Section",
    "Settings",
    "SettingsError",
    "Spec",
    "Table",
    "Value",
    "load",
    "shown",
]

FILE = "offhook.toml"
_SECRET_CHARS = 8  # a word of a secret text ("Bearer …") that is as long is one by itself


@dataclass(frozen=True)
class Settings:
    """All settings, resolved once. ``settings["provider.name"]`` is a value, ``origin(name)`` where it came from."""

    values: Mapping[str, Value]
    base: Path  # what relative paths are relative to
    file: Path | None
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)  # the proxy variables only
    tables: Mapping[str, tuple[Section, ...]] = field(default_factory=dict)  # by Table: [agents.NAME], [[route]]
    flags: Mapping[str, Any] = field(repr=False, default_factory=dict)  # as they were given

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def told(self, name: str, value: Any, origin: str) -> Settings:
        """These settings with one that was found out meanwhile, as a tunnel's address."""
        return replace(self, values={**self.values, name: Value(value, origin)})

    def origin(self, name: str) -> str:
        return self.values[name].origin

    def sections(self, table: str) -> tuple[Section, ...]:
        """The sections of a Table, as they stand in the file."""
        return self.tables.get(table, ())

    def secrets(self) -> list[str]:
        """Every secret's value, proxies' passwords among them, for the sieve that keeps them out of logs."""
        given = [
            *self.values.values(),
            *(v for many in self.tables.values() for one in many for v in one.values.values()),
        ]
        single = [one for v in given for one in (v.value.values() if isinstance(v.value, dict) else (v.value,))]
        own = [one.reveal() for one in single if isinstance(one, Secret) and one]
        own += [word for text in own if " " in text for word in text.split() if len(word) >= _SECRET_CHARS]
        own += [found for url in own if (found := _password(url))]
        return own + [found for url in self.environment.values() if (found := _password(url))]

    def table(self) -> list[tuple[str, str, str]]:
        """Name, value as it may be shown, origin; of sections that come more than once what is written in them."""
        single = [(name, shown(value.value), value.origin) for name, value in self.values.items()]
        return single + [
            (f"{section.title}.{name}", shown(value.value), value.origin)
            for many in self.tables.values()
            for section in many
            for name, value in section.values.items()
        ]

    def path(self, name: str) -> Path | None:
        """A setting that names a file, made absolute; None when empty."""
        text = str(self[name])
        return (self.base / Path(text).expanduser()) if text else None

    def again(self) -> Settings:
        """The same sources read anew: flags as they were given, files and environment as they are now."""
        return load(self.flags, file=self.file, cwd=self.base)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:  # no URL: whoever uses the proxy says so
        return None


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    cwd: Path | None = None,
) -> Settings:
    """
    Resolve all settings. ``flags`` are by setting name, None meaning "not given".

    Raises SettingsError with every problem there is, not the first.
    """
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environment is None else environment)
    path = file or (cwd / FILE if (cwd / FILE).is_file() else None)
    problems: list[str] = []
    from_file = read_toml(path, problems) if path is not None else Read()
    dotenv = (path.parent if path is not None else cwd) / ".env"
    from_dotenv = read_dotenv(dotenv, problems) if dotenv.is_file() else {}
    values: dict[str, Value] = {}
    for spec in SPECS:
        raw, origin = _find(spec, flags or {}, env, from_dotenv, from_file.values)
        values[spec.name] = Value(convert(spec, raw, origin, problems), origin)
    tables = sections(from_file, env, from_dotenv, problems)
    check_environment(env, problems)
    if problems:
        raise SettingsError(problems)
    name = values["provider.name"]
    values["provider.name"] = Value(ALIASES.get(name.value, name.value), name.origin)
    proxies = {key: env[key] for key in env if key.lower() in ("https_proxy", "http_proxy", "no_proxy")}
    base = path.parent if path is not None else cwd
    return Settings(values, base, path, proxies, tables, dict(flags or {}))


def _find(
    spec: Spec,
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, str]],
    toml: Mapping[str, tuple[Any, str]],
) -> tuple[Any, str]:
    if flags.get(spec.name) is not None:
        return flags[spec.name], f"flag --{spec.name.partition('.')[2].replace('_', '-')}"
    if spec.variable in env:
        return env[spec.variable], f"environment {spec.variable}"
    if spec.variable in dotenv:
        return dotenv[spec.variable]
    if spec.name in toml:
        return toml[spec.name]
    return spec.default, "default"

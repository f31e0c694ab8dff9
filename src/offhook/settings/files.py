"""
Reading ``offhook.toml`` and ``.env``: what stands where, and what no setting is called.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from offhook.settings.known import SPECS, TABLES, Table
from offhook.settings.spec import Secret, SettingsError, Spec, Value, convert

__all__ = ["Read", "Section", "check_environment", "read_dotenv", "read_toml", "sections"]

_NAMES = frozenset(spec.name for spec in SPECS)
_VARIABLES = frozenset(spec.variable for spec in SPECS)
_TABLES: Mapping[str, Table] = {table.name: table for table in TABLES}
_HEADER = re.compile(r"""\s*\[{1,2}\s*([\w."'-]+)\s*\]""")
_QUOTES = re.compile(r"[\"']")
_SECTION_NAME = re.compile(r"[A-Za-z0-9][\w-]*\Z")
_NOT_SETTINGS = {"OFFHOOK_DEBUG", "OFFHOOK_SIDE_EFFECTS"}  # the second is of offhook.testing


@dataclass(frozen=True)
class Section:
    """One section of a Table: only what is written in it; ``in`` asks for that."""

    name: str  # of [agents.NAME]; of [[route]] its number from 1
    title: str  # agents.NAME, or route 1
    where: str
    values: Mapping[str, Value]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def origin(self, name: str) -> str:
        return self.values[name].origin


@dataclass(frozen=True)
class Raw:
    """One section of a Table as it stands in the file."""

    name: str
    title: str
    where: str
    keys: Mapping[str, tuple[Any, str]]


@dataclass
class Read:
    """A settings file, read: values by setting, and the sections of tables, each with where it stands."""

    values: dict[str, tuple[Any, str]] = field(default_factory=dict)
    sections: dict[str, list[Raw]] = field(default_factory=dict)


def read_toml(path: Path, problems: list[str]) -> Read:
    """What ``path`` says. Raises SettingsError where it cannot be read at all."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError([f"{path}: no such file; `offhook init` writes one"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from None
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or a number or a nesting beyond Python's
        raise SettingsError([f"{path}: not TOML: {str(error)[:200]}"]) from None
    read = Read()
    for section, keys in data.items():
        if section in _TABLES:
            read.sections[section] = _raw_sections(_TABLES[section], keys, path.name, text, problems)
        elif not isinstance(keys, dict):
            problems.append(f"{path.name}: {section} stands outside a section; wanted [section] and key = value")
        else:
            for key, value in keys.items():
                name = f"{section}.{key}"
                where = f"{path.name}:{_header(text, name) or _line(text, section, key)}"
                if name in _NAMES:
                    read.values[name] = (value, where)
                else:
                    problems.append(f"{name}: no such setting ({where}){_hint(name, _NAMES)}")
    return read


def _raw_sections(table: Table, given: Any, file: str, text: str, problems: list[str]) -> list[Raw]:
    kind = dict if table.named else list
    entries = list(given.items()) if isinstance(given, dict) else list(enumerate(given, 1)) if given else []
    if not isinstance(given, kind) or not all(isinstance(keys, dict) for _, keys in entries):
        wanted = f"[{table.name}.NAME]" if table.named else f"[[{table.name}]]"
        problems.append(f"{table.name}: got {type(given).__name__} ({file}:{_line(text, table.name)}), "
                        f"wanted {wanted} and key = value; correct it")  # fmt: skip
        return []
    found = []
    for name, keys in entries:
        header, nth = (f"{table.name}.{name}", 1) if table.named else (table.name, int(name))
        title = header if table.named else f"{table.name} {name}"
        where = f"{file}:{_line(text, header, nth=nth)}"
        if table.named and not _SECTION_NAME.match(str(name)):
            problems.append(f"{title}: got {str(name)!r} ({where}), wanted letters, digits, - and _; rename it")
        placed = {key: (value, f"{file}:{_line(text, header, key, nth)}") for key, value in keys.items()}
        found.append(Raw(str(name), title, where, placed))
    return found


def _header(text: str, section: str) -> int:
    """The line of the first header of a section or of one inside it; 0 where it has none."""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header and f"{re.sub(_QUOTES, '', header[1])}.".startswith(f"{section}."):
            return number
    return 0


def _line(text: str, section: str, key: str = "", nth: int = 1) -> int:
    """The line that a key is written on, or the ``nth`` header of a section."""
    current, seen, header_at = "", 0, 1
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            current = re.sub(_QUOTES, "", header[1])
            if current == section:
                seen += 1
                if seen == nth:
                    header_at = number
                    if not key:
                        return number
        elif key and current == section and seen == nth and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return header_at


def sections(
    read: Read, env: Mapping[str, str], dotenv: Mapping[str, tuple[str, str]], problems: list[str]
) -> dict[str, tuple[Section, ...]]:
    """The sections of every Table, each value converted and with its origin."""
    found: dict[str, tuple[Section, ...]] = {}
    for table in TABLES:
        fields = {spec.name: spec for spec in table.fields}
        made = []
        for raw in read.sections.get(table.name, ()):
            values = {}
            for key, (value, where) in raw.keys.items():
                if key not in fields:
                    problems.append(f"{raw.title}.{key}: no such setting ({where}){_hint(key, fields)}")
                    continue
                spec = fields[key]
                named = Spec(f"{raw.title}.{key}", spec.kind, spec.default, spec.help, "", spec.choices, spec.least,
                             spec.most)  # fmt: skip
                if spec.kind is Secret:
                    values[key] = _secret(named.name, value, where, env, dotenv, problems)
                elif spec.kind is dict and isinstance(value, dict):
                    values[key] = Value(_filled(named.name, value, where, {**dotenv, **_only(env)}, problems), where)
                else:
                    values[key] = Value(convert(named, value, where, problems), where)
            made.append(Section(raw.name, raw.title, raw.where, values))
        found[table.name] = tuple(made)
    return found


def _secret(
    name: str,
    given: Any,
    where: str,
    env: Mapping[str, str],
    dotenv: Mapping[str, tuple[str, str]],
    problems: list[str],
) -> Value:
    """A secret of a table: the file names the variable that holds it."""
    variable = given.removeprefix("env:").strip() if isinstance(given, str) and given.startswith("env:") else ""
    if not variable:
        problems.append(f'{name}: got a value ({where}), wanted "env:NAME"; put the secret into .env under a name')
    elif variable in env:
        return Value(Secret(env[variable]), f"environment {variable}")
    elif variable in dotenv:
        return Value(Secret(dotenv[variable][0]), dotenv[variable][1])
    else:
        problems.append(f"{name}: {variable} is not set ({where}), wanted a secret; put {variable}=... into .env")
    return Value(Secret(""), where)


_REFERENCE = re.compile(r"\{env:(\w+)\}")


def _only(env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (value, f"environment {name}") for name, value in env.items()}


def _filled(
    name: str, given: Mapping[str, Any], where: str, known: Mapping[str, tuple[str, str]], problems: list[str]
) -> dict[str, Any]:
    """A table whose texts may hold ``{env:NAME}``; a text that does is a secret."""
    made: dict[str, Any] = {}
    for key, value in given.items():
        wanted = _REFERENCE.findall(value) if isinstance(value, str) else []
        missing = [variable for variable in wanted if variable not in known]
        problems += [f"{name}.{key}: {variable} is not set ({where}), wanted a secret; put {variable}=... into .env"
                     for variable in missing]  # fmt: skip
        if wanted and not missing:
            made[key] = Secret(_REFERENCE.sub(lambda found: known[found[1]][0], value))
        else:
            made[key] = value
    return made


def _hint(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; `offhook config` lists them"


def read_dotenv(path: Path, problems: list[str]) -> dict[str, tuple[str, str]]:
    """Values of a ``.env`` by name, each with where it stands."""
    from dotenv.parser import parse_stream

    found: dict[str, tuple[str, str]] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                line = binding.original.line
                if binding.error:
                    problems.append(f".env:{line}: not NAME=value; correct the line")
                elif binding.key and binding.value is not None:
                    found[binding.key] = (binding.value, f".env:{line}")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
    for key, (_, where) in found.items():
        if key.startswith("OFFHOOK_") and key not in _VARIABLES:
            problems.append(f"{key}: no such setting ({where}){_hint(key, _VARIABLES)}")
    return found


def check_environment(env: Mapping[str, str], problems: list[str]) -> None:
    """Variables that look like settings and are none."""
    strange = [key for key in env if key.startswith("OFFHOOK_") and key not in _VARIABLES | _NOT_SETTINGS]
    problems += [f"{key}: no such setting (environment){_hint(key, _VARIABLES)}" for key in strange]

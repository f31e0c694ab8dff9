"""
What an agent is told, in parts: its own words, its files, and those of a workspace. Read once, when the settings are.

A workspace is a folder with an ``ABOUT.md``, or with a ``gptme.toml`` whose ``[prompt]`` lists files (gptme's own
format, docs at gptme.org/docs/config.html; seen 2026-11-25). ``context_cmd`` of that file is not run.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from msgspec import Struct

from offhook.agent.agents import AgentProblem
from offhook.agent.profile import Profile

__all__ = ["ABOUT", "OWN", "Part", "Persona", "read_persona"]

MOST_BYTES = 1024 * 1024  # of one file; a prompt of that size fits no session
MOST_FILES = 100  # that one pattern of a workspace may stand for

# Ranks: what has the higher one is cut first.
OWN, CALLER, ABOUT, LISTED, WORKSPACE = 0, 1, 2, 3, 4


class Part(Struct, frozen=True):
    """A piece of what the agent is told."""

    name: str
    source: str
    text: str
    rank: int = OWN


class Persona(Struct, frozen=True):
    """All of an agent's own parts, the files that they came from, and what is worth knowing of them."""

    parts: tuple[Part, ...]
    files: tuple[Path, ...]  # all that were looked at: a change of one makes another persona
    remarks: tuple[str, ...] = ()


def read_persona(profile: Profile) -> tuple[Persona, list[AgentProblem]]:
    """The agent's parts from its settings and files, and what is wrong with them."""
    reading = _Reading(profile)
    reading.own_words()
    for name in profile["files"]:
        path = profile.absolute(name)
        text = reading.file("files", path)
        if text is not None:
            reading.parts.append(Part(path.name, reading.shown(path), _titled(path.name, text), LISTED))
    folder = profile.path("workspace")
    if folder is not None:
        reading.workspace(folder)
    languages = profile["languages"]
    if languages:
        text = f"You speak these languages: {', '.join(languages)}. Begin in {languages[0]}."
        if len(languages) > 1:
            text += " When the caller speaks another of them, go on in that one."
        reading.parts.insert(1, Part("languages", profile.origin("languages"), text))
    parts = tuple(part for part in reading.parts if part.text.strip())
    return Persona(parts, tuple(reading.files), tuple(reading.remarks)), reading.problems


def _titled(name: str, text: str) -> str:
    return f"# {name}\n\n{text.strip()}"


class _Reading:
    """One agent's files being read."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.parts: list[Part] = []
        self.files: list[Path] = []
        self.remarks: list[str] = []
        self.problems: list[AgentProblem] = []

    def bad(self, field: str, got: str, wanted: str, fix: str) -> None:
        profile = self.profile
        self.problems.append(AgentProblem(profile.setting(field), f"{got} ({profile.origin(field)})", wanted, fix))

    def shown(self, path: Path) -> str:
        """A path as a person reads it: relative to the settings where it lies beside them."""
        base = self.profile.base
        return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)

    def own_words(self) -> None:
        profile = self.profile
        path = profile.path("instructions_file")
        if path is None:
            self.parts.append(Part("instructions", profile.origin("instructions"), profile["instructions"]))
            return
        if profile["instructions"]:
            name = profile.setting("instructions")
            self.bad("instructions_file", f"a file and {name}", "one of the two", "remove one")
        text = self.file("instructions_file", path)
        self.parts.append(Part("instructions", self.shown(path), (text or "").strip("\n")))

    def file(self, field: str, path: Path) -> str | None:
        """A file that has to be there; None, with the reason, where it cannot be read."""
        try:
            return self._read(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            self.bad(field, f"{path}: {why}", "a text file", "write it, or correct the path")
            return None

    def _read(self, path: Path) -> str:
        self.files.append(path)
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"over {MOST_BYTES} bytes")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None

    def workspace(self, folder: Path) -> None:
        about, config = folder / "ABOUT.md", folder / "gptme.toml"
        self.files += [about, config]
        if about.is_file() and (text := self.file("workspace", about)) is not None:
            self.parts.append(Part("ABOUT.md", self.shown(about), _titled("ABOUT.md", text), ABOUT))
        if config.is_file():
            self._gptme(folder, config)
        elif not about.is_file():
            there = "no such folder" if not folder.is_dir() else "neither ABOUT.md nor gptme.toml in it"
            self.bad("workspace", f"{folder}: {there}", "a folder with one of these", "correct the path")

    def _gptme(self, folder: Path, config: Path) -> None:
        """The files that a ``gptme.toml`` names, by name or pattern; what matches nothing is said and left out."""
        text = self.file("workspace", config)
        try:
            data = tomllib.loads(text or "")
        except ValueError as error:
            self.bad("workspace", f"{config}: not TOML: {str(error)[:120]}", "a gptme.toml", "correct it")
            return
        prompt: Any = data.get("prompt")
        section = prompt if isinstance(prompt, dict) else data  # the older form has the same keys at the top
        said = section.get("prompt")
        if isinstance(said, str) and said.strip():
            self.parts.append(Part("gptme.toml prompt", self.shown(config), said.strip(), ABOUT))
        if section.get("context_cmd"):
            self.remarks.append(f"{self.shown(config)}: context_cmd is not run")
        patterns = section.get("files", [])
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            self.bad("workspace", f"{config}: files is no list of texts", "a list of texts", "correct it")
            return
        for pattern in patterns:
            self._pattern(folder, config, pattern)

    def _pattern(self, folder: Path, config: Path, pattern: str) -> None:
        expanded = Path(pattern).expanduser()
        try:
            found = [expanded] if expanded.is_absolute() else sorted(folder.glob(pattern))
        except (ValueError, NotImplementedError, OSError) as error:
            self.remarks.append(f"{self.shown(config)}: {pattern!r}: {error}; left out")
            return
        there = [path for path in found if path.is_file()]
        if not there:
            self.remarks.append(f"{self.shown(config)}: {pattern!r} matches no file; left out")
        if len(there) > MOST_FILES:
            self.remarks.append(
                f"{self.shown(config)}: {pattern!r} matches {len(there)} files; the first {MOST_FILES} are taken"
            )
        known = {part.source for part in self.parts}
        for path in there[:MOST_FILES]:
            if self.shown(path) in known:
                continue
            name = str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
            try:
                self.parts.append(Part(name, self.shown(path), _titled(name, self._read(path)), WORKSPACE))
            except (OSError, ValueError) as error:
                self.remarks.append(f"{self.shown(path)}: {getattr(error, 'strerror', None) or error}; left out")

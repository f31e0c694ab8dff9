"""
The tools that ``offhook.toml`` declares: ``[tools.NAME]`` made into tools, every mistake named with its place.

Imports the user's Python files; starts nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Struct

from offhook.agent.tools.box import Source
from offhook.agent.tools.delegate import Delegate, delegate_tool, gptme
from offhook.agent.tools.function import function_tool, marked
from offhook.agent.tools.http import Endpoint, http_tool
from offhook.agent.tools.jobs import Jobs, in_background
from offhook.agent.tools.mcp import McpServer, Server
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import NAME, DeclarationError, Limits, Tool
from offhook.outward import split
from offhook.proxies import choose_proxy
from offhook.settings import Secret, Section, Settings

__all__ = ["Declared", "declared", "fingerprint", "python_files"]

KINDS = ("python", "url", "mcp", "command", "gptme")
TYPES: Mapping[str, Any] = {
    "string": str, "str": str, "text": str, "integer": int, "int": int, "number": float, "float": float,
    "boolean": bool, "bool": bool,
}  # fmt: skip
OWN = ("hang_up", "transfer_call", "press_keys", "collect_digits", "job_status", "job_cancel")
DELEGATE_S = 300.0
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")
_LIMITS = tuple(name for name in Limits.__struct_fields__ if name not in ("dry_run", "deadline_s"))


class Declared(Struct, frozen=True):
    """What was declared, and what cannot be."""

    tools: tuple[Tool, ...]
    sources: tuple[Source, ...]
    problems: tuple[DeclarationError, ...]
    files: tuple[Path, ...] = ()  # of Python, which it was read from

    def ready(self, tool: Tool) -> Tool:
        """A tool of another origin, as a job where it says so."""
        jobs = next(source for source in self.sources if isinstance(source, Jobs))
        return _as_job(tool, jobs)

    def __bool__(self) -> bool:
        return bool(self.tools or self.servers)

    @property
    def servers(self) -> list[McpServer]:
        return [source for source in self.sources if isinstance(source, McpServer)]


def declared(settings: Settings) -> Declared:
    """All tools of a settings file. Raises nothing: what is wrong is in ``problems``."""
    tools: list[Tool] = []
    servers: list[McpServer] = []
    problems: list[DeclarationError] = []
    jobs = Jobs()
    for section in settings.sections("tools"):
        if "background" in section and section["background"]:
            jobs.offer()  # also where its tools come later, from a server
        try:
            made, server = _one(section, settings, jobs)
            tools += made
            servers += [server] if server is not None else []
        except DeclarationError as error:
            problems.append(error)
    seen: dict[str, Tool] = {}
    for tool in tools:
        other = seen.setdefault(tool.name, tool)
        if other is not tool or tool.name in OWN:
            got = (
                f"a second tool of this name, beside {other.where}" if other is not tool else "a name of Offhook's own"
            )
            problems.append(DeclarationError(tool.name, got, "one name, one tool", "rename it", tool.where))
    return Declared(tuple(tools), (*servers, jobs), tuple(problems), python_files(settings))


def python_files(settings: Settings) -> tuple[Path, ...]:
    """The files whose functions are tools: a change of one makes other tools."""
    places = [str(one["python"]).partition(":")[0] for one in settings.sections("tools") if "python" in one]
    return tuple(dict.fromkeys(_file(settings.base, place) for place in places if place.endswith(".py")))


def fingerprint(settings: Settings) -> Any:
    """The same for settings whose tools are the same."""
    said = {one.title: {name: value.value for name, value in one.values.items()} for one in settings.sections("tools")}
    return said, [_state(path) for path in python_files(settings)], dict(settings.environment)


def _file(base: Path, place: str) -> Path:
    return (base / Path(place).expanduser()).resolve()


def _state(path: Path) -> tuple[str, int, int]:
    """What tells one state of a file from another."""
    try:
        stat = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), stat.st_mtime_ns, stat.st_size)


def _one(section: Section, settings: Settings, jobs: Jobs) -> tuple[list[Tool], McpServer | None]:
    kinds = [kind for kind in KINDS if kind in section and section[kind]]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none of them"
        raise DeclarationError(section.name, got, f"one of {', '.join(KINDS)}", "say what it is", section.where)
    kind = kinds[0]
    if kind != "mcp" and not NAME.fullmatch(section.name):
        wanted = "a letter, then letters, digits, _ and -, 64 at most"
        raise DeclarationError(section.name, "this name", wanted, "rename it", section.where)
    limits = _limits(section, kind)
    if kind == "mcp":
        server = _server(section, settings)
        return [], McpServer(section.name, server, limits, section.where, lambda tool: _as_job(tool, jobs))
    tools = {"python": _python, "url": _http, "command": _command, "gptme": _command}[kind](
        section, settings, limits, jobs
    )
    if kind not in ("command", "gptme"):
        tools = [_as_job(tool, jobs, limits.background) for tool in tools]
    return tools, None


def _as_job(tool: Tool, jobs: Jobs, anyway: bool = False) -> Tool:
    if not (tool.limits.background or anyway):
        return tool
    jobs.offer()
    return in_background(tool, jobs)


def _limits(section: Section, kind: str) -> Limits:
    given: dict[str, Any] = {name: section[name] for name in _LIMITS if name in section}
    if kind == "url" and _method(section) == "GET":
        given.setdefault("changes", False)
    if "deadline_s" in section and section["deadline_s"] and kind not in ("command", "gptme"):
        given["deadline_s"] = section["deadline_s"]
    elif given.get("background") and kind in ("url", "mcp"):
        given["deadline_s"] = DELEGATE_S
    if section.values.get("dry_run") is not None and section["dry_run"]:
        given["dry_run"] = section["dry_run"]
    if given.get("retries") and given.get("changes", True) and not given.get("idempotent"):
        fix = "write idempotent = true if twice is as once, or changes = false if it only reads"
        raise DeclarationError(section.name, "retries of what changes something", "retries = 0", fix,
                               section.origin("retries"))  # fmt: skip
    return Limits(**given)


# ---------------------------------------------------------------------------------------------- by kind


def _python(section: Section, settings: Settings, limits: Limits, jobs: Jobs) -> list[Tool]:
    where = section.origin("python")
    place, _, name = str(section["python"]).partition(":")
    module = load(section.name, place, settings.base, where)
    if name:
        function = getattr(module, name, None)
        if not callable(function):
            has = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")][:12]
            fix = f"{place} has {', '.join(has) or 'no functions'}"
            raise DeclarationError(section.name, f"{name!r}", f"a function of {place}", fix, where)
        return [_function(section, function, limits, where)]
    found = [tool for value in vars(module).values() if (tool := marked(value)) is not None]
    only = section["only"] if "only" in section else ()
    if not found:
        fix = "write @tool above them (from offhook import tool), or name one as FILE.py:FUNCTION"
        raise DeclarationError(section.name, "no marked functions", f"functions with @tool in {place}", fix, where)
    chosen = [tool for tool in found if not only or tool.name in only]
    return [msgspec.structs.replace(tool, limits=_over(tool.limits, section, limits)) for tool in chosen]


def _over(base: Limits, section: Section, limits: Limits) -> Limits:
    """What the section says goes before what ``@tool`` says."""
    written = {name: getattr(limits, name) for name in Limits.__struct_fields__ if name in section}
    return msgspec.structs.replace(base, **written)


def _function(section: Section, function: Any, limits: Limits, where: str) -> Tool:
    """One function under the section's name."""
    base = marked(function)
    description = section["description"] if "description" in section else (base.description if base else "")
    merged = _over(base.limits, section, limits) if base else limits
    made = function_tool(function, name=section.name, description=description, limits=merged)
    return msgspec.structs.replace(made, where=f"{where}, {made.where}")


def load(tool: str, place: str, base: Path, where: str) -> ModuleType:
    """A module by file or by name; the file's folder can be imported from."""
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except Exception as error:
            got = f"{place}: {type(error).__name__}: {error}"[:200]
            raise DeclarationError(tool, got, "a module that can be imported", "correct it", where) from None
    path = _file(base, place)
    if not path.is_file():
        raise DeclarationError(tool, f"{path}: no such file", "a Python file", "correct the path", where)
    name = f"offhook_tools_{path.stem}_{abs(hash(_state(path)))}"  # an edited file is another module
    if name in sys.modules:
        return sys.modules[name]
    loader = SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        # not by exec_module, whose cache takes an edit within one second for the file before it
        exec(loader.source_to_code(path.read_bytes(), str(path)), module.__dict__)
    except DeclarationError:
        del sys.modules[name]
        raise
    except BaseException as error:  # SystemExit among them: a file that ends the process when it is imported
        del sys.modules[name]
        got = f"{path.name}: {type(error).__name__}: {error}"[:200]
        raise DeclarationError(tool, got, "a file that can be imported", "run it alone with python", where) from None
    return module


def _method(section: Section) -> str:
    return (section["method"] if "method" in section else "") or "GET"


def _http(section: Section, settings: Settings, limits: Limits, jobs: Jobs) -> list[Tool]:
    where = section.origin("url")
    try:
        split(str(section["url"]).replace("{", "x").replace("}", "x"))
    except ValueError as error:
        raise DeclarationError(section.name, str(error), "https://host/path", "correct the address", where) from None
    if not ("description" in section and section["description"]):
        raise DeclarationError(section.name, "no description", "a sentence that says what it does",
                               "write it: the model decides by it", section.where)  # fmt: skip
    arguments = _arguments(section)
    method = _method(section)
    allow = section["allow"] if "allow" in section else ()
    endpoint = Endpoint(
        url=section["url"], method=method, headers=_open(section, "headers"), allow=allow, proxy=_proxy(settings)
    )
    strange = [name for name in endpoint.arguments if name not in arguments.schema["properties"]]
    if strange:
        fix = f'declare it under parameters, as {strange[0]} = "string: what it is"'
        raise DeclarationError(section.name, f"{{{strange[0]}}} in url", "a parameter", fix, where)
    made = http_tool(section.name, endpoint, arguments, description=section["description"], limits=limits, where=where)
    return [made]


def _fields(section: Section) -> Mapping[str, Any]:
    return section["parameters"] if "parameters" in section else {}


def _arguments(section: Section) -> Arguments:
    fields = [_field(section, name, given) for name, given in _fields(section).items()]
    try:
        return Arguments(section.name, fields)
    except (TypeError, ValueError) as error:
        raise DeclarationError(section.name, str(error)[:200], "parameters that JSON has", "correct them",
                               section.origin("parameters")) from None  # fmt: skip


def _field(section: Section, name: str, given: Any) -> Any:
    """One parameter: "type: words", "type?" for an optional one, or a table."""
    where = section.origin("parameters")
    kind: Any
    if isinstance(given, str):
        kind, _, words = (part.strip() for part in given.partition(":"))
        given = {"type": kind.rstrip("?"), "description": words, "optional": kind.endswith("?")}
    kind = given.get("type", "string") if isinstance(given, Mapping) else None
    many = isinstance(kind, str) and kind.endswith("[]")
    base = TYPES.get(str(kind).removesuffix("[]"))
    if not isinstance(given, Mapping) or base is None or not name.isidentifier():
        wanted = f'"type: words" with a type of {", ".join(t for t in TYPES if len(t) > 4)}'
        raise DeclarationError(section.name, f"{name} = {given!r}"[:120], wanted, "correct it", where)
    choices = given.get("choices")
    if choices:
        base = Literal[tuple(choices)]
    hint: Any = list[base] if many else base  # type: ignore[valid-type]
    if given.get("description"):
        hint = Annotated[hint, msgspec.Meta(description=str(given["description"]))]
    if given.get("optional"):
        return (name, Union[hint, None], None)  # noqa: UP007 (Annotated has no |)
    return (name, hint)


def _open(section: Section, name: str) -> dict[str, str]:
    """A table of texts, with its secrets in the clear: for the one who sends them."""
    given = section[name] if name in section else {}
    return {key: value.reveal() if isinstance(value, Secret) else str(value) for key, value in given.items()}


def _cwd(section: Section, settings: Settings, name: str = "cwd") -> str | None:
    if name not in section or not section[name]:
        return None
    path = settings.base / Path(str(section[name])).expanduser()
    if not path.is_dir():
        got = f"{path}, which is no folder"
        raise DeclarationError(section.name, got, "a folder", "correct it", section.origin(name))
    return str(path)


def _proxy(settings: Settings) -> Callable[[str], str | None]:
    return lambda url: choose_proxy(url, settings.environment)


def _server(section: Section, settings: Settings) -> Server:
    given: Sequence[str] = section["mcp"]
    is_url = len(given) == 1 and given[0].startswith(("http://", "https://"))
    if is_url:
        try:
            split(given[0])
        except ValueError as error:
            raise DeclarationError(section.name, str(error), "https://host/path or a command", "correct the address",
                                   section.origin("mcp")) from None  # fmt: skip
    texts = {name: section[name] for name in ("oauth_client_id", "oauth_issuer", "oauth_scope") if name in section}
    return Server(
        url=given[0] if is_url else "", proxy=_proxy(settings),
        argv=() if is_url else tuple(given), env=_open(section, "env"),
        cwd=_cwd(section, settings), headers=_open(section, "headers"),
        allow=section["allow"] if "allow" in section else (), only=section["only"] if "only" in section else (),
        oauth_secret=section["oauth_secret"].reveal() if "oauth_secret" in section else "", **texts,
    )  # fmt: skip


def _command(section: Section, settings: Settings, limits: Limits, jobs: Jobs) -> list[Tool]:
    is_gptme = "gptme" in section and section["gptme"]
    argv = gptme(section["model"] if "model" in section else "") if is_gptme else tuple(section["command"])
    where = section.origin("gptme" if is_gptme else "command")
    _no_shell(section, argv, where)
    cwd = _cwd(section, settings)
    seconds = section["deadline_s"] if "deadline_s" in section and section["deadline_s"] else DELEGATE_S
    delegate = Delegate(
        argv=argv, env=_open(section, "env"), cwd=cwd or str(settings.base), deadline_s=seconds,
        stdin=section["stdin"] if "stdin" in section else "",
        after_call=section["after_call"] if "after_call" in section else "keep",
    )  # fmt: skip
    limits = msgspec.structs.replace(limits, deadline_s=10.0)
    words = section["description"] if "description" in section else ""
    return [delegate_tool(section.name, delegate, jobs, description=words, limits=limits, where=where)]


def _no_shell(section: Section, argv: Sequence[str], where: str) -> None:
    """A task is the model's text, and the caller's: a shell must never read it."""
    for before, part in zip(argv, argv[1:], strict=False):
        if Path(argv[0]).name in SHELLS and before.startswith("-") and "c" in before and "{task}" in part:
            fix = 'write "$OFFHOOK_TASK" there, in double quotes: a variable is not read as commands'
            raise DeclarationError(section.name, "{task} inside a shell's commands", "no text of a caller", fix, where)


def missing_program(tool: Tool) -> str:
    """The program of a delegate, if it is not on this machine."""
    program = tool.source.split(" ")[0]
    return "" if shutil.which(program) else program

"""
Python functions as tools: schema from the signature, words from the docstring.

``@tool`` marks a function and leaves it as it was. A parameter of type CallContext is given the call and hidden from
the model.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, overload

import msgspec

from offhook.agent.tools.context import CallContext
from offhook.agent.tools.schema import Arguments
from offhook.agent.tools.spec import NAME, DeclarationError, Limits, Tool
from offhook.agent.tools.threads import in_thread

__all__ = ["function_tool", "marked", "tool"]

_MARK = "__offhook_tool__"
_SECTION = re.compile(r"\s*(Args|Arguments|Parameters|Returns|Raises|Yields|Example|Examples|Note|Notes)\s*:?\s*$")
_ITEM = re.compile(r"\s*(?::param\s+)?\*?(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)")
F = TypeVar("F", bound=Callable[..., Any])


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, name: str = "", description: str = "", **limits: Any) -> Callable[[F], F]: ...
def tool(function: Any = None, *, name: str = "", description: str = "", **limits: Any) -> Any:
    """
    Let an agent call ``function``, sync or async.

    ``limits`` are the fields of ``Limits``: deadline_s, filler, filler_ms, changes, repeat_s, retries, idempotent,
    max_parallel, max_chars, background, does, dry_run. Raises DeclarationError for a signature that cannot be told.
    """

    def mark(function: Any) -> Any:
        setattr(function, _MARK, function_tool(function, name=name, description=description, limits=limits))
        return function

    return mark if function is None else mark(function)


def marked(function: Any) -> Tool | None:
    """The tool that ``@tool`` made of a function."""
    made = getattr(function, _MARK, None)
    return made if isinstance(made, Tool) else None


def function_tool(
    function: Callable[..., Any],
    *,
    name: str = "",
    description: str = "",
    limits: Mapping[str, Any] | Limits | None = None,
) -> Tool:
    """A tool of a function that was not marked."""
    name = name or function.__name__
    code = getattr(function, "__code__", None)
    where = f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""
    if not NAME.fullmatch(name):
        raise DeclarationError(name, "this name", "letters, digits, _ and -, 64 at most", "give it name=", where)
    words, told = _docstring(inspect.getdoc(function) or "")
    if not (description or words):
        fix = "write a docstring: the model decides by it when to call the tool"
        raise DeclarationError(name, "no docstring", "a sentence that says what it does", fix, where)
    arguments, context = _arguments(function, name, told, where)
    made = limits if isinstance(limits, Limits) else _limits(name, limits or {}, where)
    is_async = inspect.iscoroutinefunction(function)

    async def run(given: Mapping[str, Any], call: CallContext) -> Any:
        given = {**given, context: call} if context else given
        if is_async:
            return await function(**given)
        result = await in_thread(f"tool {name}", lambda: function(**given))
        return await result if asyncio.iscoroutine(result) else result

    return Tool(
        name=name, description=description or words, parameters=arguments.schema, read=arguments.read, run=run,
        kind="python", source=f"{where.partition(':')[0]}:{function.__qualname__}", where=where,
        limits=made, own_code=is_async, in_thread=not is_async,
    )  # fmt: skip


def _limits(name: str, given: Mapping[str, Any], where: str) -> Limits:
    strange = sorted(set(given) - set(Limits.__struct_fields__))
    if strange:
        wanted = ", ".join(Limits.__struct_fields__)
        raise DeclarationError(name, strange[0], f"one of {wanted}", "correct the name", where)
    try:
        return msgspec.convert(dict(given), Limits)
    except msgspec.ValidationError as error:
        raise DeclarationError(name, str(error), "a limit of that type", "correct it", where) from None


def _arguments(
    function: Callable[..., Any], name: str, told: Mapping[str, str], where: str
) -> tuple[Arguments, str | None]:
    """The parameters as a type, and the name of the one that takes the call."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        fix = "import what the annotation names at the top of the file"
        raise DeclarationError(name, f"an annotation that cannot be read: {error}", "a type", fix, where) from None
    fields: list[Any] = []
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise DeclarationError(name, f"{parameter}", "named parameters", "name what the model may give", where)
        if parameter.name not in hints:
            fix = f"write {parameter.name}: str, or whatever it is"
            raise DeclarationError(name, f"{parameter.name} without a type", "a type", fix, where)
        hint = hints[parameter.name]
        if hint is CallContext:
            context = parameter.name
            continue
        if parameter.name in told:
            hint = Annotated[hint, msgspec.Meta(description=told[parameter.name])]
        default = () if parameter.default is parameter.empty else (parameter.default,)
        fields.append((parameter.name, hint, *default))
    try:
        return Arguments(name, fields), context
    except (TypeError, ValueError) as error:
        fix = "use str, int, float, bool, Literal, Enum, list, dict, a dataclass or a msgspec Struct"
        raise DeclarationError(
            name, f"a type that has no schema: {error}"[:200], "one that JSON has", fix, where
        ) from None


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What the function does, and what is said of its parameters (Google's and Sphinx's way of writing)."""
    words: list[str] = []
    told: dict[str, str] = {}
    section, last = "", ""
    for line in text.splitlines():
        head = _SECTION.match(line)
        if head or line.lstrip().startswith(":return"):
            section, last = (head[1] if head else "Returns"), ""
            continue
        item = _ITEM.match(line)
        if item and (section in ("Args", "Arguments", "Parameters") or line.lstrip().startswith(":param")):
            last = item[1]
            told[last] = item[2].strip()
        elif last and line.strip():
            told[last] += " " + line.strip()
        elif not section:
            words.append(line)
    return "\n".join(words).strip(), told

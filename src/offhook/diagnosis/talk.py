"""
What was said and done on the provider's wire, beyond counting it: tool calls and their results, what the agent said,
whose words were transcribed, and every start of the carrier's stream. Knows the names of messages, no rule.

A flood of one type is sampled in a recording, so these are lists of what was kept: nothing follows from a number that
is small where the recording says that messages of that type were left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from offhook.diagnosis.facts import Fact
from offhook.evidence.record import Channel, Recording

__all__ = ["ENDS_CALL", "Heard", "Said", "Talk", "ToolCall", "ToolResult", "read_talk"]

KEPT = 1000
# Names of tools that end the call, or hand it over: nobody goes on after them.
ENDS_CALL = re.compile(r"hang_?up|end_?(the_?)?call|finish_?call|terminate|disconnect|goodbye|transfer", re.IGNORECASE)


class ToolCall(Fact, frozen=True, kw_only=True):
    """The model calls a tool."""

    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_json(self) -> bool:
        """Whether the arguments can be read; none at all counts as ``{}``."""
        return not self.arguments.strip() or _json(self.arguments) is not None


class ToolResult(Fact, frozen=True, kw_only=True):
    """The client answers a call."""

    id: str = ""
    output: str = ""

    @property
    def is_encoded_twice(self) -> bool:
        """Whether the text is a JSON string that holds JSON: the model reads out its quotes and braces."""
        inner = _json(self.output)
        return isinstance(inner, str) and inner.lstrip()[:1] in ("{", "[", '"') and _json(inner) is not None


class Said(Fact, frozen=True, kw_only=True):
    """What the agent said, by its transcript."""

    response: str = ""
    text: str = ""


class Heard(Fact, frozen=True, kw_only=True):
    """A turn of the caller that the provider took as ended."""

    item: str = ""


class Talk(Struct, frozen=True):
    """One call's talk."""

    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    said: tuple[Said, ...] = ()
    heard: tuple[Heard, ...] = ()
    transcribed: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()  # names in the sessions that were asked for
    streams: tuple[Fact, ...] = ()  # starts of the carrier's stream, each with another id

    def result(self, call_id: str) -> ToolResult | None:
        """The answer to a call; None where it was never sent."""
        return next((result for result in self.results if result.id == call_id), None)


def read_talk(call: Recording) -> Talk:
    """In one pass over the messages."""
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    said: list[Said] = []
    heard: list[Heard] = []
    transcribed: set[str] = set()
    tools: set[str] = set()
    streams: dict[str, Fact] = {}
    for line in call.messages():
        message = line.data.get("m")
        if not isinstance(message, dict):
            continue
        at: dict[str, Any] = {"line": line.number, "at_ms": line.at_ms}
        kind = str(message.get("type") or message.get("event"))
        channel = line.data["ch"]
        item = str(message.get("item_id") or "")
        if channel == Channel.FROM_CARRIER and kind == "start":
            streams.setdefault(str(message.get("streamSid") or message.get("stream_id") or ""), Fact(**at))
        elif channel == Channel.TO_PROVIDER and kind == "session.update":
            tools |= _names(message.get("session"))
        elif channel == Channel.TO_PROVIDER and kind == "conversation.item.create":
            results += _result(message.get("item"), at)
        elif channel != Channel.FROM_PROVIDER:
            continue
        elif kind == "response.function_call_arguments.done":
            name, given = (str(message.get(key) or "") for key in ("name", "arguments"))
            calls.append(ToolCall(id=str(message.get("call_id") or ""), name=name, arguments=given, **at))
        elif kind.endswith("audio_transcript.done"):
            text = str(message.get("transcript") or "")
            said.append(Said(response=str(message.get("response_id") or ""), text=text, **at))
        elif kind == "input_audio_buffer.speech_stopped" and item:
            heard.append(Heard(item=item, **at))
        elif kind.endswith("input_audio_transcription.completed") or kind.endswith("input_audio_transcription.failed"):
            transcribed.add(item)
    return Talk(
        calls=tuple(calls[:KEPT]), results=tuple(results[:KEPT]), said=tuple(said[:KEPT]), heard=tuple(heard[:KEPT]),
        transcribed=frozenset(transcribed), tools=frozenset(tools), streams=tuple(streams.values()),
    )  # fmt: skip


def _names(session: Any) -> set[str]:
    """Tools of a session; a record may keep only their names."""
    given = session.get("tools") if isinstance(session, Mapping) else None
    found: set[str] = set()
    for tool in given if isinstance(given, list) else ():
        found.add(str(tool.get("name")) if isinstance(tool, Mapping) else str(tool))
    return found


def _result(item: Any, at: dict[str, Any]) -> list[ToolResult]:
    if not isinstance(item, Mapping) or item.get("type") != "function_call_output":
        return []
    output = item.get("output")
    return [ToolResult(id=str(item.get("call_id") or ""), output=output if isinstance(output, str) else "", **at)]


def _json(text: str) -> Any:
    """What a text says as JSON; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

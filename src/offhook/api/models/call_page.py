"""A call page's data: the ladder, what messages mean, and the recording's shape."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from offhook.api.models.base import Answer
from offhook.api.models.calls import ToolRun

__all__: list[str] = []  # used as models.NAME


class LadderMessage(Answer):
    n: int
    at_ms: float
    channel: Literal["from_carrier", "to_carrier", "from_provider", "to_provider"]
    type: str
    bytes: int
    summary: str


class LadderNote(Answer):
    n: int
    at_ms: float
    kind: str
    data: dict[str, Any]


class Span(Answer):
    """A stretch of the time axis."""

    kind: Literal["caller", "generated", "heard", "unheard", "tool"]
    from_ms: float
    to_ms: float
    item: str
    text: str


class BargeIn(Answer):
    at_ms: float = Field(description="playback was cleared")
    spoke_ms: float | None = Field(
        description="the caller's first sound; null where a key or a written line interrupted"
    )
    item: str
    heard_ms: float | None
    of_ms: float | None
    proven_by: str
    n: int


class Deadline(Answer):
    at_ms: float
    name: str
    waited_ms: float | None = Field(description="until it was met, or given up")
    met: bool
    leg: str = Field(description="whose it was; of missed ones empty")
    n: int


class Reply(Answer):
    """An answer, from the end of the caller's speech, split by who had it."""

    at_ms: float
    ms: float
    parts: dict[str, float | None]


class Guilty(Answer):
    rule: str
    n: int
    at_ms: float
    kind: str = Field(description="of the line: msg, note; or what no arrow is drawn of, as counters")
    sentence: str


class Ladder(Answer):
    """A call page's data."""

    id: str
    call: str
    began: str
    running: bool
    length_ms: float
    messages: list[LadderMessage]
    notes: list[LadderNote]
    spans: list[Span]
    barge_ins: list[BargeIn]
    deadlines: list[Deadline]
    marks: dict[str, Any]
    milestones: list[LadderNote]
    tool_runs: list[ToolRun]
    replies: list[Reply]
    guilty: list[Guilty] = Field(description="messages that findings point at")
    recording: bool


class FieldMeaning(Answer):
    path: str
    value: Any
    means: str = Field(description="empty: nothing is known of this field")
    source: str
    checked: str


class Message(Answer):
    n: int
    at_ms: float
    kind: str
    channel: str
    wire: str
    type: str
    bytes: int | None
    message: dict[str, Any] = Field(description="as it was recorded: secrets out, audio as its length")
    means: str
    fields: list[FieldMeaning]


class Peaks(Answer):
    from_ms: int
    to_ms: int
    bins: int
    bin_ms: float
    caller: list[list[int]] = Field(description="[min, max] a bin, of -127 to 127")
    agent: list[list[int]]

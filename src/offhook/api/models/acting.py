"""What may be asked of calls, of numbers and of the carrier, and how it went."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from offhook.api.models.base import NUMBER, Answer, Body, Text
from offhook.net.outbound import PARAMETER_CHARS, PARAMETER_NAME

__all__: list[str] = []  # used as models.NAME


class Say(Body):
    text: str = Text


class Inject(Body):
    text: str = Text
    respond: bool = Field(False, description="let the agent answer to it")


class Mute(Body):
    who: Literal["caller", "agent"]
    on: bool = True


class Hold(Body):
    on: bool = True


class Dtmf(Body):
    digits: str = Field(min_length=1, max_length=64, pattern=r"^[0-9*#A-DwW]+$")


class Transfer(Body):
    target: str = Field(pattern=NUMBER, description="a number as +15550100002, or a sip: URI")
    announcement: str = Field("", max_length=1000, description="said, and heard, before")
    failed: Literal["agent", "line"] = Field("agent", description="what becomes of a caller whom nobody takes")


class HandOver(Body):
    agent: str = Field(min_length=1, max_length=128)


class PauseRecording(Body):
    """``on``: the recording is paused; the audio of that time is silence in it."""

    on: bool = True
    why: str = Field("asked", max_length=200)


class Done(Answer):
    """How something that was asked of a call went."""

    id: str
    what: str
    outcome: str = Field(description="one word; asked: it is still under way")
    detail: str


ParameterName = Annotated[str, Field(pattern=PARAMETER_NAME)]
ParameterValue = Annotated[str, Field(max_length=PARAMETER_CHARS)]
# Said of the names by pattern alone, JSON Schema lets in every other name as well.
Parameters = Annotated[
    dict[ParameterName, ParameterValue], Field(max_length=20, json_schema_extra={"additionalProperties": False})
]


class Place(Body):
    """What is left out is as the section [outbound] says."""

    to: str = Field(pattern=NUMBER)
    from_: str | None = Field(
        None, alias="from", pattern=r"^\+[1-9][0-9]{6,14}$", description="one of the account's numbers"
    )
    agent: str | None = Field(None, max_length=128)
    ring_s: float | None = Field(None, ge=5, le=600)
    hello_s: float | None = Field(None, ge=0, le=30, description="wait so long for the other side's first word")
    machine: Literal["off", "detect", "beep"] | None = None
    voicemail: Literal["talk", "hang_up", "message"] | None = None
    machine_sure: float | None = Field(None, ge=0.5, le=1, description="act on our own ear from here on")
    message: str | None = Field(None, max_length=1000, description="left after the beep")
    send_digits: str | None = Field(None, max_length=32, pattern=r"^[0-9*#wW]*$")
    parameters: Parameters | None = Field(
        None, description="custom ones: {{parameter.NAME}} of what the agent is told, and for tools"
    )


class Enqueue(Place):
    due_at: int | None = Field(None, ge=0, le=2**53, description="milliseconds since 1970; left out: now")
    tries: int | None = Field(None, ge=1, le=100, description="at most; left out: outbound.tries")


class Queued(Answer):
    """A call on the list."""

    id: str
    called: str
    agent: str
    state: str = Field(description="waiting, calling, unknown, done, given up, refused, cancelled or blocked")
    tries: int
    most_tries: int
    due_at: int
    call: str = Field(description="of the last try")
    status: str
    detail: str


class QueueList(Answer):
    queue: list[Queued]


class Refuse(Body):
    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$")
    why: str = Field("asked", min_length=1, max_length=200)


class Refused(Answer):
    """A number that nobody is called under."""

    id: str = Field(description="the number's keyed hash on this installation: the number is not kept")
    number: str = Field(description="masked")
    why: str
    added_at: int


class RefusedList(Answer):
    numbers: list[Refused]
    next: str | None = Field(description="give it as `after` for the next page; null: this is the last one")


class StatusAt(Answer):
    at_s: float = Field(description="since it was asked for")
    status: str


class Placed(Answer):
    """A call that was asked for, and what became of it."""

    id: str
    call: str = Field(description="the carrier's name for it; empty while it has none")
    to: str
    from_: str = Field(alias="from")
    agent: str
    status: str
    code: int | None = Field(description="the carrier's, of a refusal; see /api/codes")
    http: int | None
    detail: str
    answered_by: str
    seconds: int | None
    sip: str
    over: bool
    history: list[StatusAt]


class Number(Answer):
    number: str
    points_at: str
    here: bool = Field(description="its calls come to this server")
    before: str = Field(description="where it pointed before offhook numbers point; empty: it was not changed")


class NumberList(Answer):
    numbers: list[Number]


class WhichNumber(Body):
    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$", description="one of the account's")


class Pointed(Answer):
    number: str
    detail: str = Field(description="where it points now, and where it did before")


class PlacedList(Answer):
    outbound: list[Placed]

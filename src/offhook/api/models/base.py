"""What all answers and bodies of the API are made of, and how a mistake is told."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["ID", "NUMBER", "Answer", "Body", "Mistake", "ProblemAnswer", "Text"]

_SIP = r"[!#-&(-;=?A-~]{1,120}"  # no quotes, brackets or @: as bridge/transfer.py has it
NUMBER = rf"^(\+[1-9][0-9]{{6,14}}|sips?:{_SIP}@{_SIP})$"
ID = r"^[A-Za-z0-9_.-]{1,128}$"
Text = Field(min_length=1, max_length=4000)


class Answer(BaseModel):
    """Given by us: a field that is not here is a defect of ours."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """Given to us: a field that is not here is a mistake of the caller's, and named."""

    model_config = ConfigDict(extra="forbid", strict=True, str_max_length=4000)

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """JSON has one kind of number: 82.0 is an integer to the schema, so it is one here."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class Mistake(Answer):
    """One thing that is wrong."""

    field: str
    got: str
    wanted: str
    where: str
    fix: str


class ProblemAnswer(Answer):
    """RFC 9457, with what was got, wanted, where, and the fix."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Mistake]

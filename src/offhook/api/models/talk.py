"""A talk from a screen."""

from __future__ import annotations

from pydantic import Field

from offhook.api.models.base import Answer, Body

__all__: list[str] = []  # used as models.NAME


class NewTalk(Body):
    """Whom somebody at a screen wants to speak with."""

    agent: str = Field(default="", max_length=128, description="by name; empty: whoever answers unknown callers")


class Ticket(Answer):
    """What lets one WebSocket in, once."""

    call: str
    ticket: str
    path: str
    agent: str
    expires_s: float

"""The server itself: who may ask, how it stands, its settings, agents, faults and checks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from offhook.api.models.base import Answer, Body
from offhook.checks.registry import NAMES

__all__: list[str] = []  # used as models.NAME


class LoginByCode(Body):
    code: str = Field(min_length=1, max_length=128, description="the one-time code of the link that serve printed")


class LoginByToken(Body):
    token: str = Field(min_length=1, max_length=256)


class Session(Answer):
    name: str
    scopes: list[str]
    how: Literal["token", "session", "loopback"]
    csrf: str = Field(description="to be sent with everything but GET; empty where no session asks")


class TokenRow(Answer):
    id: str
    name: str
    scopes: list[str]
    made_at: int
    until_at: int | None
    revoked_at: int | None
    good: bool


class TokenList(Answer):
    tokens: list[TokenRow]


class NewToken(Body):
    name: str = Field(min_length=1, max_length=100)
    scopes: list[Literal["read", "audio", "control", "place", "numbers", "admin"]] = Field(min_length=1, max_length=6)
    days: float = Field(0, ge=0, le=3650, description="0: until it is revoked")


class MadeToken(TokenRow):
    token: str = Field(description="shown this once")


class Health(Answer):
    version: str
    began_at: int
    ready: bool
    draining: bool
    public_url: str
    webhook: str = Field(description="what a number has to point at for its calls to come here")
    running: int
    limits: dict[str, float]
    load: dict[str, float | None]
    records: dict[str, Any] = Field(description="state: ok, behind or off, and why")
    store: dict[str, Any] = Field(description="state: starting, ok, behind or off, how many calls wait, and why")
    hooks: dict[str, Any] | None = Field(
        description="what is done after calls, and which of it fails; null: nothing is"
    )
    agents: dict[str, Any]
    watched: int = Field(description="subscribers of the live stream")
    boundaries: list[dict[str, Any]] = Field(description="of the checks that were run last, and of the last calls")


class Setting(Answer):
    name: str
    value: str = Field(description="a secret as its fingerprint")
    origin: str
    help: str


class SettingList(Answer):
    file: str | None
    settings: list[Setting]


class AgentBrief(Answer):
    name: str
    where: str
    provider: str
    model: str
    voice: str
    chars: int = Field(description="that it is told")
    tokens: int


class AgentRoute(Answer):
    number: str
    agent: str
    where: str


class AgentMistake(Answer):
    setting: str
    got: str
    wanted: str
    fix: str


class AgentList(Answer):
    agents: list[AgentBrief]
    routes: list[AgentRoute]
    default: str | None = Field(description="who answers what no route fits")
    problems: list[AgentMistake]


class AgentValue(Answer):
    value: str
    origin: str


class PromptPart(Answer):
    name: str
    source: str
    chars: int
    kept_chars: int
    tokens: int
    why_cut: str = Field(description="empty: it was kept whole")


class AgentDetail(Answer):
    """An agent in one call, an example unless numbers are given."""

    name: str
    where: str
    values: dict[str, AgentValue]
    call: dict[str, str]
    greeting: str
    parts: list[PromptPart]
    chars: int
    tokens: int
    text: str = Field(description="the whole of what it is told")
    remarks: list[str]
    problems: list[AgentMistake]


class Fault(Answer):
    id: str
    title: str
    boundary: str
    decides: list[str] = Field(description="rows of the catalogue")
    explains: list[str]
    since: str
    shown: Literal["played", "by hand"] = Field(description="by a simulated call, or by a record made by hand in part")


class FaultList(Answer):
    faults: list[Fault]


class FaultRow(Answer):
    id: str = Field(description="a row of the catalogue, or a worked example (E-…)")
    title: str
    by_hand: str = Field(description="what of its record no simulated call could leave; empty: nothing")


class PlayedCall(Answer):
    record: str = Field(description="its ladder, findings and messages are read as any call's")
    verdict: str
    line: str
    named: bool = Field(description="whether this fault is among what was found, from this call or from all of them")
    sentence: str = Field(description="in which words; empty where it is not named")


class PlayedFault(Answer):
    """A fault that was played in the virtual world, and what the diagnosis made of it."""

    row: str
    title: str
    sources: list[str]
    calls: list[PlayedCall]


class FaultPage(Fault):
    plays: list[FaultRow] = Field(description="what can be played; never empty")
    source: str
    lies: str
    page: str = Field(description="the manual's page, in Markdown")


class Code(Answer):
    code: str
    family: str
    name: str
    boundary: str
    meaning: str
    look: str
    liars: str
    source: str
    checked: str
    faults: list[str] = Field(description="rules that explain it")


class CodeList(Answer):
    codes: list[str]


class CheckInfo(Answer):
    name: str
    boundary: str
    proves: str
    cannot: str
    costs: str = Field(description="what running it live costs; empty: nothing")


class CheckRun(Answer):
    id: str
    names: list[str]
    live: bool
    full: bool
    state: Literal["running", "over", "failed"]
    began_at: int
    over_at: int | None
    steps: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    why: str


class CheckList(Answer):
    checks: list[CheckInfo]
    runs: list[CheckRun]


class RunChecks(Body):
    names: list[Annotated[str, Field(json_schema_extra={"enum": list(NAMES)})]] = Field(
        default=[], max_length=32, description="empty: all of them"
    )
    live: bool = Field(False, description="admit what costs money")
    full: bool = Field(False, description="admit what takes minutes")

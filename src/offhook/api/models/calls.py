"""Calls: lists, figures, transcripts, verdicts, and what was done after them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from offhook.api.models.base import Answer

__all__: list[str] = []  # used as models.NAME


class SaidLive(Answer):
    who: Literal["caller", "agent"]
    item: str
    text: str
    at_s: float


class PartialText(Answer):
    who: Literal["caller", "agent"]
    item: str
    text: str


class Stands(Answer):
    """The verdict on a running call as of a moment."""

    verdict: str = Field(description="broken or suspected where something is; else not proven, for it is not over")
    findings: list[str] = Field(description="rules")
    because: str
    judged_at: int = Field(description="milliseconds since 1970")


class Live(Answer):
    """A running call as it stands."""

    call: str
    record: str
    began_at: int = Field(description="milliseconds since 1970")
    state: str = Field(description="ringing, connected, ready, talking, on hold, transferred or ending")
    agent: str
    direction: str
    caller: str
    called: str
    carrier: str
    provider: str
    model: str
    voice: str
    caller_speaks: bool
    agent_speaks: bool
    reply_ms: int | None = Field(description="of the last answer, from the end of the caller's speech")
    barge_ins: int
    usd: float | None = Field(description="known cost so far; null: nothing is known of it")
    cost_unknown: list[str]
    tools: list[str] = Field(description="those that run now")
    troubles: list[str] = Field(description="what did not go as it should, the last 20")
    stands: Stands | None = Field(description="the verdict as it stands, judged while somebody watches; null: not yet")
    turns: list[SaidLive] = Field(description="the end of the talk, the last 40")
    partials: list[PartialText]


class CallRow(Answer):
    """A call in a list."""

    id: str = Field(description="the record's name")
    call: str = Field(description="the carrier's name for the call")
    state: str = Field(description="running, ended or died")
    agent: str
    direction: str
    caller: str
    called: str
    carrier: str
    provider: str
    model: str
    began_at: int = Field(description="milliseconds since 1970")
    seconds: float | None
    verdict: str = Field(description="healthy, broken, suspected, not proven; empty while it runs")
    because: str
    end_why: str
    wanted: bool | None
    usd: float | None = Field(description="what is known of the cost")
    cost_unknown: list[str] = Field(description="what is not known of it, by name")
    recording: str = Field(description="the recording's file; empty: there is none")
    findings: list[str] = Field(description="rules, in causal order")
    live: Live | None = Field(default=None, description="only of a running call")
    caller_number: str | None = Field(default=None, description="in full: with the scope numbers, if it is stored")
    called_number: str | None = None


class CallList(Answer):
    calls: list[CallRow]
    next: str | None = Field(description="cursor of the next page; null: this is the last one")
    source: Literal["store", "records"] = Field(description="records: the store cannot be read, and why says so")
    why: str


class FigureBucket(Answer):
    """What began within one stretch of time."""

    at: int = Field(description="its begin, milliseconds since 1970")
    verdicts: dict[str, int] = Field(description="calls by verdict")
    replies: int = Field(description="answers to what callers said")
    p50_ms: float | None = Field(description="of them, from the end of the caller's speech; null: there is none")
    p95_ms: float | None
    max_ms: float | None


class Found(Answer):
    rule: str
    title: str = Field(description="as the manual has it; empty for a carrier's code")
    calls: int = Field(description="in how many calls it was found")


class FoundList(Answer):
    findings: list[Found]


class Figures(Answer):
    bucket_ms: int
    calls: int
    partial: bool = Field(description="there are more calls: only the newest were looked at")
    buckets: list[FigureBucket] = Field(description="those in which a call began, the oldest first")


class ToolRun(Answer):
    id: str
    name: str
    at_ms: float
    ms: float | None
    args_ok: bool | None
    outcome: str = Field(description="empty: no end of it is on record")
    out_bytes: int | None
    filler: bool | None
    retried: int | None


class Latency(Answer):
    kind: str
    at_ms: float
    ms: float


class Usage(Answer):
    what: str
    amount: float | None
    usd: float | None = Field(description="null: unknown, and why says so")
    price: str
    source: str
    checked: str
    why: str


class Turn(Answer):
    at_ms: float
    end_ms: float | None
    who: Literal["caller", "agent", "tool", "act"]
    kind: str
    text: str
    heard: str = Field(description="of an agent's words what the caller heard")
    struck: str = Field(description="and what not")
    ms: int | None
    heard_ms: int | None
    estimated: bool = Field(description="the border between both is by share of time")
    final: bool
    language: str
    item: str


class Transcript(Answer):
    id: str
    call: str
    turns: list[Turn]


class Sent(Answer):
    """What is done after a call, by one hook; what was told is not shown, for it has the caller's words."""

    id: int
    call: str
    record: str
    hook: str = Field(description="[hooks.NAME]; summary, upload: those of the sections [summary] and [record]")
    key: str = Field(description="the idempotency key that the receiver gets with every try")
    state: str = Field(description="held (waits for the summary), queued, running, done or given up")
    tries: int
    due_at: int = Field(description="when it is tried next; of a running one when its claim ends")
    queued_at: int
    done_at: int | None
    error: str = Field(description="of the last try; empty: it went well, or there was none")


class SentList(Answer):
    sent: list[Sent]
    next: int | None = Field(description="give it as `before` for the next page; null: this is the last one")


class CallDetail(CallRow):
    """All of one call but its messages."""

    summary: str | None = Field(description="by a model, after the call; null: there is none, and summary_why says so")
    summary_why: str = Field(description="why there is no summary; empty: nobody asked for one, or it is not made yet")
    sent: list[Sent] | None = Field(description="what was done after it, hook by hook; null: the store cannot be read")

    voice: str
    endpoint: str
    began: str
    tool_runs: list[ToolRun]
    latencies: list[Latency]
    usage: list[Usage]
    milestones: list[dict[str, Any]]
    record_bytes: int
    damaged_lines: int


class Verdict(Answer):
    """As ``offhook explain --json``."""

    id: str
    call: str
    running: bool
    verdict: str
    exit: int
    because: str
    boundaries: list[dict[str, Any]] = Field(
        description="in causal order: boundary, observable, and state: proven, broken, suspected, not reached, "
        "not proven, or not part (of a call of this kind)"
    )
    ladder: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    symptoms: list[dict[str, Any]]
    others: list[dict[str, Any]]
    summary: dict[str, Any] | None


class TraceLine(Answer):
    n: int
    kind: str
    at_ms: float
    data: dict[str, Any]


class Trace(Answer):
    id: str
    lines: list[TraceLine]
    next: int | None = Field(description="give it as `after` for the next page")

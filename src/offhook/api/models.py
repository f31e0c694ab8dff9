"""
What the API takes and gives, as its schema has it. Names and units are contract; no answer has anything else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from offhook.checks.registry import NAMES

__all__: list[str] = []  # used as models.NAME

NUMBER = r"^(\+[1-9][0-9]{6,14}|sip:[!-~]{1,250})$"
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


# ------------------------------------------------------------------------------------------------ errors


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


# -------------------------------------------------------------------------------------------------- talk


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


# ------------------------------------------------------------------------------------------------- calls


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


# --------------------------------------------------------------------------------------------- call page


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


# --------------------------------------------------------------------------------------------- acting


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


# ---------------------------------------------------------------------------------------------- server


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
    store: dict[str, Any]
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

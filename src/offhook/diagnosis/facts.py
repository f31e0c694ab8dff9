"""
What a call's evidence consists of: frozen structs, one for each kind of note, each with the line it stands on.

Names are those of the notes in a recording. A field that a recording does not have, or has in another type, keeps
its default: a record may come from anywhere. Knows no rule.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from offhook.evidence.reach import is_private
from offhook.evidence.record import Line

__all__ = [
    "DECLINED", "Alert", "Boot", "CallStatus", "Close", "Deadline", "Dial", "DialFailure", "DialPhase", "DialRequest",
    "Dialled", "Difference", "Ending", "Exc", "Fact", "Hook", "Key", "Lag", "Listen", "MissedHook", "Profile",
    "ProviderError", "Public", "Rejected", "Rest", "Session", "Signature", "StreamUrl", "TaskExit", "Tool", "ToolDone",
    "Transfer", "Twiml", "Upgrade", "Violation", "read",
]  # fmt: skip


class Fact(Struct, frozen=True, kw_only=True):
    """Something a recording says; ``line`` is where."""

    line: int = 0
    at_ms: float = 0.0


F = TypeVar("F", bound=Fact)

# ------------------------------------------------------------------------------------------------- boot


class Key(Struct, frozen=True):
    """A secret as it may be known."""

    env: str = ""
    present: bool = False
    length: int = 0
    hash4: str = ""
    edge_space: bool = False
    is_none: bool = False
    looks_like: str | None = None  # the provider whose keys begin like this one
    odd: str = ""  # what else stands in it that no key has: "quote", "not ASCII"


class Public(Struct, frozen=True):
    """Under which URL the carrier is told to come."""

    url: str = ""
    origin: str = ""
    private: bool = False


class Listen(Struct, frozen=True):
    host: str = ""
    port: int = 0


class Profile(Struct, frozen=True):
    """The dated profile of the provider that was started."""

    provider: str = ""
    checked: str = ""
    speaks_first: str = ""
    duplex: str = "half"


class AgentFacts(Struct, frozen=True):
    """What the agent is told where nothing else is said, and the call's parameters that should change it."""

    instructions: str = ""
    uses_parameters: tuple[str, ...] = ()


class Boot(Fact, frozen=True, kw_only=True):
    """What the process was started with."""

    present: bool = False  # whether the recording says anything of it
    provider: str = ""
    model: str = ""
    voice: str = ""
    endpoint: str = ""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    proxy_env: tuple[str, ...] = ()
    public: Public = Public()
    listen: Listen = Listen()
    profile: Profile = Profile()
    agent: AgentFacts = AgentFacts()
    runtime: dict[str, Any] = field(default_factory=dict)
    clock_off_s: float | None = None
    limits: dict[str, float] = field(default_factory=dict)
    carrier: str = ""
    intended: str = ""  # the provider that a deployment names where the program itself runs another

    def value(self, name: str) -> str:
        """A setting's value as text; empty where it is not recorded."""
        given = self.settings.get(name, {}).get("value")
        return "" if given is None else str(given)

    def origin(self, name: str) -> str:
        return str(self.settings.get(name, {}).get("origin") or "")


# ---------------------------------------------------------------------------------------------- webhook


class Signature(Struct, frozen=True):
    """How a request's signature was judged; ``ok`` None: nobody looked."""

    present: bool = True
    ok: bool | None = None
    alg: str = ""
    variant: str = ""  # what differs, by the oracle: scheme, host, port, slash, query, body, algorithm, secret
    why: str = ""
    signed_url: str = ""  # the URL that it is valid for
    age_s: float | None = None

    def differs_in(self, *dimensions: str) -> bool:
        """Whether one of these is among what differs; "" stands for "nobody said"."""
        return (not self.variant and "" in dimensions) or any(one in dimensions for one in self.variant.split())


# Reasons for which a call is declined because the settings say so: nothing after the webhook is due then.
DECLINED = ("no-agent", "caller-denied", "caller-not-allowed", "caller-not-verified", "spend_day", "draining")


class Hook(Fact, frozen=True, kw_only=True):
    """A webhook request and its answer."""

    n: int = 1
    method: str = ""
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    query_keys: tuple[str, ...] = ()
    status: int | None = None
    ms: float | None = None
    content_type: str = ""
    bytes: int = 0
    call_sid: str = ""
    account: str = ""  # "same", "other", "" where nobody compared
    signature: Signature = Signature()
    redirected: tuple[str, ...] = ()
    retry: bool = False
    why: str = ""
    detail: str = ""
    parameter_in_query: bool = False  # what a POST carries in its body came in the query
    failed: str = ""  # the phase that failed where there was no answer: dns, tcp, tls, timeout
    from_afar: bool = False  # a proxy said that it came from the internet
    slow_step: str = ""
    final: bool = False  # it carries a final status of the call: no new call
    what: str = "voice"  # or "after", "status"

    @property
    def local(self) -> bool:
        """Whether it came by a private address from where that can be reached."""
        return bool(self.host) and is_private(self.host) and not self.from_afar


class MissedHook(Fact, frozen=True, kw_only=True):
    """A request for something that is not served."""

    method: str = ""
    path: str = ""
    status: int | None = None
    served: str = ""  # what is served instead
    upgrade: bool = False


class StreamUrl(Struct, frozen=True):
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    query_keys: tuple[str, ...] = ()


class Dialled(Fact, frozen=True, kw_only=True):
    """What a dial did wrong on purpose, and what it found."""

    why: str = ""  # empty where nothing was done that accounts for anything
    stops: str = ""  # the milestone from which on nothing is due
    excuses: tuple[str, ...] = ()  # findings that tell of what was dialled
    refused: bool = False  # the call came to nothing, and rightly
    faults: tuple[str, ...] = ()  # of the server, as the dial saw them


class Twiml(Fact, frozen=True, kw_only=True):
    """A TwiML document as the carrier reads it."""

    ok: bool | None = None
    code: str | None = None
    why: str = ""
    verb: str = ""
    stream: StreamUrl = StreamUrl()
    track: str | None = None
    next_verb: str | None = None
    next_pause_s: float | None = None
    parameters: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    action: bool = False
    chars: int = 0
    inline: bool = False  # sent in a REST request, whose limit is smaller
    rewritten: bool = False  # a tap put its own address into the stream's URL


class Upgrade(Fact, frozen=True, kw_only=True):
    """The carrier's WebSocket upgrade and its answer."""

    path: str = ""
    query_keys: tuple[str, ...] = ()
    host: str = ""
    status: int | None = None
    ms: float | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    signature: Signature = Signature()
    why: str = ""
    call_sid: str = ""
    active: int = 0  # calls that ran when it was refused


# -------------------------------------------------------------------------------------------- both legs


class Close(Fact, frozen=True, kw_only=True):
    """A WebSocket is gone. ``by``: "us" is the program under test, on either leg."""

    leg: str = ""
    code: int | None = None
    reason: str = ""
    by: str = "nobody"
    age_s: float | None = None
    clean: bool = False


class Violation(Fact, frozen=True, kw_only=True):
    """One broken rule of a wire's contract."""

    ch: int = 0
    wire: str = ""
    message: str = ""
    field: str | None = None
    got: str = ""
    wanted: str = ""
    source: str = ""
    by: str = ""
    code: str | None = None
    accepted: bool = False

    @property
    def leg(self) -> Literal["carrier", "provider"]:
        return "carrier" if self.ch < 2 else "provider"

    @property
    def outbound(self) -> bool:
        """Whether the program under test sent it."""
        return self.by == "us" if self.by in ("us", "peer") else self.ch in (1, 3)


# --------------------------------------------------------------------------------------------- provider


class DialRequest(Fact, frozen=True, kw_only=True):
    """A provider connection as it was asked for."""

    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    query_keys: tuple[str, ...] = ()
    header_names: tuple[str, ...] = ()
    via_proxy: str | None = None


class DialPhase(Fact, frozen=True, kw_only=True):
    phase: str = ""
    ms: float = 0.0


class DialFailure(Fact, frozen=True, kw_only=True):
    phase: str = ""
    cause: str = ""
    status: int | None = None
    body: str = ""
    via_proxy: str | None = None


class Dial(Fact, frozen=True, kw_only=True):
    """One attempt to reach the provider."""

    attempt: int = 1
    request: DialRequest | None = None
    phases: tuple[DialPhase, ...] = ()
    failure: DialFailure | None = None


class ProviderError(Fact, frozen=True, kw_only=True):
    """An error event of the provider; ``benign`` where its dated profile says so."""

    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""
    fatal: bool = False
    benign: bool = False


class Session(Fact, frozen=True, kw_only=True):
    """A session object as it crossed the wire: asked for (``update``), or told (``created``, ``updated``)."""

    kind: Literal["created", "update", "updated"] = "update"
    data: dict[str, Any] = field(default_factory=dict)


class Difference(Fact, frozen=True, kw_only=True):
    """A field of the session that the provider applied otherwise than asked."""

    field: str = ""
    asked: str = ""
    got: str = ""
    fatal: bool = False


class Rejected(Fact, frozen=True, kw_only=True):
    """Session settings that the provider refused."""

    field: str = ""
    code: str = ""
    message: str = ""


# ----------------------------------------------------------------------------------- bridge, tools, end


class Exc(Fact, frozen=True, kw_only=True):
    """An exception in the program under test."""

    task: str = ""
    type: str = ""
    where: str = ""
    text: str = ""
    after_end: bool = False


class TaskExit(Fact, frozen=True, kw_only=True):
    name: str = ""
    why: str = ""


class Lag(Fact, frozen=True, kw_only=True):
    """The process stood still."""

    ms: float = 0.0
    task: str = ""


class Deadline(Fact, frozen=True, kw_only=True):
    """A confirmation that did not come in time."""

    name: str = ""
    waited_ms: float = 0.0
    step: str = ""


class Tool(Fact, frozen=True, kw_only=True):
    id: str = ""
    name: str = ""
    args_ok: bool = True
    args_bytes: int = 0
    known: bool = True


class ToolDone(Fact, frozen=True, kw_only=True):
    id: str = ""
    name: str = ""
    ms: float | None = None
    outcome: str = ""
    out_bytes: int = 0
    out_shape: str = ""  # "string in string": encoded twice
    filler: bool = False
    detail: str = ""


class Rest(Fact, frozen=True, kw_only=True):
    """A REST request to the carrier and its answer."""

    op: str = "hang-up"
    http: int | None = None
    code: int | None = None
    ok: bool = True
    ms: float | None = None
    twiml_chars: int = 0
    detail: str = ""  # where nothing was answered: why
    machine_detection: str = ""
    voice_url: str = ""
    wanted: str = ""


class Transfer(Fact, frozen=True, kw_only=True):
    """A step of a call that was given to somebody else."""

    state: str = ""  # ringing answered, then completed busy no-answer failed canceled
    detail: str = ""
    seconds: int | None = None


class Alert(Fact, frozen=True, kw_only=True):
    """What the carrier itself says went wrong."""

    code: str = ""
    text: str = ""
    origin: str = "callback"


class CallStatus(Fact, frozen=True, kw_only=True):
    """What the carrier says of the phone call."""

    status: str = ""
    sip: int | None = None
    answered_by: str = ""
    direction: str = ""


class Ending(Fact, frozen=True, kw_only=True):
    """Who decided that the call ends, and why."""

    who: str = ""
    why: str = ""
    wanted: bool | None = None
    unplayed_ms: float = 0.0
    marks_open: int = 0


@cache
def _fields(kind: type[Fact]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Found once: what msgspec does for it is a quarter of the judgement of a long call."""
    return msgspec.structs.fields(kind)


def read(kind: type[F], line: Line, **more: Any) -> F:
    """A fact from a line; what does not fit the field's type is left out."""
    given: dict[str, Any] = {}
    for known in _fields(kind):
        value = more.get(known.name, line.data.get(known.name))
        if value is None or known.name in ("line", "at_ms"):
            continue
        if known.type is str and isinstance(value, (int, float)):
            value = str(value)
        try:
            given[known.name] = msgspec.convert(value, known.type, strict=False)
        except (msgspec.ValidationError, ValueError, OverflowError, RecursionError):
            continue
    return kind(line=line.number, at_ms=line.at_ms, **given)

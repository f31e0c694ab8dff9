"""
The events and commands that the bridge speaks: the whole contract between the pure parts.

An *event* is something that happened at a boundary; a *command* is something that shall be done.
Legs translate wire messages into events and commands into wire messages. The bridge takes events
and returns commands. Neither knows the clock or the network: every call takes ``now``, which is
seconds on one monotonic clock. A command never produces an event in the same call.

Audio payloads are base64 text as ASCII bytes, exactly as the wire carried them, so that the path
between two peers of the same format never decodes them. Knows nothing of any carrier or provider.
"""

import enum
from typing import Any, Literal

from msgspec import Struct


class Leg(enum.Enum):
    """One side of a call."""

    CARRIER = "carrier"
    PROVIDER = "provider"


class Encoding(enum.Enum):
    """An audio codec by its RTP name."""

    PCMU = "PCMU"
    PCMA = "PCMA"
    L16 = "L16"


class AudioFormat(Struct, frozen=True):
    """How audio is coded on one wire, mono."""

    encoding: Encoding
    rate_hz: int

    @property
    def bytes_per_second(self) -> int:
        return self.rate_hz * (2 if self.encoding is Encoding.L16 else 1)

    def ms(self, n_bytes: int) -> float:
        """Milliseconds that ``n_bytes`` of this format last."""
        return n_bytes * 1000 / self.bytes_per_second

    def __str__(self) -> str:
        return f"{self.encoding.value}/{self.rate_hz}"


PCMU_8K = AudioFormat(Encoding.PCMU, 8000)


class Event(Struct, frozen=True):
    """Something that happened at a boundary."""


class Command(Struct, frozen=True):
    """Something that shall be done at a boundary."""


class ProviderTraits(Struct, frozen=True):
    """
    What the bridge must know about a provider's manners; data that its wire file states.

    The bridge never asks which provider it is: it asks these.
    """

    name: str
    speaks_first: Literal["provider", "us"]
    echoes_session: bool  # repeats what it applied; False: "unconfirmed" after the deadline, byte ratios decide
    turn_events: bool  # reports SpeechStarted and responses; False: full duplex
    cancels_itself: bool  # stops its own response when the caller speaks
    truncates: bool  # takes Truncate(heard_ms)
    session_limit_s: float | None  # the provider cuts the session at this age; None: no known limit
    audio_in: AudioFormat  # what we send to it
    audio_out: AudioFormat  # what it sends to us
    takes_said: bool = False  # takes TellSaid


class CarrierTraits(Struct, frozen=True):
    """What the bridge must know about a carrier's manners; data that its wire file states."""

    name: str
    returns_marks: bool
    clears: bool
    ends_by_rest: bool  # REST credentials are there: a wanted end goes by REST, then stop is awaited
    shows: bool = False  # the caller has a screen and reads what is said


class ToolSpec(Struct, frozen=True):
    """A tool as the model is told of it."""

    name: str
    description: str
    parameters: dict[str, Any]  # JSON schema


class ToolPolicy(Struct, frozen=True):
    """How the bridge treats a tool while it runs; what it is made of is the runner's business."""

    deadline_s: float = 20.0  # then the model is answered without it, whatever the runner does
    filler: str = "cue"  # a spoken line or sound by name; "say:TEXT": the agent says it; "": silence
    filler_ms: int = 1500  # of silence before it
    changes: bool = True  # it has effects: the same call again, while it runs and shortly after, is not run again
    repeat_s: float = 10.0  # how shortly after
    does: tuple[str, ...] = ()  # what an agent may claim when it has run: names of ``claims``


# --------------------------------------------------------------------------- events: the carrier leg


class CallOffered(Event, frozen=True):
    """The webhook came and was authentic: a stream should follow."""


class StreamOpened(Event, frozen=True):
    """The carrier's WebSocket is up; nothing may be sent before StreamStarted."""


class StreamConnected(Event, frozen=True):
    """The carrier greeted (Twilio: ``connected``)."""


class StreamStarted(Event, frozen=True):
    """The media stream is described and may be written to."""

    stream_id: str
    call_id: str
    audio: AudioFormat
    parameters: dict[str, str]


class CallerAudio(Event, frozen=True, gc=False):
    """One frame from the caller."""

    payload: bytes  # base64 text
    n_bytes: int  # of the decoded payload


MASKED = "•"  # stands for a pressed key that may not be written down; no phone has it


class KeyPressed(Event, frozen=True):
    """A DTMF key of the caller."""

    digit: str


class CallerTyped(Event, frozen=True):
    """A line that the caller wrote instead of saying it."""

    text: str


class MarkReturned(Event, frozen=True):
    """The carrier gave a mark back: played or flushed, the bridge knows which."""

    name: str


class StreamStopped(Event, frozen=True):
    """The carrier ended the media stream."""


# -------------------------------------------------------------------------- events: the provider leg


class ProviderOpened(Event, frozen=True):
    """The WebSocket to the provider is up (HTTP 101). Proves the network, not the session."""


class DialFailed(Event, frozen=True):
    """The provider could not be reached or refused the upgrade."""

    phase: str  # dns tcp proxy tls upgrade
    cause: str  # one sentence, no secrets
    status: int | None = None
    retryable: bool = False


class SessionGreeted(Event, frozen=True):
    """The provider's first message; with the moment when it will end the session, where it says one."""

    expires_unix: float | None = None  # seconds since 1970, by the provider's clock


class Difference(Struct, frozen=True):
    """One field that the provider applied otherwise than asked."""

    field: str
    asked: str
    got: str
    fatal: bool  # another audio format: the call cannot go on


class SessionConfigured(Event, frozen=True):
    """The provider echoed its session; empty ``differences`` means applied = asked."""

    differences: tuple[Difference, ...] = ()


class SessionRejected(Event, frozen=True):
    """The provider refused our session settings."""

    field: str | None
    code: str
    message: str
    spares: bool = False  # only what writes down the caller's words was refused: a call can be had without


class SpeechStarted(Event, frozen=True):
    """The provider heard the caller begin to speak."""

    at_ms: int | None  # on the provider's clock of audio it received; None where the wire has none
    item_id: str | None = None


class SpeechStopped(Event, frozen=True):
    """The provider heard the caller end."""

    at_ms: int | None


class ResponseStarted(Event, frozen=True):
    """The provider began a response."""

    response_id: str


class AgentAudio(Event, frozen=True, gc=False):
    """A piece of the agent's speech."""

    response_id: str
    item_id: str
    content_index: int
    payload: bytes  # base64 text
    n_bytes: int


class AgentAudioDone(Event, frozen=True):
    """All audio of an item has been sent by the provider."""

    response_id: str
    item_id: str


class ResponseDone(Event, frozen=True):
    """A response ended."""

    response_id: str
    status: Literal["completed", "cancelled", "failed", "incomplete"]
    reason: str | None = None
    usage: dict[str, int] | None = None  # the provider's own figures, flattened


class CallerTranscript(Event, frozen=True):
    """What the provider understood; ``text`` is the whole turn so far when not final."""

    item_id: str
    text: str
    final: bool
    usage: dict[str, int] | None = None  # what writing it down took: the provider's figures, as ``transcription.…``


class AgentTranscript(Event, frozen=True):
    """What the agent says; ``text`` is a piece when not final, the whole when final."""

    response_id: str
    item_id: str
    text: str
    final: bool


class ToolCalled(Event, frozen=True):
    """The model asked for a tool."""

    tool_call_id: str
    name: str
    arguments: str  # JSON text as sent, not yet trusted
    response_id: str | None = None


class ProviderError(Event, frozen=True):
    """The provider reported an error inside the session."""

    code: str
    message: str
    field: str | None = None
    benign: bool = False  # a race that is harmless, by the wire's own dated list
    fatal: bool = False  # the session cannot go on


class SessionEnding(Event, frozen=True):
    """The provider announced that it will end the session."""

    in_s: float | None
    reason: str


# ---------------------------------------------------------------------------------- events: both legs


class LegClosed(Event, frozen=True):
    """A WebSocket is gone."""

    leg: Leg
    code: int | None  # None: TCP just dropped
    reason: str
    by: Literal["us", "them", "nobody"]


class WritePaused(Event, frozen=True):
    """The peer stopped reading; what we write now only piles up here."""

    leg: Leg
    buffered_bytes: int


class WriteResumed(Event, frozen=True):
    """The peer reads again."""

    leg: Leg


class Unknown(Event, frozen=True):
    """A message of a type that the wire file does not know; recorded, never fatal."""

    leg: Leg
    tag: str


class Harmless(Event, frozen=True):
    """A known message that says nothing to the bridge."""

    leg: Leg
    tag: str


class Malformed(Event, frozen=True):
    """A message that breaks the wire's contract and was ignored; the leg's violations say how."""

    leg: Leg
    why: str


# ----------------------------------------------------------------------------------- events: the shell


class Briefed(Event, frozen=True):
    """What could be found out about the caller is there, or is not: the session may be configured."""

    outcome: Literal["hit", "miss", "failed"]
    source: str
    ms: float
    detail: str = ""  # why it failed
    instructions: str | None = None  # in the place of those that the leg was built with
    greeting: str | None = None  # in the place of the one that was set
    resumed: bool = False  # the caller goes on with a call that was cut off
    language: str | None = None


class EndRequested(Event, frozen=True):
    """Somebody outside the call wants it to end politely."""

    why: Literal["draining", "operator", "tool", "spend cap of the call", "spend cap of the day"]


class TransferAccepted(Event, frozen=True):
    """The REST request that gives the call to somebody else came back."""

    ok: bool
    detail: str


class TransferAnswered(Event, frozen=True):
    """Somebody picked up: the caller talks with them."""


class TransferFinished(Event, frozen=True):
    """The leg to whom the caller was given is over, or never came about."""

    how: str  # completed busy no-answer failed canceled
    detail: str = ""
    seconds: int | None = None  # they talked


class CallGone(Event, frozen=True):
    """The carrier says that the phone call is over, on a way of its own beside the stream."""

    status: str  # completed busy no-answer failed canceled


class PartyDetected(Event, frozen=True):
    """The carrier's detection says who answered a call that we placed."""

    who: str  # human machine_start machine_end_beep machine_end_silence machine_end_other fax unknown
    ms: int | None = None  # it took so long


class HangUpFinished(Event, frozen=True):
    """The REST request that ends the call came back."""

    ok: bool  # also when the call had already ended
    detail: str


# ------------------------------------------------------------------- events: asked from outside the call
#
# By an API, a tool or a command line. ``id`` comes back in the ``Done`` that says how it went; each gets exactly one,
# unless the call ends first.


class SayAsked(Event, frozen=True):
    """Let the agent's voice say ``text`` word for word, once nobody speaks."""

    text: str
    id: str = ""


class InjectAsked(Event, frozen=True):
    """Add ``text`` to the conversation as something the agent knows; ``respond``: let it answer."""

    text: str
    respond: bool = False
    id: str = ""


class MuteAsked(Event, frozen=True):
    """``caller``: the agent does not hear the caller; ``agent``: the caller does not hear the agent."""

    who: Literal["caller", "agent"]
    on: bool
    id: str = ""


class HoldAsked(Event, frozen=True):
    """Put the caller on hold with music, or take them back."""

    on: bool
    id: str = ""


class DtmfAsked(Event, frozen=True):
    """Press keys towards the other side: ``0-9 * # A-D``, ``w`` waits half a second, ``W`` a whole one."""

    digits: str
    id: str = ""


class CollectAsked(Event, frozen=True):
    """Gather keys of the caller until ``end_key``, ``digits`` of them, or a time without any."""

    digits: int = 20  # at most
    end_key: str = "#"  # empty: none
    first_s: float = 10.0  # until the first key
    next_s: float = 4.0  # until each of the others
    secret: bool = False  # the agent is told how many, not which
    id: str = ""


class RecordingAsked(Event, frozen=True):
    """Pause the recording (a card number is about to be said), or go on with it."""

    on: bool
    why: str = ""
    id: str = ""


class TransferAsked(Event, frozen=True):
    """
    Give the caller to a number (E.164) or a ``sip:`` URI, after ``announcement`` was heard.

    ``failed``: what becomes of a caller whom nobody took: back to the agent, or told by a spoken line.
    """

    target: str
    announcement: str = ""
    failed: Literal["agent", "line"] = "agent"
    id: str = ""


class HandOverAsked(Event, frozen=True):
    """Another agent takes over within the same call."""

    agent: str
    id: str = ""


class ToolFinished(Event, frozen=True):
    """A tool that was run is over, or is waited for no longer."""

    tool_call_id: str
    outcome: str  # ok, error, raised TYPE, timeout, invalid, busy, dry run
    output: str  # for the model
    retried: int = 0
    detail: str = ""  # for the record: what the model need not know


class NextDialled(Event, frozen=True):
    """Another agent's session is being opened beside the one that runs."""

    agent: str
    traits: ProviderTraits
    settings: Any  # the bridge's, as they are for this agent


class NextFailed(Event, frozen=True):
    """Another agent's session did not come about, or is gone again."""

    why: str


class FromNext(Event, frozen=True):
    """Something that the session of the next agent says before it takes over."""

    event: Event


# ------------------------------------------------------------------------- commands: to the carrier leg


class PlayAudio(Command, frozen=True, gc=False):
    """Append audio to what the caller hears."""

    payload: bytes  # base64 text
    n_bytes: int


class SetMark(Command, frozen=True, gc=False):
    """Ask for a receipt when everything sent so far has been played."""

    name: str


class Show(Command, frozen=True):
    """Let a caller with a screen read what was said."""

    who: Literal["caller", "agent"]
    text: str


class ClearPlayback(Command, frozen=True):
    """Drop what the caller has not heard yet."""


class CloseStream(Command, frozen=True):
    """Close the carrier's WebSocket."""

    code: int = 1000
    reason: str = ""


# ------------------------------------------------------------------------ commands: to the provider leg


class ConfigureSession(Command, frozen=True):
    """Send the session settings that the leg was built with, but for what is given here."""

    instructions: str | None = None
    language: str | None = None
    transcribe: bool = True  # what the caller says is written down, where the provider does that on request


class AppendAudio(Command, frozen=True, gc=False):
    """Send caller audio to the provider."""

    payload: bytes  # base64 text
    n_bytes: int


class Greet(Command, frozen=True):
    """Let the agent say the greeting now."""

    text: str


class Say(Command, frozen=True):
    """Let the agent say a text word for word now; as near to that as the wire allows."""

    text: str


class TellAgent(Command, frozen=True):
    """Add something that the caller did (a key), or that the agent should know, to the conversation, as text."""

    text: str


class TellSaid(Command, frozen=True):
    """
    Add what the caller said before anybody listened to the conversation, as sound.

    It is known to the model like any turn, but passes no turn detection: nobody answers it, and it cuts nothing.
    """

    payload: bytes  # PCMU, as base64
    n_bytes: int


class AskResponse(Command, frozen=True):
    """Let the agent answer now."""

    instructions: str | None = None


class CancelResponse(Command, frozen=True):
    """Stop the response that is running."""

    response_id: str | None = None


class Truncate(Command, frozen=True):
    """Tell the provider how much of an item the caller heard."""

    item_id: str
    content_index: int
    heard_ms: int


class AnswerTool(Command, frozen=True):
    """Give the result of a tool call back to the model."""

    tool_call_id: str
    output: str


class CloseProvider(Command, frozen=True):
    """End the provider session."""

    code: int = 1000
    reason: str = ""


# -------------------------------------------------------------------------------- commands: to the shell


class DialProvider(Command, frozen=True):
    """Open the connection to the provider."""

    attempt: int


class HangUp(Command, frozen=True):
    """End the phone call by REST; HangUpFinished follows."""

    why: str


class Redial(Command, frozen=True):
    """Open the session of another agent beside the one that runs; NextDialled or NextFailed follows."""

    agent: str


class ToNext(Command, frozen=True):
    """Something for the session of the next agent, before it takes over."""

    command: Command


class SwapProvider(Command, frozen=True):
    """The next agent's session takes the place of the one that runs, which is closed."""


class DropNext(Command, frozen=True):
    """Close the session of the next agent: it does not take over."""


class Transfer(Command, frozen=True):
    """Give the call to a number or a ``sip:`` URI by REST; TransferAccepted follows."""

    target: str
    ring_s: float


class Done(Command, frozen=True):
    """How something asked from outside went: the one answer to it."""

    id: str
    what: str  # say inject mute hold dtmf collect record transfer hand-over
    outcome: str  # one word
    detail: str = ""
    value: str = ""  # what was gathered; for whoever asked, never for a record


class RunTool(Command, frozen=True):
    """Run a tool of the agent; ToolFinished follows, however it goes."""

    tool_call_id: str
    name: str
    arguments: str  # JSON text of an object


class Record(Command, frozen=True):
    """Keep the audio from now on, or from ``back_s`` ago keep silence in its place."""

    on: bool
    back_s: float = 0.0


class Note(Command, frozen=True):
    """Something the bridge decided or missed, for the record and the live view."""

    kind: str  # dotted noun, e.g. "deadline.missed", "milestone", "barge-in"
    data: dict[str, str | int | float | bool | None]


class EndCall(Command, frozen=True):
    """Both legs are done with; write the record and forget the call."""

    wanted: bool  # ended as somebody intended (caller, agent, operator)
    why: str

"""
The loopback provider: the messages of both directions, typed, in OpenAI's GA spelling as far as this wire has them.

Both directions are strict, for both ends are ours: a field that nobody knows is a defect. Knows no order, no meaning.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


# fmt: off
class _Strict(Struct, forbid_unknown_fields=True):
    pass
class Pcmu(_Strict):  # a tag would only be asked for in a union
    type: Literal["audio/pcmu"]
class Input(_Strict):
    format: Pcmu
class Output(_Strict):
    format: Pcmu
    voice: Literal["slt"] = "slt"
class Audio(_Strict):
    input: Input
    output: Output
class Tool(_Strict):
    type: Literal["function"]
    name: str
    parameters: dict[str, Any] = {}  # JSON schema
class Session(_Strict):
    type: Literal["realtime"]
    audio: Audio
    instructions: str = ""
    tools: list[Tool] = []
    model: str | None = None  # said by the receptionist, not settable

# ------------------------------------------------------------------------------------------- from the receptionist

class Greeting(_Strict):
    type: Literal["realtime"]
    model: str
class SessionCreated(_Strict, tag_field="type", tag="session.created"):
    session: Greeting
class SessionUpdated(_Strict, tag_field="type", tag="session.updated"):
    session: Session
class SpeechStarted(_Strict, tag_field="type", tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str
class SpeechStopped(_Strict, tag_field="type", tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str
class CallerSaid(_Strict, tag_field="type", tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    content_index: int
    transcript: str
class Cancelled(_Strict):
    type: Literal["cancelled"]
    reason: Literal["turn_detected", "client_cancelled"]
class Response(_Strict):
    id: str
    status: Literal["in_progress", "completed", "cancelled"]
    status_details: Cancelled | None = None
class ResponseCreated(_Strict, tag_field="type", tag="response.created"):
    response: Response
class ResponseDone(_Strict, tag_field="type", tag="response.done"):
    response: Response
class AudioDelta(_Strict, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    content_index: int
    delta: str
class AudioDone(_Strict, tag_field="type", tag="response.output_audio.done"):
    response_id: str
    item_id: str
    content_index: int
class AgentSaid(_Strict, tag_field="type", tag="response.output_audio_transcript.done"):
    response_id: str
    item_id: str
    content_index: int
    transcript: str
class ToolArguments(_Strict, tag_field="type", tag="response.function_call_arguments.done"):
    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str
class ItemTruncated(_Strict, tag_field="type", tag="conversation.item.truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int
class ErrorBody(_Strict):
    type: Literal["invalid_request_error"]
    code: str
    message: str
    param: str | None = None
class ErrorEvent(_Strict, tag_field="type", tag="error"):
    error: ErrorBody

# --------------------------------------------------------------------------------------------- to the receptionist

class SessionUpdate(_Strict, tag_field="type", tag="session.update"):
    session: Session
class Append(_Strict, tag_field="type", tag="input_audio_buffer.append"):
    audio: str
class Wanted(_Strict):
    instructions: str = ""
class ResponseCreate(_Strict, tag_field="type", tag="response.create"):
    response: Wanted | None = None
class ResponseCancel(_Strict, tag_field="type", tag="response.cancel"):
    pass
class Text(_Strict):
    type: Literal["input_text"]
    text: str
class MessageItem(_Strict, tag_field="type", tag="message"):
    role: Literal["user"]
    content: list[Text]
class FunctionOutput(_Strict, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str
class ItemCreate(_Strict, tag_field="type", tag="conversation.item.create"):
    item: MessageItem | FunctionOutput
class ItemAdded(_Strict, tag_field="type", tag="conversation.item.added"):
    item: MessageItem | FunctionOutput
class ItemTruncate(_Strict, tag_field="type", tag="conversation.item.truncate"):
    item_id: str
    content_index: Literal[0]
    audio_end_ms: int
# fmt: on


FromPeer = (
    AudioDelta | SessionCreated | SessionUpdated | SpeechStarted | SpeechStopped | CallerSaid | ResponseCreated
    | ResponseDone | AudioDone | AgentSaid | ToolArguments | ItemAdded | ItemTruncated | ErrorEvent
)  # fmt: skip
ToPeer = SessionUpdate | Append | ResponseCreate | ResponseCancel | ItemCreate | ItemTruncate

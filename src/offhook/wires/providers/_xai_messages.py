"""
xAI Grok voice: the messages that we read, in the provider's spelling. What they mean stands in ``xai.py``.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Struct


# fmt: off
class AudioDelta(Struct, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    delta: str
    content_index: int = 0

# Both greet: servers of 2025 send only the second, captures of 2026 show the first and then the second.
class SessionCreated(Struct, tag_field="type", tag="session.created"):
    session: Any = None

class ConversationCreated(Struct, tag_field="type", tag="conversation.created"):
    pass

class SessionUpdated(Struct, tag_field="type", tag="session.updated"):
    session: dict[str, Any]

# A barge-in counts also without its time, which this provider may leave out.
class SpeechStarted(Struct, tag_field="type", tag="input_audio_buffer.speech_started"):
    audio_start_ms: int | float | None = None
    item_id: str | None = None

class SpeechStopped(Struct, tag_field="type", tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int | float | None = None

class Committed(Struct, tag_field="type", tag="input_audio_buffer.committed"):
    item_id: str

class Response(Struct):
    id: str
    status: Literal["completed", "cancelled", "failed", "incomplete", "in_progress"] = "completed"
    status_details: Any = None  # an object, or the text "unimplemented"
    usage: Any = None

class ResponseCreated(Struct, tag_field="type", tag="response.created"):
    response: Response

class ResponseDone(Struct, tag_field="type", tag="response.done"):
    response: Response
    usage: Any = None  # here or in the response

class AudioDone(Struct, tag_field="type", tag="response.output_audio.done"):
    response_id: str
    item_id: str

class AgentWords(Struct, tag_field="type", tag="response.output_audio_transcript.delta"):
    response_id: str
    item_id: str
    delta: str

class AgentSaid(Struct, tag_field="type", tag="response.output_audio_transcript.done"):
    response_id: str
    item_id: str
    transcript: str | None = None  # left out: the deltas were all

class CallerWords(Struct, tag_field="type", tag="conversation.item.input_audio_transcription.updated"):
    item_id: str
    transcript: str

class CallerSaid(Struct, tag_field="type", tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    transcript: str
    status: str | None = None

class ToolArguments(Struct, tag_field="type", tag="response.function_call_arguments.done"):
    call_id: str
    name: str
    arguments: str
    response_id: str | None = None

class ErrorBody(Struct):
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: Any = None
    event_id: str | None = None

class ErrorEvent(Struct, tag_field="type", tag="error"):
    error: ErrorBody
# fmt: on


FromPeer = (
    AudioDelta | SessionCreated | ConversationCreated | SessionUpdated | SpeechStarted | SpeechStopped | Committed
    | ResponseCreated | ResponseDone | AudioDone | AgentWords | AgentSaid | CallerWords | CallerSaid | ToolArguments
    | ErrorEvent
)  # fmt: skip
KNOWN = {str(message.__struct_config__.tag): message for message in get_args(FromPeer)}

# Known events that say nothing to the bridge.
HARMLESS = frozenset(
    (
        "ping", "input_audio_buffer.cleared", "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received", "conversation.item.added", "conversation.item.created",
        "conversation.item.deleted", "conversation.item.truncated", "response.output_item.added",
        "response.output_item.done", "response.content_part.added", "response.content_part.done", "response.text.delta",
        "response.text.done", "response.output_text.delta", "response.output_text.done",
        "response.function_call_arguments.delta", "mcp_list_tools.in_progress", "mcp_list_tools.completed",
        "mcp_list_tools.failed", "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress", "response.mcp_call.completed", "response.mcp_call.failed",
    )
)  # fmt: skip

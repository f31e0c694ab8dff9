"""
OpenAI Realtime, GA shape: the messages of both directions, typed, in the service's spelling.

What comes from the service is read leniently (fields nobody needs are left out), what goes to it strictly: no
unknown field, no other type. Knows no order and no meaning.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from offhook.wires._wire import Fact

# Events of the retired beta shape and the GA names of the same fields; compatible servers mix them.
BETA_NAMES = Fact(
    {
        "response.audio.delta": "response.output_audio.delta",
        "response.audio.done": "response.output_audio.done",
        "response.audio_transcript.delta": "response.output_audio_transcript.delta",
        "response.audio_transcript.done": "response.output_audio_transcript.done",
        "response.text.delta": "response.output_text.delta",
        "response.text.done": "response.output_text.done",
        "conversation.item.created": "conversation.item.added",
    },
    "openai-python 3.54.0, openai/types/beta/realtime", "2026-11-22", until="2026-05-07",
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ from the service


# fmt: off
class AudioDelta(Struct, tag_field="type", tag="response.output_audio.delta", gc=False):
    response_id: str
    item_id: str
    delta: str
    content_index: int = 0
class SessionCreated(Struct, tag_field="type", tag="session.created"):
    session: dict[str, Any]
class SessionUpdated(Struct, tag_field="type", tag="session.updated"):
    session: dict[str, Any]
# A barge-in counts also without its time: only another type of it is refused.
class SpeechStarted(Struct, tag_field="type", tag="input_audio_buffer.speech_started"):
    audio_start_ms: int | float | None = None
    item_id: str | None = None
class SpeechStopped(Struct, tag_field="type", tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int | float | None = None
class Response(Struct):
    id: str
    status: Literal["completed", "cancelled", "failed", "incomplete", "in_progress"] = "in_progress"
    status_details: Any = None
    usage: Any = None
class ResponseCreated(Struct, tag_field="type", tag="response.created"):
    response: Response
class ResponseDone(Struct, tag_field="type", tag="response.done"):
    response: Response
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
    transcript: str
class CallerWords(Struct, tag_field="type", tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    delta: str = ""
class CallerSaid(Struct, tag_field="type", tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    transcript: str
    usage: Any = None
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
    AudioDelta | SessionCreated | SessionUpdated | SpeechStarted | SpeechStopped | ResponseCreated | ResponseDone
    | AudioDone | AgentWords | AgentSaid | CallerWords | CallerSaid | ToolArguments | ErrorEvent
)  # fmt: skip

# -------------------------------------------------------------------------------------------------- to the service


# fmt: off
class _Strict(Struct, forbid_unknown_fields=True):
    pass
class Pcm(_Strict, tag_field="type", tag="audio/pcm"):
    rate: Literal[24000] = 24000
class Pcmu(_Strict, tag_field="type", tag="audio/pcmu"):
    pass
class Pcma(_Strict, tag_field="type", tag="audio/pcma"):
    pass
class ServerVad(_Strict, tag_field="type", tag="server_vad"):
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 200
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None
class SemanticVad(_Strict, tag_field="type", tag="semantic_vad"):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True
class NoiseReduction(_Strict):
    type: Literal["near_field", "far_field"]
class Transcription(_Strict):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    delay: str | None = None
    keywords: list[str] = []
    languages: list[str] = []
class Input(_Strict):
    format: Pcm | Pcmu | Pcma | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: ServerVad | SemanticVad | None = None
class VoiceId(_Strict):
    id: str
class Output(_Strict):
    format: Pcm | Pcmu | Pcma | None = None
    voice: str | VoiceId | None = None
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
class Audio(_Strict):
    input: Input | None = None
    output: Output | None = None
class FunctionTool(_Strict, tag_field="type", tag="function"):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
class McpTool(_Strict, tag_field="type", tag="mcp"):
    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: Any = None
    require_approval: Any = None
class ToolByName(_Strict, tag_field="type", tag="function"):
    name: str
class ToolByServer(_Strict, tag_field="type", tag="mcp"):
    server_label: str
    name: str | None = None
class Prompt(_Strict):
    id: str
    variables: dict[str, str] | None = None
    version: str | None = None
class Reasoning(_Strict):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
class Tracing(_Strict):
    group_id: str | None = None
    metadata: dict[str, Any] | None = None
    workflow_name: str | None = None
class TokenLimits(_Strict):
    post_instructions: int | None = None
class Retention(_Strict):
    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: TokenLimits | None = None
class Model(_Strict):  # what a session and a single response have in common
    instructions: str | None = None
    output_modalities: list[Literal["audio", "text"]] | None = None
    audio: Audio | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    tools: list[FunctionTool | McpTool] = []
    tool_choice: Literal["none", "auto", "required"] | ToolByName | ToolByServer | None = None
    parallel_tool_calls: bool | None = None
    prompt: Prompt | None = None
    reasoning: Reasoning | None = None
class Session(Model):
    type: Literal["realtime"] = "realtime"
    model: str | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None
    tracing: Literal["auto"] | Tracing | None = None
    truncation: Literal["auto", "disabled"] | Retention | None = None
class Content(_Strict):
    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
    text: str | None = None
    audio: str | None = None
    transcript: str | None = None
    image_url: str | None = None
    detail: str | None = None
class Item(_Strict):
    id: str | None = None
    object: str | None = None
    status: str | None = None
class MessageItem(Item, kw_only=True, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system"]
    content: list[Content]
class FunctionCall(Item, kw_only=True, tag_field="type", tag="function_call"):
    name: str
    arguments: str
    call_id: str | None = None
class FunctionOutput(Item, kw_only=True, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str
class ItemReference(_Strict, tag_field="type", tag="item_reference"):
    id: str
class ResponseParams(Model):
    conversation: str | None = None
    input: list[MessageItem | FunctionCall | FunctionOutput | ItemReference] | None = None
    metadata: dict[str, str] | None = None
class _Client(_Strict, kw_only=True):
    event_id: str | None = None
class SessionUpdate(_Client, tag_field="type", tag="session.update"):
    session: Session
class Append(_Client, tag_field="type", tag="input_audio_buffer.append"):
    audio: str
class Commit(_Client, tag_field="type", tag="input_audio_buffer.commit"):
    pass
class Clear(_Client, tag_field="type", tag="input_audio_buffer.clear"):
    pass
class ItemCreate(_Client, tag_field="type", tag="conversation.item.create"):
    item: MessageItem | FunctionCall | FunctionOutput
    previous_item_id: str | None = None
class ItemDelete(_Client, tag_field="type", tag="conversation.item.delete"):
    item_id: str
class ItemRetrieve(_Client, tag_field="type", tag="conversation.item.retrieve"):
    item_id: str
class ItemTruncate(_Client, tag_field="type", tag="conversation.item.truncate"):
    item_id: str
    content_index: int
    audio_end_ms: int
class ResponseCreate(_Client, tag_field="type", tag="response.create"):
    response: ResponseParams | None = None
class ResponseCancel(_Client, tag_field="type", tag="response.cancel"):
    response_id: str | None = None
# fmt: on


ToPeer = (
    SessionUpdate | Append | Commit | Clear | ItemCreate | ItemDelete | ItemRetrieve | ItemTruncate | ResponseCreate
    | ResponseCancel
)  # fmt: skip
# As the service's own error lists them. "session.close" and "session.input_audio_buffer.append" are known from
# this list alone; what they do nobody has seen, so they are refused like any other name.
LISTED = (
    "'session.update', 'session.close', 'input_audio_buffer.append', 'session.input_audio_buffer.append', "
    "'input_audio_buffer.commit', 'input_audio_buffer.clear', 'conversation.item.create', "
    "'conversation.item.truncate', 'conversation.item.delete', 'conversation.item.retrieve', 'response.create', and "
    "'response.cancel'"
)
TAKEN = frozenset(re.findall(r"'([\w.]+)'", LISTED)) - {"session.close", "session.input_audio_buffer.append"}

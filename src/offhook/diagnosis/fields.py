"""
What the messages of the wires and their fields mean, for whoever looks at one: a sentence each, with source and date.

By message and path; a path of its own stands for every message of the wire. Data; pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from offhook.wires._wire import Fact

__all__ = ["meaning", "of_message"]

CHECKED = "2026-11-22"
_REALTIME = "platform.openai.com/docs/api-reference/realtime-server-events; docs.x.ai voice-realtime.ws.json"

TWILIO_MESSAGES = Fact(
    {
        "connected": "the first message of a stream: says which protocol follows, and nothing of the call",
        "start": "describes the stream; nothing may be sent before it came",
        "media": "20 ms of audio of one side, in base64",
        "mark": "sent: asks for a receipt behind the audio before it; received: that audio was played, or was cleared",
        "clear": "drops what the caller has not heard yet; marks that wait come back at once",
        "dtmf": "a key that the caller pressed",
        "stop": "the carrier ended the stream, or the call",
    },
    "twilio.com/docs/voice/media-streams/websocket-messages",
    CHECKED,
)

TWILIO_FIELDS = Fact(
    {
        "event": "which message this is",
        "sequenceNumber": "counts the stream's messages from 1; a gap is a lost message",
        "streamSid": "the stream, MZ and 32 digits; every message to the carrier carries it, spelt exactly so",
        "protocol": 'the protocol of what follows: "Call"',
        "version": "of that protocol",
        "start.streamSid": "the stream once more",
        "start.accountSid": "the account, AC and 32 digits",
        "start.callSid": "the phone call, CA and 32 digits: what REST and the console call it",
        "start.tracks": "which sides are sent to us: inbound is the caller; a two-way stream has it alone",
        "start.mediaFormat.encoding": "audio/x-mulaw: G.711 µ-law, the only one there is",
        "start.mediaFormat.sampleRate": "8000 samples a second",
        "start.mediaFormat.channels": "one",
        "start.customParameters": "what <Parameter> of the document said; Offhook's token among them",
        "media.track": "inbound: the caller",
        "media.chunk": "counts the frames from 1",
        "media.timestamp": "milliseconds since the stream began, by the carrier",
        "media.payload": "the audio: µ-law, 8000 Hz, base64; no header",
        "mark.name": "what we called the receipt",
        "dtmf.digit": "the key: 0 to 9, * or #",
        "dtmf.track": "whose key",
        "stop.accountSid": "the account",
        "stop.callSid": "the phone call",
    },
    "twilio.com/docs/voice/media-streams/websocket-messages",
    CHECKED,
)

REALTIME_MESSAGES = Fact(
    {
        "session.created": "the provider greets: the session is there, with its defaults",
        "session.update": "what the session is asked to be; refused as a whole where one field is wrong",
        "session.updated": "the session as it is applied: to be compared with what was asked",
        "conversation.created": "a conversation was begun; says nothing else",
        "input_audio_buffer.append": "audio of the caller for the provider, in base64",
        "input_audio_buffer.commit": "ends the caller's turn by hand, where the provider does not listen for its end",
        "input_audio_buffer.committed": "the caller's audio so far became an item",
        "input_audio_buffer.speech_started": "the provider heard the caller begin to speak",
        "input_audio_buffer.speech_stopped": "the provider heard the caller end",
        "conversation.item.create": "adds a message, or the result of a tool, to the conversation",
        "conversation.item.added": "an item is in the conversation",
        "conversation.item.done": "an item is complete",
        "conversation.item.truncate": "tells how much of an item the caller heard, so that the model knows",
        "conversation.item.truncated": "the item was cut there",
        "conversation.item.input_audio_transcription.delta": "a piece of what the caller said",
        "conversation.item.input_audio_transcription.updated": "what the caller has said so far",
        "conversation.item.input_audio_transcription.completed": "what the caller said, whole",
        "conversation.item.input_audio_transcription.failed": "what the caller said could not be written down",
        "response.create": "asks the model to answer now; one response at a time",
        "response.created": "a response begins",
        "response.cancel": "stops the response that runs",
        "response.done": "a response is over, completed or not, with what it used",
        "response.output_item.added": "an item of the response begins",
        "response.output_item.done": "an item of the response is complete",
        "response.output_audio.delta": "audio of the agent, in base64",
        "response.output_audio.done": "all audio of the item was sent; the caller hears it later",
        "response.output_audio_transcript.delta": "a piece of what the agent says",
        "response.output_audio_transcript.done": "what the agent says in this item, whole",
        "response.function_call_arguments.done": "the model calls a tool",
        "rate_limits.updated": "what is left of the limits",
        "error": "the provider refused something; the session goes on unless it is closed",
    },
    _REALTIME,
    CHECKED,
)

REALTIME_FIELDS = Fact(
    {
        "type": "which message this is",
        "event_id": "the message's own name; an error names the one it is about",
        "session": "the session: what was asked, or what is applied",
        "session.type": "realtime; a session.update without it is refused",
        "session.id": "the session's name, for the provider's support",
        "session.model": "the model that answers",
        "session.instructions": "what the model is told; in a record only its length or beginning",
        "session.audio.input.format.type": "audio/pcmu is G.711 µ-law, as the phone speaks it; audio/pcm is 16 bit",
        "session.audio.output.format.type": "audio/pcmu is G.711 µ-law, as the phone speaks it; audio/pcm is 16 bit",
        "session.audio.input.turn_detection": "how the provider finds the end of the caller's turn",
        "session.audio.input.transcription": "whether, and by which model, the caller is written down",
        "session.audio.output.voice": "the voice; cannot be changed once it has spoken",
        "session.tools": "what the model may call",
        "session.expires_at": "when the provider ends the session, seconds since 1970",
        "item_id": "the item of the conversation that this is about",
        "response_id": "the response that this belongs to",
        "content_index": "which part of the item",
        "output_index": "which item of the response",
        "audio_start_ms": "where speech began, in milliseconds of the audio the provider got",
        "audio_end_ms": "where speech ended, in milliseconds of the audio the provider got; "
        "of a truncate: how much of the item was heard",
        "audio": "audio in base64; in a record its length",
        "delta": "a piece: of audio its length in a record, of a text the text",
        "transcript": "the words",
        "response": "the response: its id, how it stands, what it used",
        "response.id": "the response's name",
        "response.status": "in_progress, completed, cancelled (the caller spoke), failed or incomplete",
        "response.status_details": "why it was not completed",
        "response.usage": "tokens, which are paid for",
        "response.instructions": "what the model is told for this answer alone",
        "item": "an item of the conversation: a message, a tool call or its result",
        "call_id": "the tool call; its result must name it",
        "name": "the tool",
        "arguments": "of the tool, JSON text as the model wrote it",
        "error.type": "what kind of error",
        "error.code": "the error's name; offhook explain CODE says more",
        "error.message": "in words",
        "error.param": "the field that is wrong",
        "error.event_id": "which of our messages it is about",
    },
    _REALTIME,
    CHECKED,
)

_MESSAGES: Mapping[str, Fact[dict[str, str]]] = {"carrier": TWILIO_MESSAGES, "provider": REALTIME_MESSAGES}
_FIELDS: Mapping[str, Fact[dict[str, str]]] = {"carrier": TWILIO_FIELDS, "provider": REALTIME_FIELDS}


def of_message(leg: str, kind: str) -> str:
    """What a message is for; empty where nothing is known of it. ``leg``: carrier or provider."""
    return _MESSAGES[leg].value.get(kind, "")


def meaning(leg: str, path: str) -> tuple[str, str, str]:
    """What a field means, with source and date; empty texts where nothing is known of it."""
    fact = _FIELDS[leg]
    said = fact.value.get(path, "")
    return (said, fact.source, fact.checked) if said else ("", "", "")

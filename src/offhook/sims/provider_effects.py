"""
What a broken provider does, as small functions: to a message that it sends, to one that it is sent, to an answer.

``provider_faults.py`` gives them names. The wires whose messages these are all have OpenAI's GA names. Knows no sockets
and no clock.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook.media import g711
from offhook.sims.provider_scene import (
    Answer,
    Binary,
    Heard,
    Hold,
    Item,
    Later,
    Message,
    Reply,
    Says,
    Scene,
)

TRANSCRIPTION = "conversation.item.input_audio_transcription"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
DELTA = "response.output_audio.delta"
GIANT_BYTES = 1_300_000  # over 1 MiB, which is what WebSocket libraries take by default
NEAR_SILENCE = 18  # amplitude of the audio in a public report of a mute agent (catalogue F-116)

# ------------------------------------------------------------------------------------------ messages it sends


def drops(*kinds: str) -> Says:
    """Messages of these types never come."""
    return lambda message, scene: [] if message["type"].startswith(kinds) else None


def says_nothing(message: Message, scene: Scene) -> list[Item]:
    return []


def before(kind: str, *items: Item) -> Says:
    """``items`` come in front of each message of a type."""
    return lambda message, scene: [*items, message] if message["type"] == kind else None


def holds(*kinds: str) -> Says:
    """A message of these types, and what follows it, waits for the dialled time."""
    return lambda message, scene: [Hold(scene.amount), message] if message["type"] in kinds else None


def changes(kind: str, change: Callable[[Message, Scene], None]) -> Says:
    """Messages of a type have other fields."""

    def says(message: Message, scene: Scene) -> list[Item] | None:
        if not message["type"].startswith(kind):
            return None
        change(message, scene)
        return [message]

    return says


def twice(kind: str) -> Says:
    return lambda message, scene: [message, dict(message)] if message["type"] == kind else None


def renames(names: dict[str, str]) -> Says:
    def says(message: Message, scene: Scene) -> list[Item] | None:
        name = names.get(message["type"])
        return None if name is None else [{**message, "type": name}]

    return says


def _in_session(message: Message) -> Iterator[Message]:
    session = message.get("session")
    if isinstance(session, dict):
        yield session


def echoes(path: str, value: Any) -> Says:
    """session.updated says something else of a field, whatever was applied; ``path`` as OpenAI nests it."""

    def change(message: Message, scene: Scene) -> None:
        for session in _in_session(message):
            *above, name = xai_path(path, scene).split(".")
            node = session
            for part in above:
                node = node.setdefault(part, {})
            if value is None:
                node.pop(name, None)
            else:
                node[name] = value

    return changes("session.updated", change)


def xai_path(path: str, scene: Scene) -> str:
    """xAI has voice and turn detection at the top of its session."""
    return path.rpartition(".")[2] if scene.wire == "xai" and path.endswith(("voice", "turn_detection")) else path


def in_beta_shape(message: Message, scene: Scene) -> list[Item] | None:
    if message["type"] not in ("session.created", "session.updated"):
        return None
    flat = {"id": "sess_beta", "object": "realtime.session", "model": message["session"].get("model", ""),
            "modalities": ["audio", "text"], "voice": "alloy", "input_audio_format": "pcm16",
            "output_audio_format": "pcm16", "turn_detection": {"type": "server_vad"}}  # fmt: skip
    return [{**message, "session": flat}]


# --------------------------------------------------------------------------------------------------- its audio


def sounds(make: Callable[[NDArray[np.int16]], bytes]) -> Says:
    """The bytes of each piece of audio are made of its samples by ``make``; they are still called PCMU at 8 kHz."""

    def says(message: Message, scene: Scene) -> list[Item] | None:
        if message["type"] != DELTA:
            return None
        return [{**message, "delta": _b64(make(g711.decode(base64.b64decode(message["delta"]))))}]

    return says


def times(gain: float) -> Callable[[NDArray[np.int16]], bytes]:
    return lambda samples: g711.encode(np.clip(samples * gain, -32768, 32767).astype(np.int16))


def near_silence(samples: NDArray[np.int16]) -> bytes:
    return times(NEAR_SILENCE / max(1, int(np.abs(samples.astype(np.int32)).max(initial=1))))(samples)


def noise(samples: NDArray[np.int16]) -> bytes:
    """The same each time: a fault that cannot be repeated cannot be mended."""
    return g711.encode(np.random.default_rng(7).integers(-9000, 9000, len(samples)).astype(np.int16))


def pcm16_24k(samples: NDArray[np.int16], kind: str = "<i2") -> bytes:
    return np.repeat(samples, 3).astype(kind).tobytes()


def at_16_khz(samples: NDArray[np.int16]) -> bytes:
    return g711.encode(np.repeat(samples, 2))


def double_base64(message: Message, scene: Scene) -> list[Item] | None:
    return [{**message, "delta": _b64(message["delta"].encode())}] if message["type"] == DELTA else None


def wav_header(message: Message, scene: Scene) -> list[Item] | None:
    if message["type"] != DELTA or scene.deltas > 1:
        return None
    audio = base64.b64decode(message["delta"])
    head = b"RIFF" + (36 + len(audio)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x07\0\x01\0\x40\x1f\0\0\x40\x1f\0\0"
    return [{**message, "delta": _b64(head + b"\x01\0\x08\0data" + len(audio).to_bytes(4, "little") + audio)}]


def in_pieces_of(n_bytes: int) -> Says:
    def says(message: Message, scene: Scene) -> list[Item] | None:
        if message["type"] != DELTA:
            return None
        audio = base64.b64decode(message["delta"])
        return [{**message, "delta": _b64(audio[at : at + n_bytes])} for at in range(0, len(audio), n_bytes)]

    return says


def giant(message: Message, scene: Scene) -> list[Item] | None:
    """One piece of audio arrives in an event of more than 1 MiB."""
    if message["type"] != DELTA or scene.deltas != 1:
        return None
    return [{**message, "obfuscation": "x" * GIANT_BYTES}]


def first_piece(**fields: Any) -> Says:
    """The first piece of audio of each response has other fields."""
    return lambda message, scene: [{**message, **fields}] if message["type"] == DELTA and scene.deltas == 1 else None


def binary_audio(message: Message, scene: Scene) -> list[Item] | None:
    return [Binary(base64.b64decode(message["delta"]))] if message["type"] == DELTA else None


def late_deltas(message: Message, scene: Scene) -> list[Item] | None:
    """Three pieces of a response come after it was cancelled."""
    cancelled = message["type"] == "response.done" and message["response"]["status"] == "cancelled"
    if not cancelled or scene.last_delta is None:
        return None
    return [message, *[dict(scene.last_delta) for _ in range(3)]]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --------------------------------------------------------------------------------------------------- responses


def ends_as(status: str, details: Any) -> Says:
    """Responses end with another status. ``details`` are what response.status_details says."""

    def change(message: Message, scene: Scene) -> None:
        message["response"]["status"] = status
        message["response"]["status_details"] = details

    return changes("response.done", change)


def fails_with(code: str, text: str, kind: str = "server_error") -> Says:
    return ends_as("failed", {"type": "failed", "error": {"type": kind, "code": code, "message": text}})


def as_text(message: Message, scene: Scene) -> list[Item] | None:
    """What would be spoken comes as text."""
    kind = message["type"]
    if kind.startswith("response.output_audio_transcript"):
        fields = {**message, "type": kind.replace("audio_transcript", "text")}
        if "transcript" in fields:
            fields["text"] = fields.pop("transcript")
        return [fields]
    if kind.startswith("response.output_audio."):
        return []
    if kind.startswith("response.content_part"):
        return [{**message, "part": {"type": "text", "text": message["part"].get("transcript", "")}}]
    return None


# ------------------------------------------------------------------------------------------------- the caller's turns


def late_transcripts(message: Message, scene: Scene) -> list[Item] | None:
    done = message["type"] == f"{TRANSCRIPTION}.completed"
    return [Later(scene.amount, message)] if done else None


def failed_transcripts(message: Message, scene: Scene) -> list[Item] | None:
    if not message["type"].startswith(TRANSCRIPTION):
        return None
    if not message["type"].endswith("completed"):
        return []
    error = {"type": "server_error", "code": "audio_unintelligible", "message": "The audio could not be transcribed."}
    kept: Message = {name: message[name] for name in ("event_id", "item_id", "content_index") if name in message}
    return [{**kept, "type": f"{TRANSCRIPTION}.failed", "error": error}]


def cumulative(message: Message, scene: Scene) -> list[Item] | None:
    """Each piece of a transcript repeats what came before it; a final one alone comes after its own beginning."""
    kind = message["type"]
    if kind == f"{TRANSCRIPTION}.delta":
        so_far = scene.memory["caller"] = scene.memory.get("caller", "") + message["delta"]
        return [{**message, "delta": so_far}]
    if kind == f"{TRANSCRIPTION}.completed":
        scene.memory["caller"] = ""
        half = message["transcript"][: len(message["transcript"]) // 2]
        return [{**message, "transcript": half}, message]
    return None


def never_ends_turn(message: Message, scene: Scene) -> list[Item] | None:
    """The caller is heard to begin, and never to stop."""
    return [] if message["type"].startswith((STOPPED, "input_audio_buffer.committed", TRANSCRIPTION)) else None


# --------------------------------------------------------------------------------------------------- tools


def calls_with(name: str | None = None, arguments: str | None = None) -> Reply:
    """The response calls a tool, another one or with other arguments than the script has."""

    def replies(answer: Answer, scene: Scene) -> Answer:
        tool = name or answer.tool or next(iter(scene.peer.tools), "hang_up")
        return Answer(answer.audio, answer.transcript, tool, answer.arguments if arguments is None else arguments)

    return replies


def parallel_calls(answer: Answer, scene: Scene) -> Answer:
    tool = answer.tool or next(iter(scene.peer.tools), "hang_up")
    return Answer(answer.audio, answer.transcript, tool, answer.arguments, more_calls=((tool, answer.arguments),))


def no_calls(answer: Answer, scene: Scene) -> Answer:
    return Answer(answer.audio, answer.transcript)


def no_answer(answer: Answer, scene: Scene) -> None:
    return None


def empty_answer(answer: Answer, scene: Scene) -> Answer:
    return Answer(nothing=True)


# ------------------------------------------------------------------------------------------- messages it is sent


def deaf(message: Message, scene: Scene) -> Message | None:
    return None if message.get("type") == "input_audio_buffer.append" else message


def deaf_at_first(message: Message, scene: Scene) -> Message | None:
    return deaf(message, scene) if scene.open_s < scene.amount else message


def overlooks(path: str) -> Heard:
    """A field of session.update is as if it had not been sent: the default stays, and the echo says so."""

    def hears(message: Message, scene: Scene) -> Message:
        for session in _in_session(message) if message.get("type") == "session.update" else ():
            *above, name = xai_path(path, scene).split(".")
            node: Any = session
            for part in above:
                node = node.get(part) if isinstance(node, dict) else None
            if isinstance(node, dict):
                node.pop(name, None)
        return message

    return hears


def reads_as(path: str, value: Any) -> Heard:
    """A field of session.update is read as something else."""

    def hears(message: Message, scene: Scene) -> Message:
        for session in _in_session(message) if message.get("type") == "session.update" else ():
            *above, name = xai_path(path, scene).split(".")
            node = session
            for part in above:
                node = node.setdefault(part, {})
            node[name] = value
        return message

    return hears


def both(first: Heard, second: Heard) -> Heard:
    def hears(message: Message, scene: Scene) -> Message | None:
        between = first(message, scene)
        return None if between is None else second(between, scene)

    return hears


def finds_a_bad_field(message: Message, scene: Scene) -> Message:
    """The strict peer is given something that it refuses, so the refusal is its own."""
    if message.get("type") != "session.update" or not isinstance(message.get("session"), dict):
        return message
    session = message["session"]
    if scene.wire == "xai":  # which ignores unknown fields; a bad list of tools it refuses
        return {**message, "session": {**session, "tools": [{"type": "function"}]}}
    return {**message, "session": {**session, "temperature": 0.8}}

"""
Everything that can be wrong with a simulated provider, by name: ``close-1011@5s``, ``silent@response2``.

One line each: what happens, which rows of the project's fault catalogue (F, S: faults; H: healthy) it injects, and to
which provider it can happen. What it does stands in ``provider_effects.py``, when in ``provider_dial.py``; the strict
peer without faults is the wire's own. Pure data: knows no sockets and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from offhook.media import g711
from offhook.sims import provider_effects as fx
from offhook.sims.provider_scene import Binary, Heard, Item, LatePongs, Message, Reply, Says, Scene, StopReading
from offhook.wires._wire import PeerClose, Refusal
from offhook.wires.providers import _openai_messages, _xai_peer

__all__ = ["FAULTS", "Fault", "faults_of"]

WIRES = ("openai", "xai", "loopback")
MODELS = ("openai", "xai")  # the wires behind which a model and an account stand
_XAI_ASSUMED = "nobody has recorded a close of xAI: code and text are assumed"


class Fault(Struct, frozen=True, kw_only=True):
    """
    One fault. ``at`` is when it begins if nobody says: "" from the beginning on, "open", "append" (the first audio),
    "response1", or the amount that it is about ("3s", "2").
    """

    name: str
    text: str
    ids: tuple[str, ...] = ()
    wires: tuple[str, ...] = WIRES
    takes: Literal["moment", "seconds", "number"] = "moment"  # what stands behind @
    at: str = ""
    knobs: Mapping[str, Any] = {}  # of the peer
    refuses: Callable[[str], Refusal] | None = None  # the upgrade, by wire
    does: Callable[[Scene], list[Item]] | None = None  # once, when it begins
    says: tuple[Says, ...] = ()  # to each message that it sends
    hears: Heard | None = None  # to each message that it is sent
    replies: Reply | None = None  # to each answer


def error(scene: Scene, code: str, text: str, kind: str = "invalid_request_error") -> Message:
    """An error event in the wire's own shape."""
    body: Message = {"type": kind, "code": code, "message": text}
    if scene.wire == "openai":
        body |= {"param": None, "event_id": None}
    if scene.wire == "loopback":
        body["type"] = "invalid_request_error"
        return {"type": "error", "error": body}
    return {"type": "error", "event_id": "event_fault", "error": body}


def _refusal(status: int, text: str) -> Callable[[str], Refusal]:
    why = {401: "key", 403: "account", 404: "path", 429: "limit"}.get(status, "fault")

    def refuses(wire: str) -> Refusal:
        if wire == "xai" and status in _xai_peer.REFUSALS:
            return Refusal(status, _xai_peer.REFUSALS[status].value.replace("{model}", ""), why)
        return Refusal(status, '{"error":{"message":"' + text + '","type":"invalid_request_error"}}', why)

    return refuses


def _redirect(status: int) -> Callable[[str], Refusal]:
    where = "https://elsewhere.example/v1/realtime"
    return lambda wire: Refusal(status, "moved\n", "redirect", where)


def _ends(code: int | None, reason: str = "") -> Callable[[Scene], list[Item]]:
    return lambda scene: [PeerClose(code, reason)]


def _turned_away(code: str, text: str, close: int, kind: str = "invalid_request_error") -> Callable[..., list[Item]]:
    """What OpenAI does after an upgrade that succeeded: an error, then a close whose reason names it."""
    return lambda scene: [error(scene, code, text, kind), PeerClose(close, f"{kind}.{code}")]


_BETA_OF = {ga: beta for beta, ga in _openai_messages.BETA_NAMES.value.items()}
_RENAMED = fx.renames(_BETA_OF)
_PCM = {"type": "audio/pcm", "rate": 24000}
_PHONE = "audio.{}.format"
_UNKNOWN: Message = {"type": "response.mood_detected", "event_id": "event_fault", "mood": "curious"}
_REFUSALS = {
    400: ("Bad request", ("F-094",)), 401: ("Unauthorized", ("F-003", "F-047", "F-091")),
    403: ("This account has no access", ("F-005",)), 404: ("Not found", ("F-092", "F-094")),
    426: ("Upgrade required", ("F-094",)), 429: ("Too many sessions", ("F-020",)), 500: ("Internal error", ("F-121",)),
    502: ("Bad gateway", ("F-121",)), 503: ("Overloaded", ("F-121",)),
}  # fmt: skip
_CLOSES = {
    1000: ("a normal end", ""), 1001: ("going away", "F-121"), 1008: ("a policy violation", "F-091"),
    1009: ("message too big", "F-085"), 1011: ("an internal error", "F-073"), 1012: ("a restart", "F-121"),
    1013: ("overload", "F-121"), 3000: ("a bad key", "F-091"), 4000: ("a bad request", "F-092"),
    4004: ("an unknown model", "F-092"),
}  # fmt: skip


def _field(name: str) -> Says:
    """A field is missing wherever it would stand at the top of a message."""

    def says(message: Message, scene: Scene) -> list[Item] | None:
        return [{key: value for key, value in message.items() if key != name}] if name in message else None

    return says


def _with(**more: Any) -> Says:
    return lambda message, scene: [{**message, **more}]


def _set(name: str, value: Any) -> Callable[[Message, Scene], None]:
    def change(message: Message, scene: Scene) -> None:
        message[name] = value

    return change


def _misspelt(message: Message, scene: Scene) -> list[Item] | None:
    if "item_id" not in message:
        return None
    return [{**{key: value for key, value in message.items() if key != "item_id"}, "itemId": message["item_id"]}]


def _renamed_model(message: Message, scene: Scene) -> list[Item] | None:
    """Both greeting and echo name an older model, whichever was asked for."""
    if message["type"] not in ("session.created", "session.updated"):
        return None
    older = {"openai": "gpt-realtime-mini", "xai": _xai_peer.FALLBACK_MODEL.value}[scene.wire]
    return [{**message, "session": {**message["session"], "model": older}}]


def _benign(scene: Scene) -> list[Item]:
    return [
        error(scene, "response_cancel_not_active", "Cancellation failed: no active response found"),
        error(scene, "conversation_already_has_active_response", "Conversation already has an active response"),
        error(scene, "invalid_value", "Audio content of 400ms is already shorter than 420ms"),
    ]


def _reset(scene: Scene) -> list[Item]:
    """A session.updated that nobody asked for: the formats are the defaults again."""
    session: dict[str, Any] = {"type": "realtime", "audio": {"input": {"format": _PCM}, "output": {"format": _PCM}}}
    return [{"type": "session.updated", "event_id": "event_fault", "session": session}]


def _phantom(scene: Scene) -> list[Item]:
    """Speech is noticed where nobody spoke: line echo, a cough, a television."""
    made: list[Item] = list(scene.peer.user_started(0, scene.now))
    return made


def _expires(scene: Scene) -> list[Item]:
    if scene.wire == "xai":
        text = _xai_peer.EXPIRED.value
        return [error(scene, "max_duration", text, "max_duration"), PeerClose(1000, text)]
    text = "Your session hit the maximum duration of 60 minutes."
    return [error(scene, "session_expired", text), PeerClose(1001, text)]


def _flood(scene: Scene) -> list[Item]:
    """Twelve minutes of audio at once, in pieces of ten seconds."""
    if scene.last_delta is None:
        return []
    return [{**scene.last_delta, "delta": "f" * 106_668} for _ in range(72)]


def _last_delta_as(**fields: Any) -> Callable[[Scene], list[Item]]:
    return lambda scene: [{**(scene.last_delta or {"type": fx.DELTA}), **fields}]


def _f(name: str, text: str, *ids: str, **more: Any) -> Fault:
    return Fault(name=name, text=text, ids=ids, **more)


_LISTED = (
    # the upgrade
    *[_f(f"refuse-{status}", f"the upgrade is refused with HTTP {status}", *ids, refuses=_refusal(status, text))
      for status, (text, ids) in _REFUSALS.items()],
    *[_f(f"redirect-{status}", f"the upgrade is answered by a redirect, HTTP {status}", "F-094",
         refuses=_redirect(status)) for status in (301, 302, 307, 308)],
    _f("slow-upgrade", "the answer to the upgrade comes late", "F-048", "F-120", takes="seconds", at="6s"),
    _f("too-many", "no more than so many sessions at once, further ones are refused with HTTP 429", "F-020",
       takes="number", at="1"),
    _f("refuse-dead-model", "an unknown model is refused at the upgrade; else another one answers in silence", "F-092",
       wires=("xai",), knobs={"refuses_unknown_models": True}),
    _f("bare-url-old-model", "a URL without a model gets the oldest one", "F-093", "S-002", wires=("xai",),
       knobs={"bare_model": _xai_peer.FALLBACK_MODEL.value}),
    # accepted, then turned away
    _f("reject-key", "accepted, then an error and close 3000: the key", "F-003", "F-005", "F-091", wires=("openai",),
       at="open", does=_turned_away("invalid_api_key", "Incorrect API key provided: sk-***.", 3000)),
    _f("reject-model", "accepted, then an error and close 4000: not a realtime model", "F-092", wires=("openai",),
       at="open", does=_turned_away("invalid_model", "This model is not supported in realtime mode.", 4000)),
    _f("reject-unknown-model", "accepted, then an error and close 4004: no such model", "F-092", wires=("openai",),
       at="open", does=_turned_away("model_not_found", "The model does not exist or you have no access.", 4004)),
    _f("reject-no-model", "accepted, then an error and close 4000: no model in the URL", "F-168", wires=("openai",),
       at="open", does=_turned_away("missing_model", "You must provide a model parameter.", 4000)),
    _f("reject-beta", "accepted, then an error and close 4000: the beta API", "F-095", "S-006", wires=("openai",),
       at="open", does=_turned_away("beta_api_shape_disabled", "The Realtime Beta API is no longer supported.", 4000)),
    _f("reject-quota", "accepted, then an error and close 1008: no credit left", "F-081", "F-105", wires=MODELS,
       at="open", does=_turned_away("insufficient_quota", "You exceeded your current quota.", 1008)),
    _f("reject-account", f"accepted, then an error and close 1008 ({_XAI_ASSUMED})", "F-005", wires=("xai",),
       at="open", does=_turned_away("permission-denied", "This account has no realtime access.", 1008)),
    _f("reject-first-append", "accepted and configured; the first audio brings an error and close 1008", "F-119",
       at="append", does=_turned_away("invalid_audio_format", "The audio cannot be decoded.", 1008)),
    # the greeting
    _f("no-greeting", "the first message never comes", "F-169",
       says=(fx.drops("session.created", "conversation.created"),)),
    _f("delay-greeting", "the first message comes late", "F-120", takes="seconds", at="3s",
       says=(fx.holds("session.created"),)),
    _f("conversation-first", "greets as the servers of the first months did, without session.created", "F-070",
       "S-010", wires=("xai",), says=(fx.drops("session.created"),)),
    _f("beta-session", "session.created and session.updated have the retired beta shape", "F-096", "S-006",
       wires=("openai",), says=(fx.in_beta_shape,)),
    _f("beta-events", "events have the names of the retired beta shape", "F-097", "S-006", wires=("openai",),
       says=(_RENAMED,)),
    # the session
    _f("no-session-updated", "the session is applied and never confirmed", "F-070",
       says=(fx.drops("session.updated"),)),
    _f("delay-session-updated", "the confirmation of the session comes late", "F-071", takes="seconds", at="3s",
       says=(fx.holds("session.updated"),)),
    _f("reject-session", "the session settings are refused whole, for one field", "F-098", hears=fx.finds_a_bad_field),
    _f("reject-voice", "the session settings are refused for their voice", "F-099", wires=("openai", "loopback"),
       hears=fx.reads_as("audio.output.voice", "nobody")),
    _f("reject-tools", "the session settings are refused for a tool", "F-098", "F-145",
       hears=fx.reads_as("tools", [{"type": "function"}])),
    _f("ignore-formats", "the audio formats are not applied: PCM16 at 24 kHz both ways", "F-096", "F-126", "F-127",
       "S-002", wires=MODELS, hears=fx.both(fx.overlooks(_PHONE.format("input")),
                                            fx.overlooks(_PHONE.format("output")))),
    _f("ignore-output-format", "the answers come as PCM16 at 24 kHz", "F-127", wires=MODELS,
       hears=fx.overlooks(_PHONE.format("output"))),
    _f("ignore-input-format", "the caller's audio is read as PCM16 at 24 kHz", "F-126", "F-129", wires=MODELS,
       hears=fx.overlooks(_PHONE.format("input"))),
    _f("ignore-voice", "the voice is not applied", "F-124", "S-002", wires=MODELS,
       hears=fx.overlooks("audio.output.voice")),
    _f("ignore-turn-detection", "the turn detection is not applied", "F-124", wires=MODELS,
       hears=fx.overlooks("audio.input.turn_detection")),
    _f("ignore-transcription", "no transcription is set up", "F-124", wires=MODELS,
       hears=fx.overlooks("audio.input.transcription")),
    _f("ignore-instructions", "the instructions are not applied", "F-098", hears=fx.overlooks("instructions")),
    _f("ignore-tools", "the tools are not applied", "F-098", hears=fx.overlooks("tools")),
    _f("turn-detection-off", "turn detection is off: the provider waits for a commit and a request", "F-102",
       wires=MODELS, hears=fx.reads_as("audio.input.turn_detection", None)),
    _f("no-create-response", "turns are noticed, and answered only on request", "F-102", wires=("openai",),
       hears=fx.reads_as("audio.input.turn_detection", {"type": "server_vad", "create_response": False})),
    _f("no-interrupt", "the caller's speech does not stop the response", "F-077", wires=("openai",),
       hears=fx.reads_as("audio.input.turn_detection", {"type": "server_vad", "interrupt_response": False})),
    _f("another-model", "another model answers, and the session says so", "F-093", "S-002", wires=MODELS,
       says=(_renamed_model,)),
    _f("another-voice", "session.updated names another voice", "F-099", wires=MODELS,
       says=(fx.echoes("audio.output.voice", "echo"),)),
    _f("another-turn-detection", "session.updated says that turn detection is off", "F-102", wires=MODELS,
       says=(fx.echoes("audio.input.turn_detection", {"type": "none"}),)),
    _f("another-format", "session.updated names another audio format for what it sends", "F-127", wires=MODELS,
       says=(fx.echoes(_PHONE.format("output"), _PCM),)),
    _f("echo-without-formats", "session.updated leaves the formats out", "F-096", wires=MODELS,
       says=(fx.echoes(_PHONE.format("input"), None), fx.echoes(_PHONE.format("output"), None))),
    _f("reset-session", "in the middle of the call the session has the default formats again", "F-139", wires=MODELS,
       at="response1", does=_reset, says=(fx.sounds(fx.pcm16_24k),)),
    # its audio
    _f("digital-silence", "audio of the right length and no sound", "F-116", says=(fx.sounds(fx.times(0)),)),
    _f("near-silence", "audio of the right length, 65 dB too quiet", "F-116", "F-138",
       says=(fx.sounds(fx.near_silence),)),
    _f("quiet", "audio 34 dB too quiet", "F-138", says=(fx.sounds(fx.times(0.02)),)),
    _f("clipped", "audio 12 dB too loud, clipped", "F-138", says=(fx.sounds(fx.times(40)),)),
    _f("noise", "noise instead of speech", "F-099", says=(fx.sounds(fx.noise),)),
    _f("pcm16-as-pcmu", "PCM16 at 24 kHz under the name of PCMU", "F-125", "F-127", says=(fx.sounds(fx.pcm16_24k),)),
    _f("pcm16-big-endian", "PCM16 with the bytes turned round, under the name of PCMU", "F-125", "F-135",
       says=(fx.sounds(lambda samples: fx.pcm16_24k(samples, ">i2")),)),
    _f("alaw-as-pcmu", "A-law under the name of PCMU", "F-134", says=(fx.sounds(g711.encode_pcma),)),
    _f("wrong-rate", "PCMU at 16 kHz under the name of 8 kHz: slow and deep", "F-128", "F-129",
       says=(fx.sounds(fx.at_16_khz),)),
    _f("double-base64", "audio is encoded as base64 twice", "F-055", says=(fx.double_base64,)),
    _f("not-base64", "the first piece of each response's audio is no base64", "F-055",
       says=(fx.first_piece(delta="%%%%"),)),
    _f("empty-delta", "one piece of audio is empty", at="response1", does=_last_delta_as(delta="")),
    _f("wav-header", "a WAV header before the audio of each response", "F-133", says=(fx.wav_header,)),
    _f("odd-pieces", "audio in pieces of 37 bytes", "F-136", says=(fx.in_pieces_of(37),)),
    _f("burst", "HEALTHY: a whole answer at once, far faster than real time", "H-017", "F-061",
       knobs={"speedup": 1e6}),
    _f("flood", "twelve minutes of audio at once", "F-061", at="response1", does=_flood),
    # its messages
    _f("malformed-json", "a message that is no JSON", at="response1", does=lambda scene: [b'{"type":"response.out']),
    _f("no-type", "a JSON object without a type", at="response1", does=lambda scene: [b'{"event":"media"}']),
    _f("not-an-object", "JSON that is no object", at="response1", does=lambda scene: [b'["response.done"]']),
    _f("binary-message", "a binary frame that nobody asked for", at="response1",
       does=lambda scene: [Binary(b"\x7f" * 160)]),
    _f("binary-audio", "audio comes as binary frames", "F-172", says=(fx.binary_audio,)),
    _f("giant-message", "audio in an event of more than 1 MiB", "F-085", says=(fx.giant,)),
    _f("unknown-events", "HEALTHY: an event of a type nobody knows before each response", "H-013",
       says=(fx.before("response.created", _UNKNOWN),)),
    _f("extra-fields", "HEALTHY: every event has a field that nobody knows", "H-013", "F-172", wires=MODELS,
       says=(_with(mood="curious"),)),
    _f("misspelt-fields", "itemId instead of item_id", "F-172", wires=MODELS, says=(_misspelt,)),
    _f("no-item-ids", "events without item_id", "F-172", says=(_field("item_id"),)),
    _f("no-response-ids", "events without response_id", "F-172", says=(_field("response_id"),)),
    _f("string-status-details", "status_details is a text, and usage is missing", "F-172", wires=MODELS,
       says=(fx.changes("response.done", lambda m, s: m["response"].update(status_details="unimplemented")),
             fx.changes("response.done", lambda m, s: m["response"].update(usage=None)))),
    _f("benign-errors", "HEALTHY: errors that hurt nobody: nothing to cancel, already active, too short", "H-007",
       "F-072", "F-080", "F-122", wires=MODELS, at="response1", does=_benign),
    _f("error-mid-call", "an error that is none of the known ones; the session lives on", "F-072", wires=MODELS,
       at="response1", does=lambda scene: [error(scene, "internal_error", "Something went wrong.", "internal_error")]),
    _f("silent", "nothing comes any more, and the connection stays open", "F-115", says=(fx.says_nothing,)),
    # responses
    _f("slow-answers", "HEALTHY: each answer takes its time", "H-004", takes="seconds", at="4s",
       says=(fx.holds("response.created"),)),
    _f("stop-answering", "speech is noticed and never answered", "F-107", "F-115", replies=fx.no_answer),
    _f("empty-responses", "responses are completed and hold nothing", "F-115", replies=fx.empty_answer),
    _f("text-only", "responses are text and no audio", "F-101", "F-114", wires=MODELS, says=(fx.as_text,)),
    _f("fail-responses", "responses end as failed: server_error", "F-107", wires=MODELS, replies=fx.empty_answer,
       says=(fx.fails_with("server_error", "The server had an error while processing your request."),)),
    _f("fail-quota", "responses end as failed: no credit left", "F-105", wires=MODELS, replies=fx.empty_answer,
       says=(fx.fails_with("insufficient_quota", "You exceeded your current quota.", "insufficient_quota"),)),
    _f("fail-rate-limit", "responses end as failed: rate limit", "F-105", wires=MODELS, replies=fx.empty_answer,
       says=(fx.fails_with("rate_limit_exceeded", "Rate limit reached.", "rate_limit_exceeded"),)),
    _f("fail-model", "responses end as failed: the model is not found", "F-092", wires=MODELS, replies=fx.empty_answer,
       says=(fx.fails_with("model_not_found", "The model does not exist.", "invalid_request_error"),)),
    _f("incomplete-tokens", "responses end as incomplete: max_output_tokens", wires=MODELS,
       says=(fx.ends_as("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}),)),
    _f("incomplete-filter", "responses end as incomplete: content_filter", wires=MODELS,
       says=(fx.ends_as("incomplete", {"type": "incomplete", "reason": "content_filter"}),)),
    _f("cancelled-by-itself", "responses end as cancelled, and nobody spoke", "F-162",
       says=(fx.ends_as("cancelled", {"type": "cancelled", "reason": "turn_detected"}),)),
    _f("no-response-done", "the end of a response is never told", "F-115", says=(fx.drops("response.done"),)),
    _f("no-audio-done", "the end of a response's audio is never told", says=(fx.drops("response.output_audio.done"),)),
    _f("late-deltas", "audio of a cancelled response still comes", "F-078", says=(fx.late_deltas,)),
    # the caller's turns
    _f("deaf", "the caller is never heard", "F-103", hears=fx.deaf),
    _f("deaf-at-first", "audio is ignored until so long after the opening", "F-071", takes="seconds", at="0.6s",
       hears=fx.deaf_at_first),
    _f("hard-of-hearing", "speech below -20 dBFS is not noticed", "F-103"),
    _f("never-ends-turn", "the caller is heard to begin and never to stop", "F-104", says=(fx.never_ends_turn,),
       replies=fx.no_answer),
    _f("phantom-speech", "speech is noticed where nobody spoke", "F-161", "F-162", at="response1", does=_phantom),
    _f("no-speech-events", "neither begin nor end of the caller's speech is told", "F-170", "H-021",
       says=(fx.drops(fx.STARTED, fx.STOPPED),)),
    _f("duplicate-speech-started", "the begin of speech is told twice", "F-162", says=(fx.twice(fx.STARTED),)),
    _f("no-start-ms", "the begin of speech has no time", "F-172", says=(fx.changes(
        fx.STARTED, lambda message, scene: message.pop("audio_start_ms")),), wires=MODELS),
    _f("float-start-ms", "the begin of speech has a time with a fraction", "F-172", wires=MODELS,
       says=(fx.changes(fx.STARTED, _set("audio_start_ms", 120.5)),)),
    _f("no-transcripts", "what the caller said is never written", "F-153", says=(fx.drops(fx.TRANSCRIPTION),)),
    _f("failed-transcripts", "what the caller said could not be transcribed", "F-153", wires=MODELS,
       says=(fx.failed_transcripts,)),
    _f("empty-transcripts", "transcripts of the caller are empty", "F-153",
       says=(fx.changes(f"{fx.TRANSCRIPTION}.completed", _set("transcript", "")),)),
    _f("null-transcripts", "transcripts of the caller are null", "F-172",
       says=(fx.changes(f"{fx.TRANSCRIPTION}.completed", _set("transcript", None)),)),
    _f("cumulative-transcripts", "each piece of a transcript repeats what came before", "F-172", wires=("openai",),
       says=(fx.cumulative,)),
    _f("repeated-transcripts", "the final transcript comes twice", "F-172",
       says=(fx.twice(f"{fx.TRANSCRIPTION}.completed"),)),
    _f("late-transcripts", "the final transcript comes late", "F-153", takes="seconds", at="0.6s",
       says=(fx.late_transcripts,)),
    # tools
    _f("invalid-tool-json", "tools are called with cut JSON", "F-144", replies=fx.calls_with(arguments='{"day":"Mon')),
    _f("empty-tool-arguments", "tools are called with no arguments at all", "F-144",
       replies=fx.calls_with(arguments="")),
    _f("unknown-tool", "a tool is called that the session does not have", "F-142",
       replies=fx.calls_with("lookup_weather", "{}")),
    _f("parallel-tools", "two tool calls in one response", "F-148", replies=fx.parallel_calls),
    _f("repeated-tool-call", "each tool call is told twice, with one id", "F-148",
       says=(fx.twice("response.function_call_arguments.done"),)),
    _f("no-tool-calls", "the tool that the script calls is never called", "F-149", replies=fx.no_calls),
    # the connection
    _f("drop", "TCP ends without a close", "F-073", "F-121", at="response1", does=_ends(None)),
    *[_f(f"close-{code}", f"the WebSocket is closed with {code}: {what}", *([row] if row else []), at="response1",
         does=_ends(code, what)) for code, (what, row) in _CLOSES.items()],
    _f("session-expired", "the session ends by its age", "F-108", "H-011", at="5s", does=_expires),
    _f("half-dead", "TCP stays open, nothing is read and nothing comes", "F-063", "F-121",
       at="response1", does=lambda scene: [StopReading()], says=(fx.says_nothing,)),
    _f("stops-reading", "nothing is read any more; what the provider says still comes", "F-060", "F-103",
       at="response1", does=lambda scene: [StopReading()]),
    _f("late-pongs", "pings are answered late", "F-084", "S-012", takes="seconds", at="25s",
       does=lambda scene: [LatePongs(scene.amount)]),
)  # fmt: skip
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _LISTED}


def faults_of(provider: str) -> tuple[str, ...]:
    """The faults that can happen to this provider."""
    return tuple(name for name, fault in FAULTS.items() if provider in fault.wires)

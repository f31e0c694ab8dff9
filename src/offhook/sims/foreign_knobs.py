"""
What a naive bridge can do wrong, as knobs; each has the right way as its default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

__all__ = ["Knobs", "Tool"]


class Tool(Struct, frozen=True):
    """A tool of the naive bridge, and how it goes wrong."""

    seconds: float = 0.2
    output: str = '{"ok":true}'
    registered: bool = True
    raises: str = ""  # the exception's type; swallowed, nothing is sent back
    sends_output: bool = True
    asks_next: bool = True  # response.create after the output
    filler: bool = False  # says something while it takes long
    blocks: bool = False  # synchronous: the whole process stands still
    encodes_twice: bool = False
    reruns: bool = False  # a barge-in starts it anew
    hangs_up: bool = False
    transfers: bool = False


class Knobs(Struct, frozen=True, kw_only=True):
    """One field per mistake."""

    # process
    key: str | None = "right"  # of the provider; None: not in the environment
    key_env: str = ""
    other_worker: bool = False  # webhook and stream land in different processes, which share nothing
    killed_at_s: float | None = None  # after the stream began; then the process is started again
    has_ws: bool = True
    has_g711: bool = True
    dial_raises: str = ""  # the client library takes other arguments
    proxy: str | None = None
    max_calls: int = 100
    global_session: bool = False  # one object for all calls

    # webhook
    methods: tuple[str, ...] = ("POST",)
    hook_path: str = "/voice"
    hook_s: float = 0.05
    hook_s_again: float | None = None  # from the second one of a call on
    hook_status: int = 200
    content_type: str = "text/xml"
    document: Callable[[str], str] | None = None  # from the stream's URL
    stream_url: str = "wss://bridge.example.net/media"
    parameters: Mapping[str, str] = {}
    verb: Literal["Connect", "Start"] = "Connect"
    after_stream: str = ""  # TwiML behind the verb
    checks_signature: Literal["", "right", "sha1-only", "form-only", "http", "https-upgrade"] = ""
    auth_token: str = ""

    # upgrade
    media_path: str = "/media"
    unknown_status: int = 403  # what common ASGI stacks answer for an unknown WebSocket path
    wants_token: Literal["", "query", "parameter"] = ""
    token: str = "abc"
    token_in_document: bool = True
    accepts: Literal["at once", "after dial"] = "at once"

    # reading the carrier
    reads: Literal["right", "stream_sid", "start first"] = "right"
    raises_at_frame: int | None = None
    raises: str = "ZeroDivisionError"
    returns_at_frame: int | None = None
    all_tracks: bool = False
    gap_ends_turn: bool = False
    stop_ends: bool = True
    stop_ends_after_s: float = 0.0
    identity_from_query: bool = False

    # writing to the carrier
    sid_field: str = "streamSid"
    sid: Literal["right", "null", "other call"] = "right"
    before_start: bool = False
    binary: bool = False
    echoes_connected: bool = False
    forwards_raw: bool = False
    mark_shape: Literal["right", "no name"] = "right"
    marks: bool = True
    payload: Literal["right", "urlsafe", "data:", "twice", "list"] = "right"
    law: Literal["pcmu", "pcm16", "pcm16be", "a-law", "float32", "u8", "stereo"] = "pcmu"
    header: bytes = b""
    gain: float = 1.0
    chunk: int | None = None  # bytes a frame; None: as it comes
    pace: Literal["burst", "absolute", "sleeps"] = "burst"
    send_cost_s: float = 0.003  # with "sleeps"

    # the provider's session
    provider: Literal["openai", "xai"] = "openai"
    model: str = ""
    voice: str = ""
    url: str = ""
    query_model: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    dialect: Literal["ga", "beta"] = "ga"
    hears: Literal["", "ga", "beta"] = ""  # event names; "": as the dialect
    session: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    audio: Literal["pcmu", "pcm"] = "pcmu"
    out_rate: int = 24000  # what the bridge believes of PCM that it gets
    upsample: Literal["right", "none", "8k"] = "right"
    resample: Literal["right", "stateless", "alias"] = "right"
    gate: tuple[str, ...] | None = ("session.updated",)
    gate_drops: bool = True
    waits_for_server: bool = True  # sends its session only after the server's first message
    dials_at: Literal["start", "webhook"] = "start"
    on_error: Literal["ignore", "dies"] = "ignore"
    strict: bool = False  # a typed parser that raises on a variation
    on_provider_close: Literal["end", "leave open", "reconnect"] = "end"
    max_reconnects: int = 0
    ping_s: float | None = None
    pong_s: float = 20.0
    max_message: int = 16 * 1024 * 1024
    second_update: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    second_update_s: float = 5.0
    creates_after_update: bool = False
    dial_timeout_s: float = 10.0
    rotates_at_s: float | None = None  # another session takes over, as planned

    # talking
    greeting: bool = True
    clears: bool = True
    drops_late: bool = True
    truncates: Literal["played", "wall", "no"] = "played"
    creates_on_stop: bool = False  # asks for a response that the server makes by itself
    commits_on_stop: bool = False
    idle_s: float | None = None
    idle_counts_playback: bool = True
    tools: Mapping[str, Tool] = {}
    hangs_up: Literal["after marks", "at once", "never"] = "after marks"
    teardown_raises: str = ""
    close_code: int | None = 1000
    rest_first: bool = False
    noise_at_end: str = ""  # an exception of a teardown that went well
    store_stalls_s: float = 0.0
    store_stalls_at: Literal["answer", "end"] = "answer"
    job: Literal["", "done", "lost"] = ""  # what runs after the call
    full_duplex: bool = False

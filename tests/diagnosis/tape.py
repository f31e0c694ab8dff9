"""
Recordings made by hand: a good call to begin with, and the few words that turn it into a broken one.

``good()`` is a whole healthy call; ``Tape()`` an empty one. Every change returns the tape, so that a test reads as
what is different: ``good().change("twiml", verb="Start")``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.report import Report, report
from offhook.evidence.record import Recording

CA, MZ = "CA" + "0" * 32, "MZ" + "1" * 32
LOUD = [0] * 12 + [1, 0, 0, 0]


class Tape:
    """One recording in the making."""

    def __init__(self, *, boot: dict[str, Any] | None = None, **begin: Any) -> None:
        self.begin: dict[str, Any] = {
            "began": "2026-11-25T12:00:00Z", "call": CA, "caller": "+1********01", "called": "+1********02",
            "direction": "inbound", "carrier": "twilio", "source": "hand-made", "boot": boot or {}, **begin,
        }  # fmt: skip
        self.lines: list[dict[str, Any]] = []
        self.audio: dict[int, list[int]] = {n: figures(0) for n in range(4)}
        self.summary: dict[str, Any] | None = {"end": {"wanted": True, "why": "caller hung up"}}

    def note(self, kind: str, at: float = 0.0, /, **data: Any) -> Tape:
        self.lines.append({"k": "note", "t": at, "note": kind, **data})
        return self

    def msg(self, ch: int, at: float, /, **message: Any) -> Tape:
        self.lines.append({"k": "msg", "t": at, "ch": ch, "bytes": 100, "m": message})
        return self

    def violation(self, field: str | None, at: float = 1000.0, /, *, ch: int = 1, n: int = 1, **data: Any) -> Tape:
        """``n`` messages of the program under test that break the carrier's contract."""
        given = {
            "wire": "twilio", "message": "media", "field": field, "got": "nothing", "wanted": "streamSid",
            "source": "twilio.com", "by": "us", "code": "31951", "accepted": False, **data,
        }  # fmt: skip
        self.lines += [{"k": "violation", "t": at + k, "ch": ch, **given} for k in range(n)]
        return self

    def frames(self, ch: int, n: int, /, **more: Any) -> Tape:
        """So many frames of audio on a channel; ``more`` as in ``figures``."""
        self.audio[ch] = figures(n, **more)
        return self

    def without(self, *kinds: str) -> Tape:
        """Without the notes, or the messages, of these names."""
        self.lines = [line for line in self.lines if _name(line) not in kinds]
        return self

    def before(self, at: float) -> Tape:
        """Only what came before ``at``."""
        self.lines = [line for line in self.lines if line["t"] < at]
        return self

    def change(self, kind: str, /, **data: Any) -> Tape:
        """The first note of a kind, otherwise."""
        line = next(line for line in self.lines if _name(line) == kind)
        line.update(data)
        return self

    def ends(self, **summary: Any) -> Tape:
        self.summary = {**(self.summary or {}), **summary}
        return self

    def no_end(self) -> Tape:
        self.summary = None
        return self

    def raw(self) -> bytes:
        """The lines of the recording."""
        lines = sorted(self.lines, key=lambda line: line["t"])
        last = max((line["t"] for line in lines), default=0.0)
        out = [{"k": "begin", "t": 0.0, "version": 1, **self.begin}, *lines]
        out.append({"k": "counters", "t": last, "channels": [self.audio[n] for n in range(4)], "gap_max_ms": 21})
        if self.summary is not None:
            out.append({"k": "end", "t": last, **self.summary})
        return b"\n".join(msgspec.json.encode(line) for line in out) + b"\n"

    def recording(self) -> Recording:
        return Recording.parse(self.raw().split(b"\n"))

    def view(self) -> Evidence:
        return Evidence.of(self.recording())

    def report(self) -> Report:
        return report(self.recording())

    def rules(self) -> list[str]:
        """The root findings' rules, in order."""
        return [finding.rule for finding in self.report().roots]


def _name(line: dict[str, Any]) -> str:
    if line["k"] == "msg":
        return str(line["m"].get("event") or line["m"].get("type"))
    return str(line.get("note") or line["k"])


def figures(
    n: int,
    *,
    size: int = 160,
    loud: int = 1,
    silent: int = 0,
    zero: int = 0,
    odd: int = 0,
    a_law: int = 0,
    b64: int = 0,
) -> list[int]:
    """A meter's figures of ``n`` frames: ``loud`` and ``silent`` are shares of what was measured, out of one."""
    looked = n // 5
    quiet = looked if silent else 0
    seen = (looked - quiet) * 80
    levels = [quiet, *LOUD[1:12], (looked - quiet) if loud else 0, 0, 0, 0]
    if not loud and not silent:
        levels[2] = looked
    own = [n, n * size, looked, quiet, seen, zero * seen // 100, a_law * seen // 100, b64 * seen // 100]
    steps = a_law * seen // 400  # A-law's smallest steps stand beside its silence
    return [*own, odd * seen // 200, 0, steps, 0, *levels]


BOOT = {
    "provider": "OpenAI Realtime", "model": "gpt-realtime", "voice": "marin", "endpoint": "wss://api.openai.com/v1/realtime",
    "settings": {
        "provider.name": {"value": "openai", "origin": "offhook.toml:2"},
        "provider.model": {"value": "gpt-realtime", "origin": "default"},
        "server.public_url": {"value": "https://voice.example.com", "origin": "offhook.toml:6"},
    },
    "keys": [{"env": "OPENAI_API_KEY", "present": True, "length": 51, "hash4": "abcd", "edge_space": False,
              "is_none": False, "looks_like": "openai"}],
    "proxy_env": [], "public": {"url": "https://voice.example.com", "origin": "offhook.toml:6", "private": False},
    "listen": {"host": "0.0.0.0", "port": 8080}, "runtime": {"ws_impl": "picows", "g711": True}, "clock_off_s": 0.2,
    "limits": {"max_calls": 100}, "profile": {"provider": "openai", "checked": "2026-11-22", "speaks_first": "provider",
                                              "duplex": "half"},
}  # fmt: skip


def webhook_leg(tape: Tape) -> Tape:
    tape.note(
        "webhook", 0.0, n=1, method="POST", scheme="https", host="voice.example.com", path="/twilio/voice",
        query_keys=[], status=200, ms=2.1, content_type="text/xml", bytes=420, call_sid=CA,
        signature={"present": True, "ok": True, "alg": "sha1", "variant": ""},
    )  # fmt: skip
    stream = {"scheme": "wss", "host": "voice.example.com", "port": None, "path": "/twilio/media", "query_keys": []}
    return tape.note(
        "twiml",
        1.0,
        ok=True,
        verb="Connect",
        stream=stream,
        track=None,
        next_verb=None,
        parameters=["token"],
        unknown=[],
    )


def stream_leg(tape: Tape, at: float = 100.0) -> Tape:
    tape.note(
        "upgrade", at, path="/twilio/media", query_keys=[], host="voice.example.com", status=101, ms=1.0,
        headers={"upgrade": "websocket", "connection": "Upgrade"}, signature={"present": True, "ok": True}, why="",
    )  # fmt: skip
    tape.msg(0, at + 1, event="connected", protocol="Call", version="1.0.0")
    start = {"streamSid": MZ, "callSid": CA, "tracks": ["inbound"], "customParameters": {"token": "***"},
             "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}  # fmt: skip
    return tape.msg(0, at + 2, event="start", streamSid=MZ, start=start)


def provider_leg(tape: Tape, at: float = 10.0) -> Tape:
    tape.note("dial.begun", at, attempt=1)
    tape.note(
        "dial.request", at, scheme="wss", host="api.openai.com", path="/v1/realtime", query={"model": "gpt-realtime"},
        query_keys=["model"], header_names=["Authorization"], via_proxy=None,
    )  # fmt: skip
    tape.note("dial.phase", at + 5, phase="tcp", ms=5).note("dial.phase", at + 40, phase="upgrade", ms=30)
    tape.msg(2, at + 50, type="session.created", session={"model": "gpt-realtime"})
    tape.msg(3, at + 51, type="session.update", session={"voice": "marin"})
    return tape.msg(2, at + 80, type="session.updated", session={"voice": "marin"})


def turn(tape: Tape, at: float, n: int = 1) -> Tape:
    """The caller asks, the agent answers."""
    tape.msg(2, at, type="input_audio_buffer.speech_started").msg(
        2, at + 1500, type="input_audio_buffer.speech_stopped"
    )
    tape.msg(2, at + 1600, type="response.created", response={"id": f"r{n}"})
    tape.msg(2, at + 2000, type="response.output_audio.delta", response_id=f"r{n}", delta="<216 characters>")
    tape.msg(1, at + 2001, event="media", streamSid=MZ, media={"payload": "<216 characters>"})
    tape.msg(1, at + 2100, event="mark", streamSid=MZ, mark={"name": f"m{n}"})
    tape.msg(2, at + 3000, type="response.done", response={"id": f"r{n}", "status": "completed"})
    return tape.msg(0, at + 4000, event="mark", streamSid=MZ, mark={"name": f"m{n}"})


def good(**begin: Any) -> Tape:
    """A healthy call: two turns, then the caller hangs up at 20 s."""
    tape = Tape(**{"boot": BOOT, **begin})
    stream_leg(provider_leg(webhook_leg(tape)))
    turn(turn(tape, 2000, 1), 9000, 2)
    tape.frames(0, 1000).frames(1, 100, size=400).frames(2, 100, size=400).frames(3, 1000)
    tape.msg(0, 20000, event="stop", streamSid=MZ, stop={"callSid": CA})
    tape.note("close", 20010, leg="carrier", code=1000, reason="", by="them", age_s=19.9, clean=True)
    tape.note("close", 20020, leg="provider", code=1000, reason="", by="us", age_s=20.0, clean=True)
    return tape.ends(marks={"sent": 2, "played": 2, "flushed": 0, "lost": 0})

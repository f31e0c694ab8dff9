"""
What can go wrong on the carrier's side of a call, as a user dials it: ``NAME[=VALUE][@WHEN]``.

Data, and the few functions that read it. ``line.py`` plays what happens on a stream, the drivers what happens before
one. Knows no sockets and no clock. ``rows`` are ids of the fault catalogue (read 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

__all__ = ["FAULTS", "SIGNATURES", "Fault", "Kind", "Where", "parse_fault"]

Where = Literal["webhook", "upgrade", "stream", "audio", "playback", "end", "rest"]

# The dimensions in which a signature can differ from the one that the server computes.
SIGNATURES = ("scheme", "host", "port", "slash", "query", "body", "algorithm", "secret", "missing")


class Kind(Struct, frozen=True):
    """One fault that can be dialled."""

    name: str
    where: Where
    what: str
    rows: tuple[str, ...] = ()
    value: str = ""  # what stands behind ``=``; empty where nothing may
    default: str = ""  # taken when no value is given; empty: one must be
    when: Literal["always", "from", "at"] = "always"  # never timed; from that moment on; once at that moment
    at_s: float = 0.0  # the moment when none is given


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return {kind.name: kind for kind in kinds}


FAULTS: Mapping[str, Kind] = _kinds(
    # ---- the webhook
    Kind("unreachable", "webhook", "the carrier's resolver does not find the webhook's name", ("F-026",)),
    Kind("webhook-get", "webhook", "GET with the form in the query instead of POST", ("F-027",)),
    Kind("webhook-elsewhere", "webhook", "the number names another path", ("F-027", "F-042"), "path", "/incoming"),
    Kind("webhook-redirected", "webhook", "comes as after a 301: GET, the form is lost", ("F-028",)),
    Kind("webhook-json", "webhook", "a JSON body, signed by its hash (bodySHA256)", ("F-030",)),
    Kind("webhook-retried", "webhook", "asked twice for one call: the first answer came too late", ("F-044",)),
    Kind("webhook-signature", "webhook", "a signature that differs in one dimension", ("F-023", "F-029"),
         " | ".join(SIGNATURES), "secret"),
    Kind("webhook-extra", "webhook", "parameters that nobody knows, one of them blank"),
    # ---- the upgrade
    Kind("upgrade-signature", "upgrade", "a signature that differs in one dimension", ("F-064",),
         " | ".join(SIGNATURES), "secret"),
    Kind("wrong-path", "upgrade", "another path than the TwiML says", ("F-046",), "path", "/nowhere"),
    Kind("no-upgrade-header", "upgrade", "a proxy drops Upgrade and Connection", ("F-011",)),
    Kind("hang-up-before-upgrade", "upgrade", "the caller leaves between webhook and stream", ("H-003", "H-018")),
    Kind("late-stream", "upgrade", "answering-machine detection holds the stream back, ms", ("F-158",), "ms", "3500"),
    # ---- the stream
    Kind("late-start", "stream", "so many ms between connected and start", ("F-050", "F-057"), "ms", "400"),
    Kind("no-start", "stream", "connected comes, start never does"),
    Kind("no-parameters", "stream", "customParameters are missing", ("F-045",)),
    Kind("foreign-call", "stream", "start names another call than the webhook did", ("F-045",)),
    Kind("media-before-start", "stream", "the first frames stand before start"),
    Kind("second-start", "stream", "start comes twice", when="at", at_s=1.0),
    Kind("second-stream", "stream", "another stream for the same call, beside the first", ("F-051",), when="at",
         at_s=1.0),
    Kind("reconnect", "stream", "TCP breaks, a new stream for the same call follows after ms", ("F-087",), "ms", "900",
         "at", 2.0),
    Kind("one-way", "stream", "the stream was begun with <Start>: nothing is played", ("F-036",)),
    Kind("both-tracks", "stream", "inbound and outbound track", ("F-069",)),
    Kind("dtmf-only", "stream", "no audio at all, only keys", when="from"),
    Kind("unknown-event", "stream", "an event nobody knows", when="at", at_s=0.5),
    Kind("unknown-field", "stream", "a field nobody knows in every message"),
    Kind("number-types", "stream", "sequence numbers, chunks and timestamps as numbers"),
    Kind("other-stream", "stream", "a frame with another stream's sid", when="at", at_s=0.5),
    Kind("malformed-json", "stream", "a message that is no JSON", when="at", at_s=0.5),
    Kind("binary-frame", "stream", "a binary frame", when="at", at_s=0.5),
    Kind("odd-frames", "stream", "frames of 20 to 60 ms in turn"),
    Kind("unknown-mark", "stream", "a mark comes back that was never sent", when="at", at_s=0.5),
    Kind("loss", "stream", "a share of the frames is lost, the numbers go on", ("H-016",), "share 0-1", "0.02", "from"),
    Kind("jitter", "stream", "frames come up to so many ms late, in order", ("H-016",), "ms", "80", "from"),
    Kind("reorder", "stream", "a share of the frames changes places with its follower", ("F-166",), "share 0-1",
         "0.025", "from"),
    Kind("bunching", "stream", "frames come in bunches of so many ms", (), "ms", "200", "from"),
    Kind("clock-drift", "stream", "the caller's clock is off by so many parts per million", (), "ppm", "200"),
    Kind("half-dead", "stream", "the path dies without a word: nothing comes, nothing is read", ("F-063",),
         when="from", at_s=2.0),
    Kind("slow-read", "stream", "the carrier reads only so many bytes a second; 0: none", ("F-063",), "bytes/s",
         "2000", "from"),
    # ---- what the caller's side sounds like
    Kind("digital-silence", "audio", "only 0xFF arrives: nothing was captured", ("F-163",), when="from"),
    Kind("quiet", "audio", "a caller who says nothing, line noise at dBFS", ("H-001",), "dBFS", "-60", "from"),
    Kind("noise", "audio", "noise under everything, at dBFS", (), "dBFS", "-35", "from"),
    Kind("low-level", "audio", "the caller is so many dB quieter", (), "dB", "30", "from"),
    Kind("echo", "audio", "the agent's voice comes back: gain in dB, delay in ms", ("F-161",), "dB,ms", "-18,240",
         "from"),
    Kind("noise-bursts", "audio", "short noises of so many ms while the agent speaks", ("F-162",), "ms", "90", "from"),
    Kind("music", "audio", "hold music at dBFS", ("H-005",), "dBFS", "-20", "from"),
    Kind("voicemail", "audio", "a greeting of so many seconds, then a beep", ("F-165", "H-015"), "s", "9"),
    # ---- what becomes of the agent's audio
    Kind("no-marks", "playback", "marks never come back"),
    Kind("lost-marks", "playback", "a share of the marks is lost", (), "share 0-1", "0.3"),
    Kind("no-marks-on-clear", "playback", "what a clear drops sends no marks back"),
    Kind("early-media-lost", "playback", "nothing is heard until the caller has spoken", ("F-164",)),
    # ---- how it ends
    Kind("hang-up", "end", "the caller leaves", ("H-003",), when="at", at_s=0.7),
    Kind("close-without-stop", "end", "the WebSocket is closed, no stop before", when="at", at_s=2.0),
    Kind("stop-without-close", "end", "stop comes, TCP stays open", ("F-062",), when="at", at_s=2.0),
    Kind("second-stop", "end", "stop comes twice"),
    Kind("drop", "end", "TCP is reset", when="at", at_s=2.0),
    Kind("callbacks-reversed", "end", "status callbacks come in the wrong order", ("H-019",)),
    # ---- the carrier's REST interface, by which a server ends a call: see sims/carrier_rest.py
    Kind("rest-unauthorized", "rest", "401/20003: credentials are missing or wrong", ("F-159",)),
    Kind("rest-gone", "rest", "404/20404: the call is over already", ("F-159",)),
    Kind("rest-refuses", "rest", "400 with this code", ("F-157", "F-159"), "code", "21219"),
    Kind("rest-limited", "rest", "429/20429: too many requests", ("F-159",)),
    Kind("rest-fails", "rest", "a failure of the carrier's, with this status and no JSON", ("F-159",), "status", "503"),
    Kind("rest-hangs", "rest", "no answer ever comes", ("F-159",)),
)  # fmt: skip


class Fault(Struct, frozen=True):
    """One fault, dialled."""

    name: str
    value: str = ""
    at_s: float = 0.0

    @property
    def kind(self) -> Kind:
        return FAULTS[self.name]

    def figures(self) -> list[float]:
        """The value as numbers."""
        return [float(part) for part in self.value.split(",")]

    @property
    def figure(self) -> float:
        return self.figures()[0]

    def __str__(self) -> str:
        value = f"={self.value}" if self.kind.value else ""
        return self.name + value + (f"@{self.at_s:g}s" if self.kind.when != "always" else "")


_TEXT = re.compile(r"(?P<name>[a-z-]+)(?:=(?P<value>[^@]*))?(?:@(?P<n>\d{1,6}(?:\.\d+)?)(?P<unit>ms|s)?)?")


def parse_fault(text: str) -> Fault:
    """``loss``, ``loss=0.1``, ``drop@3s``, ``echo=-12,300@700ms``. Raises ValueError that says what there is."""
    match = _TEXT.fullmatch(text.strip())
    kind = FAULTS.get(match["name"]) if match else None
    if match is None or kind is None:
        raise ValueError(f"fault {text!r}: there are {', '.join(FAULTS)}")
    if match["value"] is not None and not kind.value:
        raise ValueError(f"fault {text!r}: {kind.name} takes no value")
    if match["n"] is not None and kind.when == "always":
        raise ValueError(f"fault {text!r}: {kind.name} cannot be timed, it holds from the beginning")
    value = match["value"] or kind.default
    at_s = float(match["n"]) / (1000 if match["unit"] == "ms" else 1) if match["n"] is not None else kind.at_s
    fault = Fault(kind.name, value, at_s)
    _check(fault, text)
    return fault


def _check(fault: Fault, text: str) -> None:
    unit = fault.kind.value
    if unit == "path":
        if not fault.value.startswith("/"):
            raise ValueError(f"fault {text!r}: wanted a path that begins with /")
    elif unit in ("status", "code"):
        least, most = (500, 599) if unit == "status" else (10000, 99999)
        if not fault.value.isdigit() or not least <= int(fault.value) <= most:
            raise ValueError(f"fault {text!r}: wanted a {unit} from {least} to {most}")
    elif "|" in unit:
        if fault.value not in SIGNATURES:
            raise ValueError(f"fault {text!r}: wanted one of {', '.join(SIGNATURES)}")
    elif unit:
        try:
            figures = fault.figures()
        except ValueError:
            raise ValueError(f"fault {text!r}: wanted {unit}, as in {fault.name}={fault.kind.default}") from None
        if len(figures) != 1 + unit.count(",") or (unit.startswith("share") and not 0 <= figures[0] <= 1):
            raise ValueError(f"fault {text!r}: wanted {unit}, as in {fault.name}={fault.kind.default}")


def named(faults: Iterable[Fault], name: str) -> Fault | None:
    """The fault of this name, when it was dialled."""
    return next((fault for fault in faults if fault.name == name), None)

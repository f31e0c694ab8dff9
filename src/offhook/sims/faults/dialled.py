"""
Every fault of the simulated providers, dialled into a call of our own server: more faults than the catalogue has rows,
so that a diagnosis is asked what it was not written for.
"""

from __future__ import annotations

from collections.abc import Mapping

from offhook.evidence.record import Recording
from offhook.sims import carrier_faults
from offhook.sims.faults.scene import ours, wait
from offhook.sims.provider_faults import FAULTS

__all__ = [
    "AUDIBLE", "DIALLED", "HARMLESS", "LINES", "NOT_PROVABLE", "dial", "dial_line", "is_healthy", "line_may_be",
    "may_be",
]  # fmt: skip

# What the caller hears as wrong: whoever calls such a call healthy has not listened.
AUDIBLE = frozenset(
    ("digital-silence", "near-silence", "quiet", "clipped", "noise", "pcm16-as-pcmu", "pcm16-big-endian",
     "alaw-as-pcmu", "wrong-rate", "double-base64", "wav-header", "flood", "text-only", "empty-responses", "deaf",
     "silent", "stop-answering", "fail-responses", "fail-quota")
)  # fmt: skip


def _wires() -> dict[str, str]:
    """A wire for each fault, by turns where several can play it."""
    found: dict[str, str] = {}
    for n, (name, fault) in enumerate(FAULTS.items()):
        wires = [wire for wire in ("openai", "xai") if wire in fault.wires]
        if wires:
            found[name] = wires[n % len(wires)]
    return found


DIALLED = _wires()


# Faults that the catalogue has no row for, by the rules that name them; that a provider hangs up on a call is named by
# its code, a refused upgrade by its status and phase, a step that was never confirmed by its deadline.
OUTSIDE_D: Mapping[str, tuple[str, ...]] = {
    "beta-session": ("provider-session/format-not-applied",),
    "incomplete-tokens": ("turns/cut-short",),
    "incomplete-filter": ("turns/cut-short",),
    "stops-reading": ("provider-session/stopped-reading",),
    "half-dead": ("provider-session/stopped-reading",),
    "stop-answering": ("turns/no-answer",),
    **{f"refuse-{status}": ("provider-connect/failed",) for status in (400, 401, 404, 426, 500, 502, 503)},
    **{f"redirect-{status}": ("provider-connect/failed",) for status in (301, 302, 307, 308)},
    **{name: ("provider-session/never-ready",) for name in ("no-greeting", "no-session-updated", "silent")},
    **{f"close-{code}": ("F-121",) for code in (1000, 1008, 1009, 1011, 4000)},
}


def is_healthy(name: str) -> bool:
    """Whether a fault hurts nobody."""
    return "HEALTHY" in FAULTS[name].text


def may_be(name: str) -> tuple[str, ...]:
    """The rows of the catalogue, and the rules outside it, that name a fault of a provider."""
    return (*FAULTS[name].ids, *OUTSIDE_D.get(name, ()))


def dial(name: str) -> list[Recording]:
    """One call with this fault; what is timed by a response begins with the second."""
    when = "@response2" if FAULTS[name].at == "response1" else ""
    return ours(DIALLED[name], wait(26.0), greeting="Hello.", net={"faults": (name + when,)}, limit_s=60.0)


# What a carrier can do wrong on a stream that our server cannot be blamed for.
LINES = tuple(
    name for name, kind in carrier_faults.FAULTS.items()
    if kind.where in ("stream", "audio", "playback", "end")
    and name not in ("second-stream", "reconnect", "one-way", "both-tracks", "callbacks-reversed")
)  # fmt: skip
# A healthy call all the same: small losses and strange messages that hurt nobody, a caller who says nothing or leaves.
HARMLESS = frozenset(
    ("late-start", "media-before-start", "second-start", "unknown-event", "unknown-field", "number-types",
     "other-stream", "malformed-json", "binary-frame", "odd-frames", "unknown-mark", "loss", "jitter", "bunching",
     "clock-drift", "quiet", "low-level", "no-marks-on-clear", "hang-up", "second-stop", "stop-without-close")
)  # fmt: skip


# What happens to the called party only.
OUTBOUND = frozenset(("voicemail", "early-media-lost"))
# Faults that the catalogue has no row for, by the rules that name them. "…/unexplained" where more than the boundary
# cannot be known from here: a carrier that returns no mark may play everything, or nothing.
OUTSIDE: Mapping[str, tuple[str, ...]] = {
    "drop": ("carrier-stream/lost",),
    "close-without-stop": ("carrier-stream/lost",),
    "lost-marks": ("carrier-stream/marks-lost",),
    "no-marks": ("carrier-stream/unexplained",),
    "no-start": ("carrier-stream/refused-after-upgrade",),
    "dtmf-only": ("carrier-stream/not-started",),
}

# What a record cannot prove, and why; the page of the score says it.
NOT_PROVABLE: Mapping[str, str] = {
    "D-noise": "a record keeps how loud audio was, no spectrum: noise of one level is told neither from a tone nor"
    " from the steady voice of a test; `offhook dial` and a recording let one hear it",
}


def line_may_be(name: str) -> tuple[str, ...]:
    """The rows of the catalogue, and the rules outside it, that name a fault of the line."""
    more = ("F-104",) if name in ("noise", "music") else ()  # all the time: the turn never ends
    return (*carrier_faults.FAULTS[name].rows, *OUTSIDE.get(name, ()), *more)


def dial_line(name: str) -> list[Recording]:
    """One call over a line with this fault."""
    line = {"faults": (name,), "direction": "outbound-api" if name in OUTBOUND else "inbound"}
    return ours("openai", wait(26.0), greeting="Hello.", line=line, limit_s=60.0, settle_s=180.0)

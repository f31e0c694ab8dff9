"""
Every fault of the simulated providers, dialled into a call of our own server: more faults than the catalogue has rows,
so that a diagnosis is asked what it was not written for.
"""

from __future__ import annotations

from offhook.evidence.record import Recording
from offhook.sims.faults.scene import ours, wait
from offhook.sims.provider_faults import FAULTS

__all__ = ["AUDIBLE", "DIALLED", "dial", "is_healthy", "may_be"]

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


def is_healthy(name: str) -> bool:
    """Whether a fault hurts nobody."""
    return "HEALTHY" in FAULTS[name].text


def may_be(name: str) -> tuple[str, ...]:
    """The rows of the catalogue that a fault injects."""
    return FAULTS[name].ids


def dial(name: str) -> list[Recording]:
    """One call with this fault; what is timed by a response begins with the second."""
    when = "@response2" if FAULTS[name].at == "response1" else ""
    return ours(DIALLED[name], wait(26.0), greeting="Hello.", net={"faults": (name + when,)}, limit_s=60.0)

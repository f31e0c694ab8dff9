"""
Calls that died with their server, made into calls that were cut off: whoever calls back goes on there.

What a living server keeps at a call's end is read here from the record that was left. Knows no server.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook.agent.resume import CutOff, tail
from offhook.evidence.record import Recording
from offhook.evidence.transcript import transcript

__all__ = ["cut_off"]


def cut_off(call: Recording, resume_s: Callable[[str], float], now: float) -> tuple[str, CutOff] | None:
    """
    Whose it was (the keyed hash of the number), and what they may go on with; None where they may not.

    ``resume_s`` says how long an agent lets calls be gone on with, 0: not at all; ``now`` is seconds since 1970.
    """
    agents = list(call.notes("agent"))
    began_ms = call.begin.get("began_ms")
    ours = str(call.begin.get("direction", "")).startswith("outbound")
    party = call.begin.get("called_id" if ours else "caller_id")
    if not agents or not isinstance(began_ms, int) or not isinstance(party, str) or not party:
        return None
    who = agents[-1].data
    name = str(who.get("name") or "")
    died_at = (began_ms + call.last_ms) / 1000
    until = died_at + resume_s(name)
    said = tail([(turn.who, turn.heard) for turn in transcript(call) if turn.who in ("caller", "agent") and turn.heard])
    if who.get("verified") is not True or now > until or not any(speaker == "caller" for speaker, _ in said):
        return None
    return party, CutOff(name, died_at, until, said, str(call.begin.get("call") or ""))

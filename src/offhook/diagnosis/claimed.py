"""
What an agent claimed, held against the tools it called: for rules, over any record. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from offhook.claims import DONE, HANG_UP, LOOK_UP, TRANSFER, Claim, claims, does
from offhook.diagnosis.evidence import Evidence
from offhook.diagnosis.talk import Said

__all__ = ["done_later", "not_done"]

SOON_MS = 6000.0  # the tool call of what was announced follows within its response, or the next


def not_done(view: Evidence) -> Iterator[tuple[Said, Claim]]:
    """Claims that no tool call makes true, and what they were said in."""
    for said in view.talk.said:
        for claim in claims(said.text):
            if _judged(view, said, claim) and not _is_done(view, said, claim):
                yield said, claim


def done_later(view: Evidence, said: Said, claim: Claim) -> bool:
    """Whether a fitting tool was called after all."""
    return any(does(claim.kind, call.name) and call.at_ms > said.at_ms for call in view.talk.calls)


def _judged(view: Evidence, said: Said, claim: Claim) -> bool:
    """What was announced last may have been cut off by the caller; and what nobody waits for is no promise."""
    if claim.kind in DONE:
        return True
    if claim.kind == LOOK_UP and (not claim.last or not view.talk.tools - {"hang_up"}):
        return False
    if claim.kind in (HANG_UP, TRANSFER) and not any(does(claim.kind, name) for name in view.talk.tools):
        return claim.kind == TRANSFER
    spoke = [s for s in view.provider.speech if said.at_ms < s.at_ms < said.at_ms + SOON_MS]
    return not spoke and view.length_ms - said.at_ms > SOON_MS


def _is_done(view: Evidence, said: Said, claim: Claim) -> bool:
    began = next((r.at_ms for r in view.provider.responses if r.id == said.response), said.at_ms - SOON_MS)
    failed = {done.id for done in view.tools_done if done.outcome not in ("ok", "dry run", "call ended", "")}
    for call in view.talk.calls:
        if not does(claim.kind, call.name) or call.id in failed:
            continue
        if call.at_ms <= said.at_ms + SOON_MS and (claim.kind in DONE or call.at_ms >= began):
            return True
    if claim.kind == HANG_UP:
        closed = view.closed("carrier")
        return closed is not None and closed.by == "us" and closed.at_ms - said.at_ms < 3 * SOON_MS
    return claim.kind == TRANSFER and any(order.what == "transfer" for order in view.inside.orders)

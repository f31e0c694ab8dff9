"""
Said versus done: what the agent claims, compared with the tools it called; by policy it is nudged, or the call ended.

A claim is judged when it was heard and a moment has passed: a tool may follow the words. Nothing is judged while
somebody speaks. Knows the names of claims (``claims``), no tool.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from offhook import vocab as v
from offhook.bridge.responses import Responses
from offhook.bridge.state import State
from offhook.claims import DONE, HANG_UP, LOOK_UP, Claim, claims, does, is_farewell

__all__ = ["Promises"]

_GRACE_S = 2.5  # a tool call follows the words within a second
_LOOK_S = 1.0
_FAREWELL_S = 6.0  # of silence after a goodbye: nobody has more to say
_NUDGES = 2  # of one call; a model that does not listen is not told a third time
_KEPT = 20
_TEXTS = {
    HANG_UP: "You have said goodbye, and the line is still open. Call hang_up now, and say nothing more.",
    LOOK_UP: 'You told the caller: "{words}" Then you called no tool. Call it now, or answer.',
}
_TEXT = (
    'You told the caller: "{words}" No tool was called that does this, so it has not happened. Do it now with the '
    "right tool, or tell the caller that it is not done."
)


class _Act(Struct):
    name: str
    declared: tuple[str, ...]
    at: float
    failed: bool = False


class _Open(Struct):
    claim: Claim
    item: str
    response: str
    began: float  # when its response did


class Promises:
    """One call's claims and acts; ``leave(response, now)`` ends the call politely, ``own`` are the bridge's tools."""

    __slots__ = (
        "_acts", "_began", "_farewells", "_leave", "_nudges", "_open", "_own", "_responses", "_s", "_told_to_leave",
    )  # fmt: skip

    def __init__(
        self,
        state: State,
        responses: Responses,
        leave: Callable[[str | None, float], None],
        own: Collection[str],
    ) -> None:
        self._s = state
        self._responses = responses
        self._leave = leave
        self._own = own
        self._acts: deque[_Act] = deque(maxlen=200)
        self._open: list[_Open] = []
        self._began = 0.0
        self._nudges = 0
        self._farewells = 0
        self._told_to_leave = False  # nudged to hang up: whatever it says now, the line is not left open

    # -------------------------------------------------------------------------------------- what is done

    def acted(self, name: str, declared: Iterable[str], now: float) -> None:
        """A tool was called."""
        self._acts.append(_Act(name, tuple(declared), now))

    def failed(self, name: str) -> None:
        """The latest run of a tool did not do it."""
        act = next((act for act in reversed(self._acts) if act.name == name), None)
        if act is not None:
            act.failed = True

    # -------------------------------------------------------------------------------------- what is said

    def response_started(self, now: float) -> None:
        self._began = now
        if not self._told_to_leave:
            self._s.deadlines.met("farewell")

    def said(self, event: v.AgentTranscript, now: float) -> None:
        """All of an item's words."""
        s = self._s
        if s.ending is not None or self._responses.leaving:
            return
        for claim in claims(event.text):
            if len(self._open) < _KEPT and (claim.kind != LOOK_UP or claim.last):
                self._open.append(_Open(claim, event.item_id, event.response_id, self._began))
        heard_at = max(now, s.playback.idle_at())
        if self._open:
            s.at("claims", heard_at + _GRACE_S, self._judge)
        if is_farewell(event.text) and s.settings.may_hang_up and not self._told_to_leave:
            s.at("farewell", heard_at + _FAREWELL_S, lambda at: self._stuck(event, at))

    def caller_spoke(self, now: float) -> None:
        """The talk goes on: what was only announced is not waited for any more."""
        self._s.deadlines.met("farewell")
        self._farewells = 0
        self._told_to_leave = False
        self._open = [one for one in self._open if one.claim.kind in DONE]

    # ------------------------------------------------------------------------------------------- judged

    def _judge(self, now: float) -> None:
        s = self._s
        if s.ending is not None or self._responses.leaving:
            return
        if self._responses.busy or self._responses.caller_speaking or s.playback.unplayed_ms(now):
            s.at("claims", now + _LOOK_S, self._judge)
            return
        waiting, self._open = self._open, []
        for one in waiting:
            if not self._is_done(one):
                self._unmet(one.claim, one.item, one.response, now)

    def _is_done(self, one: _Open) -> bool:
        kind = one.claim.kind
        since = 0.0 if kind in DONE else one.began
        return any(does(kind, act.name, act.declared) and act.at >= since and not act.failed for act in self._acts)

    def _stuck(self, event: v.AgentTranscript, now: float) -> None:
        """A goodbye, then silence, and the line is open."""
        if self._responses.caller_speaking or self._responses.busy or self._responses.leaving:
            return
        self._farewells += 1
        self._unmet(Claim(HANG_UP, event.text[:160], True), event.item_id, event.response_id, now)

    def _unmet(self, claim: Claim, item: str, response: str, now: float) -> None:
        s, policy = self._s, self._s.settings.unmet
        acts = claim.kind == HANG_UP and s.settings.may_hang_up and (policy == "act" or self._farewells > 1)
        does_what = "hang up" if acts and policy != "note" else ""
        if not does_what and policy != "note" and self._nudges < _NUDGES and self._able(claim.kind):
            does_what = "nudge"
        s.note("claim.unmet", claim=claim.kind, words=claim.words, item=item, did=does_what)
        if does_what == "hang up":
            self._leave(response, now)
        elif does_what == "nudge":
            self._nudges += 1
            s.do(v.TellAgent(_TEXTS.get(claim.kind, _TEXT).format(words=claim.words)))
            self._responses.go_on(now)
            if claim.kind == HANG_UP and s.settings.may_hang_up:
                self._told_to_leave = True
                s.at("farewell", now + _FAREWELL_S, lambda at: self._still(response, at))

    def _able(self, kind: str) -> bool:
        """Whether it has a tool for it: what is done after the call, by others, may be claimed without one."""
        if kind == HANG_UP:
            return self._s.settings.may_hang_up
        given = {name: policy.does for name, policy in self._s.settings.tools.items()}
        return any(does(kind, name, given.get(name, ())) for name in (*given, *self._own))

    def _still(self, response: str, now: float) -> None:
        """Nudged to hang up, and nothing came of it."""
        s = self._s
        if self._responses.leaving:
            return
        heard_at = s.playback.idle_at() + _FAREWELL_S
        if self._responses.busy or heard_at > now:
            s.at("farewell", max(now + _LOOK_S, heard_at), lambda at: self._still(response, at))
            return
        s.note("claim.unmet", claim=HANG_UP, words="", item="", did="hang up")
        self._leave(response, now)

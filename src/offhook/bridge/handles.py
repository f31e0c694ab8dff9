"""
What the model may do with the call itself, beside hanging up: give the caller to somebody, press keys, gather keys.

A target is chosen by name among those of the agent's settings, so that no caller can talk the model into dialling a
number. Each is answered at once; what becomes of it is told to the model when it is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from offhook import vocab as v
from offhook.bridge.control import Control
from offhook.bridge.responses import Responses
from offhook.bridge.state import State
from offhook.bridge.tools import Tools
from offhook.media.tones import keys_problem

__all__ = ["Handles"]

_ANNOUNCE = "Tell the caller in one short sentence that you put them through now, and say nothing else."


class Handles:
    """One call's handles; ``given`` are their names."""

    __slots__ = ("_control", "_responses", "_s", "_tools")

    def __init__(self, state: State, tools: Tools, control: Control, responses: Responses) -> None:
        self._s = state
        self._tools = tools
        self._control = control
        self._responses = responses
        self.renew()

    def renew(self) -> None:
        """What the agent that speaks now may do."""
        settings, own = self._s.settings, self._tools.own
        for name in ("transfer_call", "press_keys", "collect_digits"):
            own.pop(name, None)
        if settings.transfer_to:
            own["transfer_call"] = self._transfer
        if settings.keypad:
            own["press_keys"] = self._press
            own["collect_digits"] = self._collect

    def _transfer(self, event: v.ToolCalled, now: float) -> None:
        targets = self._s.settings.transfer_to
        wanted = str(_arguments(event).get("to", "")) or (next(iter(targets)) if len(targets) == 1 else "")
        target = targets.get(wanted)
        if target is None:
            said = json.dumps({"error": f"nobody is called {wanted[:60]!r}", "to": sorted(targets)})
            self._tools.own_done(event, said, now, outcome="invalid", go_on=True)
            return
        note = "the caller is put through as soon as they have heard you; if nobody takes them you are told"
        self._tools.own_done(event, json.dumps({"ok": True, "note": note}), now)
        if not self._responses.spoke(event.response_id or self._responses.running):
            self._responses.ask(now, _ANNOUNCE)
        self._control.asked(v.TransferAsked(target), now)

    def _press(self, event: v.ToolCalled, now: float) -> None:
        keys = str(_arguments(event).get("keys", ""))
        problem = keys_problem(keys)
        if problem:
            self._tools.own_done(event, json.dumps({"error": f"keys: {problem}"}), now, outcome="invalid", go_on=True)
            return
        self._tools.own_done(event, '{"ok":true}', now)
        self._control.asked(v.DtmfAsked(keys), now)

    def _collect(self, event: v.ToolCalled, now: float) -> None:
        given = _arguments(event)
        n = given.get("how_many")
        self._tools.own_done(event, '{"ok":true,"note":"what the caller presses is told to you"}', now)
        self._control.asked(v.CollectAsked(digits=n if isinstance(n, int) and 1 <= n <= 32 else 20), now)


def _arguments(event: v.ToolCalled) -> Mapping[str, Any]:
    try:
        given = json.loads(event.arguments or "{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}

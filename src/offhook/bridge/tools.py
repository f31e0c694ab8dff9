"""
The agent's tools while they run: who is answered, when the model goes on, and what a waiting caller hears.

Every call of the model gets exactly one answer, whatever becomes of it. A call that is made again while its first
run goes on, or shortly after, as an interrupted model does, is not run again: it gets what the first one gets. The
model goes on when all calls of a response are answered. ``hang_up`` is the bridge's own. Knows nothing of what
tools are made of: the shell runs them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct, field

from offhook import vocab as v
from offhook.bridge.ending import Ending
from offhook.bridge.filler import Filler
from offhook.bridge.goodbye import Goodbye
from offhook.bridge.promises import Promises
from offhook.bridge.responses import Responses
from offhook.bridge.state import State

__all__ = ["HANG_UP", "Run", "Tools"]

HANG_UP = "hang_up"
_LEAVING = '{"ok":true,"note":"the call ends after your goodbye"}'
_KEPT = 200  # ids and results of a call that are remembered: more than any conversation makes
_ROUNDS = 10  # answers in a row without a word of anybody: more than any task in a call takes
_SPOKEN_TO = 2
_SPEAK = (
    "You have called tools many times in a row. Call none now: tell the caller what you know, or that it did not work."
)
_GRACE_S = 2.0  # the runner keeps a tool's deadline itself; this is for one that cannot


class Run(Struct):
    """One run of a tool, and all calls that it answers."""

    name: str
    key: str  # name and arguments
    began: float
    policy: v.ToolPolicy
    ids: list[str]
    ended: float | None = None
    output: str = ""
    filler: bool = False  # the caller heard something while it ran


class _Batch(Struct):
    """The calls of one response that wait for their answer."""

    waiting: set[str] = field(default_factory=set)


class Tools:
    """One call's tools."""

    __slots__ = (
        "_batches", "_by_id", "_filler", "_responses", "_rounds", "_runs", "_s", "_seen", "_word_at", "goodbye", "own",
        "promises",
    )  # fmt: skip

    def __init__(self, state: State, ending: Ending, responses: Responses) -> None:
        self._s = state
        self._responses = responses
        self.goodbye = Goodbye(state, ending, responses)
        self.own: dict[str, Callable[[v.ToolCalled, float], None]] = {HANG_UP: self._hang_up}
        self.promises = Promises(state, responses, self.goodbye.take, self.own)
        self._runs: deque[Run] = deque(maxlen=_KEPT)
        self._by_id: dict[str, Run] = {}  # runs that are not over
        self._seen: deque[str] = deque(maxlen=_KEPT)
        self._rounds = 0  # of results that the model was asked to go on with, since anybody said a word
        self._word_at = 0.0
        self._batches: dict[str, _Batch] = {}
        self._filler = Filler(state, responses, self._open)
        state.when_ending.append(self._call_ends)

    def _open(self) -> list[Run]:
        return [run for run in self._by_id.values() if run.ended is None]

    # ----------------------------------------------------------------------------------------- called

    def called(self, event: v.ToolCalled, now: float) -> None:
        """The model asked for a tool."""
        s = self._s
        if event.tool_call_id in self._seen:  # told twice, answered once: a second answer would be refused
            s.note("tool.repeated", id=event.tool_call_id, name=event.name[:60])
            return
        self._seen.append(event.tool_call_id)
        response = event.response_id or self._responses.running or ""
        own, policy = self.own.get(event.name), s.settings.tools.get(event.name)
        self._responses.tool_called(event.response_id)
        self.promises.acted(event.name, policy.does if policy is not None else (), now)
        self._batches.setdefault(response, _Batch()).waiting.add(event.tool_call_id)
        key = _key(event)
        if own is None and policy is not None and key is not None and self._joined(event, key, policy, now):
            return
        s.note("tool", id=event.tool_call_id, name=event.name[:60], args_ok=key is not None,
               args_bytes=len(event.arguments), registered=own is not None or policy is not None)  # fmt: skip
        if own is not None:
            own(event, now)
        elif policy is None:
            self._refuse(event, "unknown", _unknown(event.name, [*self.own, *s.settings.tools]), now)
        elif key is None:
            self._refuse(event, "args_parse", _unreadable(event.arguments), now)
        else:
            self._run(event, key, policy, now)

    def _joined(self, event: v.ToolCalled, key: str, policy: v.ToolPolicy, now: float) -> bool:
        """Whether the call is one that was made already: then it gets the first one's result."""
        for run in reversed(self._runs):
            if run.key != key:
                continue
            if run.ended is None:
                run.ids.append(event.tool_call_id)
                self._by_id[event.tool_call_id] = run
                self._s.note("tool.joined", id=event.tool_call_id, name=run.name, of=run.ids[0], running=True)
                return True
            if policy.changes and now - run.ended < policy.repeat_s:
                self._s.note("tool.joined", id=event.tool_call_id, name=run.name, of=run.ids[0], running=False)
                self._answer((event.tool_call_id,), run.output, now)
                return True
            return False
        return False

    def _refuse(self, event: v.ToolCalled, outcome: str, output: str, now: float) -> None:
        self._s.note("tool.done", id=event.tool_call_id, name=event.name[:60], outcome=outcome, ms=0,
                     out_bytes=len(output), filler=False)  # fmt: skip
        self.promises.failed(event.name)
        self._answer((event.tool_call_id,), output, now)

    def _run(self, event: v.ToolCalled, key: str, policy: v.ToolPolicy, now: float) -> None:
        s, call_id = self._s, event.tool_call_id
        run = Run(event.name, key, now, policy, [call_id])
        self._runs.append(run)
        self._by_id[call_id] = run
        s.do(v.RunTool(call_id, event.name, key.partition("\0")[2]))
        s.at(f"tool {call_id}", now + policy.deadline_s + _GRACE_S, lambda at: self._overdue(run, at))
        self._filler.look(now)

    def _hang_up(self, event: v.ToolCalled, now: float) -> None:
        self.own_done(event, _LEAVING, now)
        self.goodbye.take(event.response_id or self._responses.running, now)

    def own_done(
        self, event: v.ToolCalled, output: str, now: float, *, outcome: str = "ok", go_on: bool = False
    ) -> None:
        """Answer a tool of the bridge's own; ``go_on``: the model shall say something to it."""
        self._s.note("tool.done", id=event.tool_call_id, name=event.name, outcome=outcome, ms=0, out_bytes=len(output),
                     filler=False)  # fmt: skip
        self._answer((event.tool_call_id,), output, now, go_on=go_on)

    # --------------------------------------------------------------------------------------- finished

    def finished(self, event: v.ToolFinished, now: float) -> None:
        """A tool is over. One that was given up before changes nothing any more, but is on record."""
        run = self._by_id.get(event.tool_call_id)
        if run is None or run.ended is not None or self._s.ending is not None:
            self._s.note("tool.late", id=event.tool_call_id, outcome=event.outcome[:60])
            return
        self._end(run, event, now)

    def _overdue(self, run: Run, now: float) -> None:
        """The runner did not keep the deadline: its thread is stuck, or the tool blocks it."""
        if run.ended is None:
            self._s.missed(f"tool {run.name}", run.policy.deadline_s + _GRACE_S)
            self._end(run, v.ToolFinished(run.ids[0], "timeout", _late(run), detail="the runner did not answer"), now)

    def _end(self, run: Run, event: v.ToolFinished, now: float) -> None:
        s = self._s
        run.ended, run.output = now, event.output
        s.deadlines.met(f"tool {run.ids[0]}")
        if event.outcome not in ("ok", "dry run"):
            self.promises.failed(run.name)
        ms = round((now - run.began) * 1000)
        s.note("tool.done", id=run.ids[0], name=run.name, outcome=event.outcome[:80], ms=ms,
               out_bytes=len(event.output), out_shape=_shape(event.output), filler=run.filler, retried=event.retried,
               detail=event.detail[:400])  # fmt: skip
        for call_id in run.ids:
            self._by_id.pop(call_id, None)
        self._filler.look(now)
        self._answer(run.ids, event.output, now)

    def _answer(self, call_ids: Sequence[str], output: str, now: float, *, go_on: bool = True) -> None:
        """Answer calls of one run; the model goes on, once, when all of a response are answered."""
        for call_id in call_ids:
            self._s.do(v.AnswerTool(call_id, output))
        before = len(self._batches)
        for response, batch in list(self._batches.items()):
            batch.waiting.difference_update(call_ids)
            if not batch.waiting:
                del self._batches[response]
        if len(self._batches) < before and go_on and not self._responses.leaving:
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        """A model that calls tools and says nothing in between is told to speak, and then asked no more: it costs."""
        s = self._s
        if s.last_word_at != self._word_at:
            self._word_at, self._rounds = s.last_word_at, 0
        self._rounds += 1
        if self._rounds <= _ROUNDS:
            self._responses.go_on(now)
        elif self._rounds <= _ROUNDS + _SPOKEN_TO:
            self._responses.ask(now, _SPEAK)
        elif self._rounds == _ROUNDS + _SPOKEN_TO + 1:
            s.note("tool.loop", n=self._rounds)

    def renew(self, now: float) -> None:
        """Another agent goes on: what the old one asked for is nobody's any more, though it may still end."""
        self._call_ends(now, "handed over")
        self._batches.clear()

    def _call_ends(self, now: float, outcome: str = "call ended") -> None:
        """Nobody waits any more; what still runs may end, and changes nothing here."""
        for run in self._open():
            run.ended = now
            self._s.note("tool.done", id=run.ids[0], name=run.name, outcome=outcome,
                         ms=round((now - run.began) * 1000), out_bytes=0, filler=run.filler)  # fmt: skip
        self._by_id.clear()


def _key(event: v.ToolCalled) -> str | None:
    """Name and arguments in one spelling; None where they are no JSON object. Nothing at all is ``{}``."""
    try:
        given = msgspec.json.decode(event.arguments.strip() or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    return event.name + "\0" + json.dumps(given, sort_keys=True, ensure_ascii=False)


def _unknown(name: str, have: list[str]) -> str:
    return json.dumps({"error": f"there is no tool of this name: {name[:60]}", "tools": have[:40]})


def _unreadable(arguments: str) -> str:
    end = arguments[-20:]
    return json.dumps({"error": f"the arguments are no JSON object ({len(arguments)} characters, ending in {end!r})"
                                ": call the tool again with complete arguments"})  # fmt: skip


def _late(run: Run) -> str:
    return json.dumps({"error": f"{run.name} did not answer within {run.policy.deadline_s:g} s",
                       "note": "tell the caller; do not guess the result"})  # fmt: skip


def _shape(output: str) -> str:
    """``string in string`` for a text that was encoded twice, else nothing worth saying."""
    if output[:1] != '"':
        return ""
    try:
        inner = msgspec.json.decode(output)
        msgspec.json.decode(inner)
    except (msgspec.DecodeError, TypeError, RecursionError):
        return ""
    return "string in string"

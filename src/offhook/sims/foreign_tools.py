"""
The naive bridge's tools: called by the model, run, answered, and everything that is forgotten on the way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offhook.sims.foreign_knobs import Tool

if TYPE_CHECKING:
    from offhook.sims.foreign_call import ForeignCall

__all__ = ["Tools"]


class Tools:
    """The tools of one call."""

    def __init__(self, call: ForeignCall) -> None:
        self._call = call
        self._k = call.knobs
        self.running: dict[str, tuple[str, Tool, str, float]] = {}
        self._hang_up = False
        self._transferring = False

    def called(self, message: dict[str, Any]) -> None:
        name, arguments, tool_id = message["name"], message["arguments"], message["call_id"]
        try:
            json.loads(arguments)
            args_ok = True
        except ValueError:
            args_ok = False
        tool = self._k.tools.get(name)
        self._call.note("tool", id=tool_id, name=name, args_ok=args_ok, args_bytes=len(arguments),
                        registered=tool is not None and tool.registered)  # fmt: skip
        if tool is None or not tool.registered:
            self._call.note("exception", task="tool", type="KeyError", where=f"tools[{name!r}]", after_end=False)
            self._done(tool_id, name, "unknown", 0, 0.0)
            return
        if not args_ok:
            self._call.note("exception", task="tool", type="JSONDecodeError", where="tools.py:12", after_end=False)
            self._done(tool_id, name, "args_parse", 0, 0.0)
            return
        self._run(tool_id, name, tool, arguments)

    def _run(self, tool_id: str, name: str, tool: Tool, arguments: str) -> None:
        began = self._call.now()
        self.running[tool_id] = (name, tool, arguments, began)
        process = self._call.bridge.process
        if tool.blocks:
            self._call.note("bridge.loop-lag", ms=round(tool.seconds * 1000), task=f"tool {name}")
            process.block(tool.seconds)
            process.after(tool.seconds, lambda: self._finished(tool_id))
            return
        if tool.filler:
            process.after(1.5, self._filler)
        process.after(tool.seconds, lambda: self._finished(tool_id))

    def _filler(self) -> None:
        """Something to hear while it takes long: said by the bridge itself."""
        from offhook.media.lines import spoken_lines

        self._call.writer.item = None
        self._call.writer.play(spoken_lines()["time_up"][:12000])
        self._call.note("tool.filler", ms=1500)

    def _done(self, tool_id: str, name: str, outcome: str, out_bytes: int, began: float, shape: str = "") -> None:
        ms = round((self._call.now() - began) * 1000) if began else 0
        self._call.note(
            "tool.done", id=tool_id, name=name, outcome=outcome, ms=ms, out_bytes=out_bytes, out_shape=shape
        )

    def _finished(self, tool_id: str) -> None:
        entry = self.running.pop(tool_id, None)
        if entry is None or self._call.over:
            return
        name, tool, arguments, began = entry
        if tool.raises:
            self._call.note("exception", task=f"tool {name}", type=tool.raises, where="tools.py:40", after_end=False)
            self._done(tool_id, name, f"raised {tool.raises}", 0, began)
            return
        output = json.dumps(json.dumps(tool.output)) if tool.encodes_twice else tool.output
        shape = "string in string" if tool.encodes_twice else "object"
        if tool.sends_output:
            item = {"type": "function_call_output", "call_id": tool_id, "output": output}
            self._call.session.send({"type": "conversation.item.create", "item": item})
        self._done(tool_id, name, "ok", len(output), began, shape)
        if tool.hangs_up:
            self._hang_up = True
            if self._k.hangs_up == "at once":
                self._call.hang_up(self._k.close_code)
            elif not self._call.writer.marks_open:
                self.all_played()
        elif tool.transfers:
            self._transferring = True
            if not self._call.writer.marks_open:
                self.all_played()
        elif tool.sends_output and tool.asks_next:
            self._call.session.create()

    def _transfer(self) -> None:
        """Closes the stream, and only then tells the carrier where to go."""
        call = self._call
        if self._k.rest_first:
            call.note("rest.result", op="update", http=200, code=None, ok=True, ms=300)
        call.hang_up(1000)
        if not self._k.rest_first:
            call.bridge.process.after(
                2.0, lambda: call.note("rest.result", op="update", http=404, code=20404, ok=False, ms=2000)
            )

    def response_done(self, response: dict[str, Any]) -> None:
        """Calls were taken from their own events."""

    def all_played(self) -> None:
        if self._transferring and not self._call.over:
            self._transfer()
        if self._hang_up and self._k.hangs_up == "after marks" and not self._call.over:
            self._call.hang_up(self._k.close_code)

    def barge_in(self) -> None:
        """The caller spoke while tools run: some start them anew."""
        for tool_id, (name, tool, arguments, _) in list(self.running.items()):
            if tool.reruns:
                again = tool_id + "-again"
                self._call.note("tool", id=again, name=name, args_ok=True, args_bytes=len(arguments), registered=True)
                self._run(again, name, tool, arguments)

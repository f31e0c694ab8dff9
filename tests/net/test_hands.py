"""The calls' tools on the media loop: what a call gets, what a tool is told, what becomes of what comes too late."""

from collections.abc import Callable, Mapping
from typing import Any

from offhook import vocab as v
from offhook.agent.prompt import CallFacts
from offhook.agent.tools import CallContext
from offhook.net.hands import Hands

FACTS = CallFacts("+15550001111", "+15550002222", "CA1", "inbound", {}, {"campaign": "spring"})


class Noted:
    """A journal directory, and a call's journal, that keep what they are told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def note(self, kind: str, now: float, /, **data: Any) -> None:
        self.said.append(("note", kind, str(data)))

    def late(self, name: str, kind: str, now: float, /, **data: Any) -> None:
        self.said.append(("late", name, kind, str(data)))


class Call:
    """As much of a call as tools see."""

    def __init__(self, journal: Noted) -> None:
        self.name = "CA1"
        self.ended: Any = None
        self.journal = journal
        self.fed: list[v.Event] = []

    def feed(self, event: v.Event) -> None:
        self.fed.append(event)


class Box:
    """Keeps what it is asked to run."""

    def __init__(self) -> None:
        self.asked: list[tuple[v.RunTool, CallContext, Callable[..., None], Callable[..., None]]] = []
        self.ended: list[str] = []

    def specs(self, names: Any) -> tuple[v.ToolSpec, ...]:
        return (v.ToolSpec("look", "Look.", {}),)

    def policies(self, names: Any) -> Mapping[str, v.ToolPolicy]:
        return {"look": v.ToolPolicy()}

    def post(self, act: Callable[..., object], *args: Any) -> None:
        act(*args)

    def run(self, asked: v.RunTool, call: CallContext, answer: Any, remark: Any) -> None:
        self.asked.append((asked, call, answer, remark))

    def wait(self, work: Any) -> Any:
        return work

    def call_ended(self, call_id: str) -> None:
        self.ended.append(call_id)


class Clock:
    def now(self) -> float:
        return 7.0


def made() -> tuple[Hands, Box, Noted, Call]:
    box, noted = Box(), Noted()
    hands = Hands(box, Clock(), noted)  # type: ignore[arg-type]
    hands.begin("CA1", FACTS, "desk")
    return hands, box, noted, Call(noted)


def test_a_tool_is_told_whose_call_it_is_and_what_was_said():
    hands, box, _, call = made()
    hands.heard("CA1", v.AgentTranscript("r1", "i1", "Hello", final=False))
    hands.heard("CA1", v.AgentTranscript("r1", "i1", "Hello.", final=True))
    hands.heard("CA1", v.CallerTranscript("i2", "A table, please.", final=True))
    hands.run(call, v.RunTool("c1", "look", "{}"))  # type: ignore[arg-type]
    _, context, answer, _ = box.asked[0]
    assert (context.agent, context.caller, context.direction) == ("desk", "+15550001111", "inbound")
    assert context.parameters == {"campaign": "spring"}
    assert [(turn.who, turn.text) for turn in context.transcript] == [
        ("agent", "Hello."),
        ("caller", "A table, please."),
    ]
    answer(v.ToolFinished("c1", "ok", "{}"))
    context.ask(v.EndRequested("operator"))
    assert call.fed == [v.ToolFinished("c1", "ok", "{}"), v.EndRequested("operator")]


def test_what_comes_after_the_call_is_joined_to_its_record():
    hands, box, noted, call = made()
    hands.run(call, v.RunTool("c1", "look", "{}"))  # type: ignore[arg-type]
    _, _, answer, remark = box.asked[0]
    remark("job", {"id": "j1", "state": "queued"})
    call.ended = v.EndCall(True, "caller hung up")
    hands.ended("CA1")
    remark("job", {"id": "j1", "state": "done", "result": "three plumbers"})
    answer(v.ToolFinished("c1", "ok", "{}"))
    assert [said[:3] for said in noted.said] == [
        ("note", "job", "{'id': 'j1', 'state': 'queued'}"), ("late", "CA1", "job"), ("late", "CA1", "tool.late"),
    ]  # fmt: skip
    assert "three plumbers" in noted.said[1][3] and not call.fed and box.ended == ["CA1"]


def test_nothing_is_kept_of_a_call_that_is_over():
    hands, box, _, call = made()
    hands.ended("CA1")
    hands.heard("CA1", v.CallerTranscript("i2", "Bye.", final=True))
    hands.ended("CA1")
    hands.run(call, v.RunTool("c1", "look", "{}"))  # type: ignore[arg-type]
    assert box.asked[0][1].transcript == () and box.ended == ["CA1"]


def test_a_call_keeps_the_tools_that_it_has_when_others_take_their_place():
    hands, old, noted, call = made()
    new = Box()
    hands.exchange(new)
    hands.run(call, v.RunTool("c1", "look", "{}"))  # type: ignore[arg-type]
    assert len(old.asked) == 1 and not new.asked and hands.uses(old) and not hands.uses(new)
    other = Call(noted)
    other.name = "CA2"
    hands.begin("CA2", FACTS)
    hands.run(other, v.RunTool("c2", "look", "{}"))  # type: ignore[arg-type]
    assert len(new.asked) == 1
    hands.ended("CA1")
    assert old.ended == ["CA1"] and not new.ended and not hands.uses(old) and hands.uses(new)


def test_an_agent_that_takes_over_has_the_tools_that_it_was_told_of():
    hands, old, _, call = made()
    between, new = Box(), Box()
    hands.exchange(between)
    hands.promised("CA1")
    hands.exchange(new)
    assert hands.uses(between) and not hands.uses(new)
    hands.run(call, v.RunTool("c1", "look", "{}"))  # type: ignore[arg-type]
    hands.begin("CA1", FACTS, "billing")
    hands.run(call, v.RunTool("c2", "look", "{}"))  # type: ignore[arg-type]
    assert (len(old.asked), len(between.asked), len(new.asked)) == (1, 1, 0)
    hands.ended("CA1")
    assert old.ended == between.ended == ["CA1"] and not new.ended


def test_a_server_without_tools_can_get_some():
    hands = Hands(None, Clock(), Noted())  # type: ignore[arg-type]
    hands.begin("CA1", FACTS)
    assert hands.specs(None) == () and hands.policies(None) == {}
    box = Box()
    hands.exchange(box)
    assert [spec.name for spec in hands.specs(None)] == ["look"] and not hands.uses(box)
    hands.ended("CA1")
    assert box.ended == []

"""The queue of calls: due, a few at once, again, given up, and what a process that died has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from offhook.net.outbound import Options
from offhook.net.queue import Entry, Queue, Rules
from offhook.sims.faults.scene import ours
from offhook.sims.virtual import World
from offhook.sims.virtual_carrier import Line
from offhook.sims.virtual_dial import Person

OURS = "+15550100002"


class Memory:
    """A list in memory, with the manners of the one in the store."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.refused: set[str] = set()
        self.fails = False
        self.saved: list[Entry] = []

    def claim(self, now: float) -> Entry | None:
        if self.fails:
            raise OSError("the disk is away")
        due = [one for one in self.entries.values() if one.state == "waiting" and one.due <= now]
        if not due:
            return None
        entry = structs.replace(min(due, key=lambda one: one.due), state="calling")
        self.entries[entry.id] = entry
        return entry

    def save(self, entry: Entry) -> None:
        self.saved.append(entry)
        self.entries[entry.id] = entry

    def left_over(self) -> list[Entry]:
        return [one for one in self.entries.values() if one.state == "calling"]

    def never(self, number: str) -> bool:
        return number in self.refused


def number(n: int) -> str:
    return f"+155501001{n:02}"


def entry(n: int, due: float = 0.0, **more: Any) -> Entry:
    return Entry(f"e{n}", number(n), Options(from_=OURS, hello_s=0.0, ring_s=20), due, **more)


def leaves(line: Line) -> None:
    line.then(6.0, line.hang_up)


def worked(
    store: Memory, people: dict[str, Person], rules: Rules, run_s: float,
    then: Callable[[World, Any, Queue], None] = lambda world, server, queue: None, **server: Any,
) -> Queue:  # fmt: skip
    made: list[Queue] = []

    def start(world: World, program: Any, lines: list[Line]) -> None:
        program.people.update(people)

        async def at_once(work: Callable[..., Any], *given: Any) -> Any:
            return work(*given)

        queue = Queue(
            program.host.outbound, store, rules, ask_status=program.host.call_status, unix=world.now, off_loop=at_once
        )
        made.append(queue)
        then(world, program, queue)
        world.loop.create_task(queue.run())

    ours("openai", then=start, calls=0, settle_s=run_s, greeting="Hello.", **server)
    return made[0]


def test_what_is_due_is_called_one_after_the_other_and_what_is_not_waits():
    store = Memory(entry(1), entry(2), entry(3, due=1e9))
    people = {number(n): Person(answers_s=2.0, does=leaves) for n in (1, 2, 3)}
    at_once: list[int] = []

    def look(world: World, server: Any, queue: Queue) -> None:
        for second in range(1, 40):
            world.after(second, lambda: at_once.append(len(queue.running)))

    worked(store, people, Rules(concurrency=1), 40.0, look)
    assert [store.entries[f"e{n}"].state for n in (1, 2, 3)] == ["done", "done", "waiting"]
    assert max(at_once) == 1 and all(one.tries == 1 for one in (store.entries["e1"], store.entries["e2"]))


def test_several_are_placed_side_by_side_a_second_apart():
    store = Memory(*(entry(n) for n in range(1, 5)))
    people = {number(n): Person(answers_s=8.0, does=leaves) for n in range(1, 5)}
    seen: list[int] = []
    worked(store, people, Rules(concurrency=3), 60.0,
           lambda world, server, queue: world.after(6.0, lambda: seen.append(len(queue.running))) and None)  # fmt: skip
    assert seen == [3] and {one.state for one in store.entries.values()} == {"done"}


def test_busy_lines_are_called_again_by_the_rules_and_then_given_up():
    store = Memory(entry(1, most_tries=3))
    worked(store, {number(1): Person(how="busy")}, Rules(again_s={"busy": 30.0}), 200.0)
    last = store.entries["e1"]
    assert (last.state, last.tries, last.status) == ("given up", 3, "busy")
    waits = [round(one.due) for one in store.saved if one.state == "waiting"]
    assert len(waits) == 2 and waits[1] - waits[0] >= 30


def test_what_no_rule_names_is_not_tried_again():
    store = Memory(entry(1), entry(2))
    people = {number(1): Person(how="failed"), number(2): Person(how="no-answer")}
    worked(store, people, Rules(again_s={"no-answer": 0.0}), 60.0)
    assert [store.entries[f"e{n}"].state for n in (1, 2)] == ["given up", "given up"]


def test_a_refusal_is_final_and_the_carriers_own_limit_is_not():
    store = Memory(entry(1))
    worked(store, {}, Rules(), 30.0, account={"blocked": frozenset({number(1)})})
    assert (store.entries["e1"].state, store.entries["e1"].status) == ("refused", "refused")
    limited = Memory(entry(1))
    worked(limited, {}, Rules(), 30.0, account={"max_calls": 0})
    assert (limited.entries["e1"].state, limited.entries["e1"].tries) == ("waiting", 0)


def test_nobody_is_called_who_said_no_however_they_came_on_the_list():
    store = Memory(entry(1))
    store.refused.add(number(1))
    called: list[Any] = []
    worked(store, {number(1): Person()}, Rules(), 20.0, lambda world, server, queue: called.append(server.called))
    assert store.entries["e1"].state == "blocked" and called == [[]]


@pytest.mark.parametrize(
    ("sid", "state"), [("CA" + "9" * 32, "given up"), ("", "unknown"), ("CA" + "8" * 32, "unknown")]
)
def test_what_a_dead_process_was_placing_is_never_placed_again_by_guess(sid: str, state: str):
    from offhook.sims.rest import CallRow

    store = Memory(entry(1, state="calling", sid=sid))
    called: list[Any] = []

    def known(world: World, server: Any, queue: Queue) -> None:
        server.account.calls["CA" + "9" * 32] = CallRow("CA" + "9" * 32, number(1), OURS, "failed")
        server.account.calls["CA" + "8" * 32] = CallRow("CA" + "8" * 32, number(1), OURS, "in-progress")
        called.append(server.called)

    worked(store, {number(1): Person()}, Rules(), 20.0, known)
    assert store.entries["e1"].state == state and called == [[]]
    assert "died" in store.entries["e1"].detail


def test_a_list_that_cannot_be_read_is_named_once_and_tried_again(caplog: pytest.LogCaptureFixture):
    store = Memory(entry(1))
    store.fails = True

    def mend(world: World, server: Any, queue: Queue) -> None:
        world.after(20.0, lambda: setattr(store, "fails", False))

    worked(store, {number(1): Person(answers_s=2.0, does=leaves)}, Rules(), 60.0, mend)
    assert store.entries["e1"].state == "done"
    said = [record.message for record in caplog.records if "list of calls" in record.message]
    assert said == ["the list of calls to place cannot be read", "the list of calls to place is read again"]

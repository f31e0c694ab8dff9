"""What is to be done after a call is done once, tried again, given up with a name, and outlives its process."""

import asyncio
import json
import time
from typing import Any

import pytest
from tests.after.kit import Office, Told, hook, rounds, run

from offhook.after.hook import Outcome
from offhook.after.queue import SUMMARY, Queue, key_for
from offhook.agent.tools.threads import INLINE
from offhook.store.state import NoStoreYet

DOWN = Outcome(False, "crm.example answered 503: come back later")


def test_a_call_is_told_once_however_often_it_is_stored(tmp_path, clock):
    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    path = office.call()
    rounds(office.worker(), 2)
    office.store(path)
    office.store(path)
    rounds(office.worker(), 2)
    assert len(told.jobs) == 1 and told.jobs[0].key == key_for(path.stem, "crm")
    assert office.rows()["crm"].state == "done" and office.rows()["crm"].payload == ""  # said, and not kept


def test_a_thread_that_dies_is_told(tmp_path, clock, caplog):
    class Gone(BaseException):
        pass

    async def dies() -> float:
        raise Gone

    worker = Office(tmp_path, clock, hook("crm", Told())).worker()
    worker.round = dies
    worker.start()
    with pytest.raises(Gone):
        worker._main.result(40)
    until = time.monotonic() + 40
    while (
        "nothing is done after calls any more" not in caplog.text
    ):  # who waits for a future is told before its callbacks
        assert time.monotonic() < until
        time.sleep(0.001)
    assert worker.state()["why"] == "its thread has died of Gone; a restart goes on"
    worker.stop()


def test_two_servers_of_one_store_tell_it_once(tmp_path, clock):
    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    for n in range(12):
        office.call(f"CA{n}")
    workers = [office.worker(f"server-{n}", lives=lambda server: True) for n in range(2)]

    async def both() -> None:
        for _ in range(6):
            await asyncio.gather(*map(run, workers))

    asyncio.run(both())
    assert sorted(job.call for job in told.jobs) == sorted(f"CA{n}" for n in range(12))


def test_what_failed_is_told_again_later_with_the_same_key_and_the_same_words(tmp_path, clock):
    told = Told(DOWN, DOWN)
    office = Office(tmp_path, clock, hook("crm", told))
    office.call()
    worker = office.worker()
    rounds(worker)
    assert worker.state()["failing"] == {"crm": "crm.example answered 503"}  # not what its body said
    rounds(worker)
    assert len(told.jobs) == 1  # not before its time
    clock.ms += 5_100
    rounds(worker)
    clock.ms += 29_000
    rounds(worker)
    assert len(told.jobs) == 2
    clock.ms += 2_000
    rounds(worker)
    assert len(told.jobs) == 3 and len({(job.key, job.payload) for job in told.jobs}) == 1
    assert office.rows()["crm"].state == "done" and "failing" not in worker.state()


def test_the_other_side_may_ask_for_more_time(tmp_path, clock):
    told = Told(Outcome(False, "429", after_s=60))
    office = Office(tmp_path, clock, hook("crm", told))
    office.call()
    rounds(office.worker())
    assert office.rows()["crm"].due_at - clock.ms == 60_000


def test_what_goes_on_failing_is_given_up_and_can_be_tried_again_by_hand(tmp_path, clock, caplog):
    told = Told(*[DOWN] * 3)
    office = Office(tmp_path, clock, hook("crm", told, retries=2))
    office.call()
    worker = office.worker()
    for _ in range(5):
        rounds(worker)
        clock.ms += 3_600_000
    row = office.rows()["crm"]
    assert (row.state, row.tries, len(told.jobs)) == ("given up", 3, 3) and "503" in row.error
    assert worker.state()["given up"] == 1 and "a hook was given up" in caplog.text
    assert row.payload  # it can still be told
    assert Queue(office.engine, "").retry("other") == 0
    assert Queue(office.engine, "").retry("crm") == 1
    rounds(worker)
    assert len(told.jobs) == 4 and office.rows()["crm"].state == "done"


def test_what_no_further_try_would_change_is_not_tried(tmp_path, clock):
    told = Told(Outcome(False, "gone", last=True))
    office = Office(tmp_path, clock, hook("crm", told))
    office.call()
    rounds(office.worker())
    assert office.rows()["crm"].state == "given up" and len(told.jobs) == 1


def died_in_the_middle(office: Office) -> None:
    """A server has claimed all there is, and is gone."""
    queue = Queue(office.engine, "dead-1")
    for job in queue.due([], 10):
        assert queue.claim(job, 60)


def test_what_a_dead_server_was_telling_is_told_again_with_the_same_key(tmp_path, clock):
    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    path = office.call()
    died_in_the_middle(office)
    alive = office.worker(lives=lambda server: True)
    rounds(alive, 2)
    assert not told.jobs  # it may still be at it
    rounds(office.worker(lives=lambda server: False), 2)
    assert [job.key for job in told.jobs] == [key_for(path.stem, "crm")]


def test_a_command_that_a_dead_server_had_started_is_not_started_twice(tmp_path, clock):
    told, again = Told(), Told()
    office = Office(tmp_path, clock, hook("once", told, repeatable=False), hook("often", again))
    office.call()
    died_in_the_middle(office)
    rounds(office.worker(), 2)
    row = office.rows()["once"]
    assert not told.jobs and row.state == "given up" and "not begun twice" in row.error
    assert len(again.jobs) == 1
    Queue(office.engine, "").retry(str(row.id))
    rounds(office.worker(), 2)
    assert len(told.jobs) == 1  # a person has looked


def test_another_machines_claim_is_judged_by_time(tmp_path, clock):
    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    office.call()
    died_in_the_middle(office)
    rounds(office.worker(lives=lambda server: None), 2)
    assert not told.jobs
    clock.ms += 61_000
    rounds(office.worker(lives=lambda server: None), 2)
    assert len(told.jobs) == 1


def test_a_hook_that_hangs_is_ended_and_leaves_room_for_the_others(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("offhook.after.worker.AT_ONCE", 4)
    quick = Told()

    async def hangs(job: Any) -> Outcome:
        await asyncio.Event().wait()
        return Outcome(True)

    office = Office(tmp_path, clock, hook("slow", hangs, deadline_s=-9.9), hook("quick", quick))
    for n in range(5):
        office.call(f"CA{n}")

    async def main() -> None:
        worker = office.worker()
        for _ in range(6):
            await run(worker)

    asyncio.run(main())
    assert len(quick.jobs) == 5
    with office.engine.connect() as connection:
        states = connection.exec_driver_sql("SELECT DISTINCT state FROM outbox WHERE hook = 'slow'").scalars().all()
    assert states == ["queued"] and "not done within" in office.rows()["slow"].error


def test_a_hook_that_hangs_takes_three_places_and_no_more(tmp_path, clock):
    at_work: list[Any] = []

    async def hangs(job: Any) -> Outcome:
        at_work.append(job)
        await asyncio.Event().wait()
        return Outcome(True)

    office = Office(tmp_path, clock, hook("slow", hangs))
    for n in range(5):
        office.call(f"CA{n}")

    async def main() -> None:
        INLINE.set(True)
        worker = office.worker()
        for _ in range(3):
            await worker.round()
            await asyncio.sleep(0)
        running = [task for _, task in worker._running.values()]
        assert len(at_work) == len(running) == 3
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(main())


def test_a_defect_of_a_hook_is_a_failure_by_name(tmp_path, clock):
    async def breaks(job: Any) -> Outcome:
        raise KeyError("x")

    office = Office(tmp_path, clock, hook("crm", breaks))
    office.call()
    rounds(office.worker())
    assert office.rows()["crm"].error == "defect: KeyError: 'x'"


def test_how_something_ended_is_written_as_often_as_the_store_wants(tmp_path, clock, monkeypatch):
    from sqlalchemy.exc import OperationalError

    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    office.call()
    worker, refused = office.worker(), [1, 1]
    done = Queue.done

    def away(self: Queue, job: Any, *, keep: bool) -> None:
        if refused:
            refused.pop()
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        done(self, job, keep=keep)

    async def no_pause(seconds: float) -> None:
        return None

    monkeypatch.setattr(Queue, "done", away)
    sleep = asyncio.sleep
    monkeypatch.setattr("offhook.after.worker.asyncio.sleep", lambda seconds: sleep(0))
    rounds(worker, 2)
    assert len(told.jobs) == 1 and office.rows()["crm"].state == "done"


# ------------------------------------------------------------------------------------------------------ the summary


def summary(told: Told) -> Any:
    return hook(SUMMARY, told, kind="summary", retries=1)


def test_the_others_wait_for_the_summary_and_are_told_it(tmp_path, clock):
    crm = Told()
    office = Office(tmp_path, clock, hook("crm", crm), summary(Told(DOWN, Outcome(True, result="Wants a table."))))
    office.call()
    worker = office.worker()
    rounds(worker, 2)
    assert not crm.jobs and office.rows()["crm"].state == "held"
    clock.ms += 6_000
    rounds(worker, 2)
    assert json.loads(crm.jobs[0].payload)["data"]["summary"] == {"text": "Wants a table.", "error": None}
    with office.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT summary FROM calls").scalar() == "Wants a table."


def test_a_summary_that_fails_holds_nothing_up_and_says_why(tmp_path, clock):
    crm = Told()
    office = Office(tmp_path, clock, hook("crm", crm), summary(Told(DOWN, DOWN)))
    office.call()
    worker = office.worker()
    rounds(worker, 2)
    clock.ms += 6_000
    rounds(worker, 2)
    said = json.loads(crm.jobs[0].payload)["data"]["summary"]
    assert said["text"] is None and "503" in said["error"]


def test_what_waited_for_a_summary_goes_on_when_the_settings_have_none_any_more(tmp_path, clock):
    crm = Told()
    with_one = Office(tmp_path, clock, hook("crm", crm), summary(Told()))
    with_one.call()
    without = Office(tmp_path, clock, hook("crm", crm))
    rounds(without.worker(), 2)
    rounds(without.worker(), 2)
    assert len(crm.jobs) == 1 and "no such hook" in json.loads(crm.jobs[0].payload)["data"]["summary"]["error"]


def test_a_call_in_which_the_caller_said_nothing_is_not_summarized(tmp_path, clock):
    from tests.after.kit import agent

    crm, model = Told(), Told()
    office = Office(tmp_path, clock, hook("crm", crm), summary(model))
    office.call("CA1", agent("Hello?", "b", 900.0))
    rounds(office.worker(), 2)
    assert len(crm.jobs) == 1 and not model.jobs


# ------------------------------------------------------------------------------------------------------- which calls


@pytest.mark.parametrize("why", ["a refused request", "a dial's record", "an old call"])
def test_nobody_is_told_of(tmp_path, clock, why):
    told = Told()
    office = Office(tmp_path, clock, hook("crm", told))
    if why == "a refused request":
        office.call("refused")
    elif why == "a dial's record":
        office.call("CA1", boot={})
    else:
        clock.ms -= 2 * 86_400_000
        office.call("CA1")
    rounds(office.worker(), 2)
    assert not told.jobs and not office.rows()


def test_hooks_choose_their_calls_by_event_and_agent(tmp_path, clock):
    broken, died, desk = Told(), Told(), Told()
    office = Office(
        tmp_path, clock, hook("broken", broken, events=("call.broken",)), hook("died", died, events=("call.died",)),
        hook("desk", desk, agents=("desk",)),
    )  # fmt: skip
    office.call("CA1", agent="desk")
    office.call("CA2", agent="night")
    rounds(office.worker(), 3)
    assert (len(broken.jobs), len(died.jobs), [job.call for job in desk.jobs]) == (2, 0, ["CA1"])  # kit: all are broken
    assert json.loads(broken.jobs[0].payload)["type"] == "call.broken"


def test_a_store_that_is_being_made_is_no_warning_and_one_that_stays_away_is(tmp_path, clock, caplog):
    office = Office(tmp_path, clock, hook("crm", Told()))
    worker = office.worker()

    def none_yet() -> Queue:
        raise NoStoreYet("there is no store yet")

    worker._open = none_yet
    rounds(worker)
    assert not caplog.records
    rounds(worker, 2)
    assert [record.why for record in caplog.records] == ["NoStoreYet: there is no store yet"]

"""The live stream: order, going on, bounds, levels, masks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from offhook import vocab as v
from offhook.api import live
from offhook.api.live import KEPT, QUEUE, Hub, Subscriber, TooMany
from offhook.api.telling import KINDS
from offhook.evidence.redact import Sieve
from offhook.net.calls import BEGUN, OVER

BEGIN = {
    "record": "20261125T120000Z-CA1", "agent": "clinic", "why": "", "direction": "inbound", "caller": "***01",
    "called": "***02", "carrier": "twilio", "provider": "OpenAI Realtime", "wire": "openai", "model": "m", "voice": "v",
}  # fmt: skip


def begin(hub: Hub, call: str = "CA1") -> None:
    hub(call, v.Note(BEGUN, {**BEGIN, "record": f"20261125T120000Z-{call}"}), 0.0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await main()

    asyncio.run(bounded())


async def read(subscriber: Subscriber, n: int) -> list[dict[str, Any]]:
    made = []
    for _ in range(n):
        event = await subscriber.next()
        assert event is not None
        made.append(msgspec.json.decode(event.json))
    return made


@pytest.mark.parametrize("reached", [("M9", "M6", "M17"), ("M6", "M9", "M17")])
def test_a_call_is_ready_after_it_is_connected_whoever_was_quicker(reached):
    async def main() -> None:
        hub = Hub()
        watching = hub.subscribe()
        begin(hub)
        assert hub.calls["CA1"].view()["state"] == "ringing"
        for id_ in reached:
            hub("CA1", v.Note("milestone", {"id": id_}), 0.1)
        told = await read(watching, 5)
        assert [one["state"] for one in told[2:]] == ["connected", "ready", "talking"]

    run(main)


def test_a_call_is_told_from_its_begin_to_its_end_in_order():
    async def main() -> None:
        hub = Hub()
        watching = hub.subscribe()
        begin(hub)
        hub("CA1", v.Note("milestone", {"id": "M6", "what": "stream started"}), 0.1)
        hub("CA1", v.CallerTranscript("i1", "what are", False), 1.0)
        hub("CA1", v.CallerTranscript("i1", "what are your hours", True), 1.2)
        hub("CA1", v.Note("reply", {"ms": 310}), 1.5)
        hub("CA1", v.AgentTranscript("r", "i2", "From ", False), 1.6)
        hub("CA1", v.AgentTranscript("r", "i2", "nine", False), 1.7)
        hub("CA1", v.ToolCalled("t1", "hours", "{}"), 1.8)
        hub("CA1", v.Note("tool.done", {"id": "t1", "name": "hours", "outcome": "ok", "ms": 12}), 1.9)
        hub("CA1", v.Note("deadline.missed", {"name": "first mark", "waited_ms": 1}), 2.0)
        view = hub.calls["CA1"].view()
        hub("CA1", v.Note(OVER, {"why": "caller hung up", "wanted": True}), 3.0)
        told = await read(watching, 12)
        assert [one["type"] for one in told] == [
            "hello", "call.started", "state", "transcript", "transcript", "latency", "transcript", "transcript", "tool",
            "tool", "trouble", "call.ended",
        ]  # fmt: skip
        assert [one["text"] for one in told if one["type"] == "transcript"] == [
            "what are", "what are your hours", "From ", "From nine",
        ]  # fmt: skip
        assert view["reply_ms"] == 310 and view["tools"] == [] and view["troubles"] == ["deadline.missed: first mark"]
        assert view["turns"][0]["text"] == "what are your hours" and view["partials"][0]["text"] == "From nine"
        assert told[-1]["why"] == "caller hung up" and not hub.calls

    run(main)


def test_whoever_comes_later_sees_the_calls_that_run():
    async def main() -> None:
        hub = Hub()
        begin(hub)
        (hello,) = await read(hub.subscribe(), 1)
        assert hello["calls"][0]["call"] == "CA1" and hello["boot"] == hub.boot and "id" not in hello

    run(main)


def test_one_call_only():
    async def main() -> None:
        hub = Hub()
        watching = hub.subscribe("CA2")
        begin(hub, "CA1")
        begin(hub, "CA2")
        told = await read(watching, 2)
        assert told[0]["calls"] == [] and told[1]["call"] == "CA2"

    run(main)


def test_one_who_comes_back_goes_on_where_they_were():
    async def main() -> None:
        hub = Hub()
        begin(hub)
        first = (await read(hub.subscribe(after=f"{hub.boot}-0"), 2))[1]
        hub("CA1", v.SpeechStarted(None), 1.0)
        told = await read(hub.subscribe(after=first["id"]), 2)
        assert [one["type"] for one in told] == ["hello", "speaking"]

    run(main)


@pytest.mark.parametrize("after", ["other-3", "BOOT-999999"])
def test_one_who_comes_back_after_a_restart_is_told_so(after: str):
    async def main() -> None:
        hub = Hub()
        begin(hub)
        told = await read(hub.subscribe(after=after.replace("BOOT", hub.boot)), 2)
        assert told[1]["type"] == "lost" and told[1]["events"] is None and "anew" in told[1]["why"]

    run(main)


def test_one_who_comes_back_too_late_is_told_how_much_is_gone():
    async def main() -> None:
        hub = Hub()
        for n in range(KEPT + 7):
            hub.publish("note", "", {"n": n})
        told = await read(hub.subscribe(after=f"{hub.boot}-0"), 2)
        assert told[1]["type"] == "lost" and told[1]["events"] >= 7

    run(main)


@pytest.mark.parametrize("after", ["", "x", "-", "a-b", "a-" + "9" * 40])
def test_an_id_that_is_none_begins_now(after: str):
    async def main() -> None:
        hub = Hub()
        begin(hub)
        watching = hub.subscribe(after=after)
        hub.publish("note")
        assert [one["type"] for one in await read(watching, 2)] == ["hello", "note"]

    run(main)


def test_a_slow_one_loses_the_oldest_and_is_told_how_many_and_the_others_lose_nothing():
    async def main() -> None:
        hub = Hub()
        slow, quick = hub.subscribe(), hub.subscribe()
        await read(quick, 1)
        for n in range(QUEUE + 20):
            hub.publish("note", "", {"n": n})
            await read(quick, 1)
        told = await read(slow, 2)
        assert told[0] == {"type": "lost", "events": 20, "why": told[0]["why"]}  # hello among them
        assert told[1]["n"] == 19

    run(main)


def test_there_are_not_more_watchers_than_this_server_has():
    async def main() -> None:
        hub = Hub()
        many = [hub.subscribe() for _ in range(live.MOST)]
        with pytest.raises(TooMany):
            hub.subscribe()
        many[0].close()
        hub.subscribe()

    run(main)


def test_levels_are_of_the_time_since_the_last_and_cost_nothing_where_nobody_asks():
    async def main() -> None:
        hub = Hub()
        begin(hub)
        levels: tuple[int | None, int | None] = (None, None)
        looked = 0

        def of(call: str) -> Any:
            nonlocal looked
            looked += 1
            return levels

        hub.levels = of
        hub.subscribe()
        await asyncio.sleep(0)
        assert hub._timer is None
        loud = hub.subscribe(levels=10)
        await read(loud, 1)
        levels = (15, None)
        told = (await read(loud, 1))[0]
        assert told["type"] == "levels" and told["levels"]["CA1"] == [0.0, None] and "id" not in told
        levels = (0, 9)
        await read(loud, 1)  # of which a part was before
        told = (await read(loud, 1))[0]
        assert told["levels"]["CA1"] == [-96.0, -36.1]
        loud.close()
        before = looked
        await asyncio.sleep(0.25)
        assert looked - before <= 1 and hub._timer is None
        hub.stop()

    run(main)


def test_secrets_and_numbers_reach_nobody():
    async def main() -> None:
        hub = Hub(Sieve("a-secret-of-ours").clean_data)
        watching = hub.subscribe()
        begin(hub)
        hub("CA1", v.CallerTranscript("i1", "call me at +14155550100, a-secret-of-ours", True), 1.0)
        hub("CA1", v.KeyPressed("7"), 1.1)
        told = (await read(watching, 4))[2:]
        assert "4155550100" not in told[0]["text"] and "a-secret" not in told[0]["text"]
        assert told[1]["digit"] == v.MASKED

    run(main)


def test_a_call_that_goes_on_for_days_does_not_grow():
    hub = Hub()
    begin(hub)
    for n in range(3000):
        hub("CA1", v.CallerTranscript(f"i{n}", "x" * 9000, True), float(n))
        hub("CA1", v.AgentTranscript("r", f"a{n}", "y" * 9000, False), float(n))
        hub("CA1", v.DialFailed("tcp", "refused"), float(n))
    view = hub.calls["CA1"].view()
    assert len(view["turns"]) == 40 and len(view["partials"]) == 8 and len(view["troubles"]) == 20
    assert len(hub._ring) == KEPT


def test_what_ends_is_told_to_the_end():
    async def main() -> None:
        hub = Hub()
        watching = hub.subscribe()
        hub.publish("note")
        hub.stop()
        assert len(await read(watching, 2)) == 2
        assert await watching.next() is None

    run(main)


def test_everybody_who_watches_gets_levels_as_often_as_they_asked(monkeypatch):
    told: list[tuple[int, int]] = []

    async def main() -> None:
        hub = Hub()
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda *_: None)
        often, seldom = hub.subscribe(levels=10), hub.subscribe(levels=2)
        monkeypatch.setattr(hub, "_tell_levels", lambda every, those: told.append((every, len(those))))
        for _ in range(live.TURNS_PER_S):  # a second
            hub._tick()
        assert told.count((often.every, 1)) == 10 and told.count((seldom.every, 1)) == 2 and len(told) == 12

    asyncio.run(main())


def test_the_documents_name_every_kind_of_event():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text().partition("## Watching")[2]
    assert set(re.findall(r"^\| `([a-z.-]+)` \|", page, re.MULTILINE)) == set(KINDS)

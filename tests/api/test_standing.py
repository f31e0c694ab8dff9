"""Running calls are judged while somebody watches: the troubled first, all within a share of a core."""

import asyncio

from tests.api.test_live import begin, read, run

from offhook import vocab as v
from offhook.api.live import Hub
from offhook.api.standing import AGAIN_S, SHARE, Standing, judged


def test_each_call_has_its_turn_the_troubled_first_and_all_within_a_share_of_a_core(tmp_path):
    async def main():
        now, asked = [1000.0], []

        def judge(path):
            asked.append(path.stem[-3:])
            return {"verdict": "broken", "findings": ["turns/no-answer"], "because": "so"}, 0.05

        async def turn(after_s):
            now[0] += after_s
            standing.look()
            standing.look()  # one at a time
            if standing._asked is not None:
                await asyncio.wait([standing._asked])
                await asyncio.sleep(0)

        hub = Hub(now=lambda: now[0])
        standing = Standing(hub, tmp_path, judge, lambda: now[0])
        watching = hub.subscribe()
        begin(hub, "CA1")
        begin(hub, "CA2")
        await turn(0.5)
        assert not asked, "its record has nothing yet"
        await turn(0.6)
        await turn(0.05 / SHARE - 0.1)
        assert asked == ["CA1"], "the share of the core is used up"
        await turn(0.2)
        assert asked == ["CA1", "CA2"]
        await turn(AGAIN_S - 2)
        assert asked == ["CA1", "CA2"], "both were judged a moment ago"
        hub("CA2", v.Note("deadline.missed", {"name": "answer"}), 3.0)
        await turn(0.0)
        await turn(AGAIN_S)
        assert asked == ["CA1", "CA2", "CA2", "CA1"]
        told = [one for one in await read(watching, 8) if one["type"] == "stands"]
        assert [(one["call"], one["findings"]) for one in told[:2]] == [
            (n, ["turns/no-answer"]) for n in ("CA1", "CA2")
        ]
        assert "id" not in told[0], "not kept for those who come back"
        assert hub.calls["CA1"].view()["stands"]["judged_at"] == round(now[0] * 1000)

    run(main)


def test_a_record_that_is_not_there_yet_is_no_verdict(tmp_path):
    assert judged(tmp_path / "none.jsonl")[0] is None

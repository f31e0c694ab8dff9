"""Calls over time."""

import asyncio
from pathlib import Path

from tests.api.kit import api

from offhook.api.figures import STRETCHES_MS, figures, percentile

MINUTE = 60_000
NOON = 1_795_608_000_000  # a whole hour of UTC


def test_calls_fall_into_stretches_that_people_think_in_and_empty_ones_are_left_out():
    calls = [
        (NOON + 1, "healthy"),
        (NOON + 2 * MINUTE, "broken"),
        (NOON + 59 * MINUTE, "healthy"),
        (NOON + 60 * MINUTE, ""),
    ]
    told = figures(calls, [(NOON + 1, 100.0), (NOON + 1, 900.0), (NOON + 2 * MINUTE, 300.0)], 12)
    assert told["bucket_ms"] == 10 * MINUTE and told["calls"] == 4 and told["partial"] is False
    assert [(row["at"] - NOON, row["verdicts"]) for row in told["buckets"]] == [
        (0, {"healthy": 1, "broken": 1}), (50 * MINUTE, {"healthy": 1}), (60 * MINUTE, {"running": 1})
    ]  # fmt: skip
    first, *rest = told["buckets"]
    assert (first["replies"], first["p50_ms"], first["p95_ms"], first["max_ms"]) == (3, 300.0, 900.0, 900.0)
    assert all(row["replies"] == 0 and row["p50_ms"] is row["p95_ms"] is row["max_ms"] is None for row in rest)


def test_there_are_never_more_stretches_than_were_asked_for():
    for days in (0, 1, 40, 900, 9000):
        calls = [(NOON + day * 86_400_000, "healthy") for day in range(days + 1)]
        for most in (2, 7, 60):
            told = figures(calls, [], most)
            assert len(told["buckets"]) <= most and told["bucket_ms"] >= STRETCHES_MS[0]
            assert sum(row["verdicts"]["healthy"] for row in told["buckets"]) == days + 1
    assert figures([], [], 60)["buckets"] == []


def test_percentiles_are_values_that_were_measured():
    ordered = [float(n) for n in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 1.0)] == [50.0, 95.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0 and percentile([], 0.5) is None


def test_the_api_gives_them_from_the_store_and_says_where_there_is_none(tmp_path: Path):
    async def run() -> None:
        async with api(tmp_path / "a") as server:
            told = await server.get("/api/figures")
            assert told["calls"] == 2 == sum(sum(row["verdicts"].values()) for row in told["buckets"])
            assert (await server.get("/api/figures?agent=nobody"))["buckets"] == []
            for one in (await server.get("/api/findings"))["findings"]:
                listed = (await server.get(f"/api/calls?finding={one['rule']}"))["calls"]
                assert len(listed) == one["calls"] and one["title"], one
        async with api(tmp_path / "b", store=False) as server, server.client() as client:
            own = {"authorization": f"Bearer {server.access.own_token()}"}
            assert (await client.get("/api/findings", headers=own)).json()["findings"] == []
            answer = await client.get("/api/figures", headers=own)
            assert answer.status_code == 503 and answer.json()["errors"][0]["field"] == "store.url"

    asyncio.run(run())

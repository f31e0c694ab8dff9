"""The day's spend cap over restarts: what the store knows of today, and what it does not."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.store.kit import record, writer

from offhook.cli.spent import SpentBefore
from offhook.net.spending import Caps, Spending
from offhook.settings import load
from offhook.store import schema
from offhook.store.database import engine

NOON = 1_795_608_000.0  # 2026-11-25T12:00:00Z
MIDNIGHT_MS = 1_795_564_800_000


class Clock:
    unix = NOON

    def now(self) -> float:
        return 0.0


def spending(clock: Any) -> Spending:
    return Spending(Caps(day_usd=1.0), lambda who: None, clock, unix=lambda: clock.unix)


def stored(tmp_path: Path, *costs: tuple[int, float | None]) -> str:
    """A store with calls that began at these milliseconds and cost this."""
    url = f"sqlite:///{tmp_path / 'offhook.db'}"
    filled = writer(url, tmp_path)
    for n, _ in enumerate(costs):
        filled.whole(record(tmp_path, f"CA{n}"))
    filled.round()
    target = engine(url)
    with target.begin() as connection:
        for n, (at_ms, usd) in enumerate(costs):
            values = {"began_at": at_ms, "usd": usd, "cost_unknown": "" if usd is not None else "provider"}
            connection.execute(sa.update(schema.calls).where(schema.calls.c.call == f"CA{n}").values(**values))
    target.dispose()
    return url


def before(tmp_path: Path, told: Spending, url: str, states: Any = ()) -> SpentBefore:
    settings = load(cwd=tmp_path, environment={"OFFHOOK_STORE_URL": url, "OFFHOOK_RECORD_DIR": str(tmp_path)})
    left = iter(states)
    return SpentBefore(settings, tmp_path, told, lambda: next(left), unix=lambda: NOON)


def test_calls_since_midnight_utc_count_and_others_do_not(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    noon_ms = round(NOON * 1000)
    url = stored(
        tmp_path, (MIDNIGHT_MS - 1, 50.0), (MIDNIGHT_MS, 0.25), (noon_ms - 1, 0.5), (noon_ms + 1, 70.0),
        (noon_ms - 5, None),
    )  # fmt: skip
    clock = Clock()
    told = spending(clock)
    with caplog.at_level(logging.WARNING, "offhook"):
        assert asyncio.run(before(tmp_path, told, url).look()) is True
    assert told.today_usd == 0.75 and not told.full
    assert "not known in full" in caplog.text and caplog.records[0].calls == 1  # type: ignore[attr-defined]
    told.spent_before(1.0)
    assert told.full
    clock.unix += 12 * 3600
    told.spent_before(1.0)  # of yesterday by now
    assert told.today_usd == 0 and not told.full


@pytest.mark.parametrize("url", ["off", "postgresql+pg8000://x@127.0.0.1:1/none"])
def test_a_store_that_does_not_tell_leaves_it_unknown_and_says_so(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
):
    told = spending(Clock())
    with caplog.at_level(logging.WARNING, "offhook"):
        assert asyncio.run(before(tmp_path, told, url).look()) is False
    assert "is unknown" in caplog.text and told.today_usd == 0


def test_what_a_killed_server_left_counts_once_it_is_stored(tmp_path: Path):
    url = stored(tmp_path, (MIDNIGHT_MS + 1, 0.25))
    told = spending(Clock())
    seen: list[float] = []

    def states() -> Any:
        yield {"state": "starting", "waiting": 0}
        seen.append(told.today_usd)
        target = engine(url)
        with target.begin() as connection:
            connection.execute(sa.update(schema.calls).values(usd=0.9))
        target.dispose()
        yield {"state": "ok", "waiting": 0}

    asyncio.run(before(tmp_path, told, url, states()).keep_looking(every_s=0.5))
    assert seen == [0.25] and told.today_usd == 0.9

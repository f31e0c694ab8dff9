"""The store put together: what ``serve`` writes into, and what the other commands read from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offhook.cli.after import AfterCalls, asked_for
from offhook.cli.verdict import verdict
from offhook.evidence.numbers import NumberHash
from offhook.evidence.patterns import Patterns
from offhook.settings import Settings
from offhook.store.alive import ServerLock
from offhook.store.projection import Judged, Projection
from offhook.store.writer import Writer

if TYPE_CHECKING:
    from offhook.diagnosis.report import Report
    from offhook.evidence.record import Recording
    from offhook.net.metrics import Metrics
    from offhook.store.queries import Reader
    from offhook.wires._wire import Fact, Price

__all__ = ["OFF", "StoreKeeper", "number_hash", "price_of", "projection", "reader", "store_url", "summary_of"]

log = logging.getLogger("offhook")

OFF = "off"


def store_url(settings: Settings, directory: Path) -> str:
    """Where the store is; ``off`` where there shall be none."""
    given = settings["store.url"].reveal().strip()
    if given:
        return str(given)
    return f"sqlite:///{directory / 'offhook.db'}"


def number_hash(settings: Settings, directory: Path) -> NumberHash:
    """How callers are told apart without their numbers. Raises OSError."""
    return NumberHash.of(directory, settings["store.number_key"].reveal())


def price_of(provider: str, model: str) -> Fact[tuple[Price, ...]] | None:
    """A provider's dated prices, from its wire; None where nobody told us."""
    from offhook.checks import settings as judge

    if provider not in judge.PROVIDERS:
        return None
    found: Fact[tuple[Price, ...]] | None = judge.provider_module(provider).price_list(model)
    return found


def projection(settings: Settings) -> Projection:
    """How a record is made into rows."""
    usd = settings["cost.carrier_usd_per_minute"]
    return Projection(_judge, price_of, carrier_usd_per_minute=usd or None)


def reader(settings: Settings, directory: Path) -> Reader | None:
    """The store to read from; None where there is none. Raises StoreError."""
    url = store_url(settings, directory)
    if url == OFF or (url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()):
        return None
    from offhook.store.queries import Reader

    try:
        hashed: NumberHash | None = number_hash(settings, directory)
    except OSError:
        hashed = None
    return Reader(url, hashed)


def summary_of(settings: Settings, directory: Path, record: str) -> dict[str, Any]:
    """A call's ``summary``, and ``summary_why`` there is none; empty where none is asked for, or nothing is known."""
    if not settings["summary.url"] and not settings["summary.command"]:
        return {}
    from offhook.store.state import StoreError

    try:
        opened = reader(settings, directory)
        if opened is None:
            return {}
        try:
            row = opened.call(record)
        finally:
            opened.close()
    except StoreError as error:
        return {"summary": None, "summary_why": f"the store is not read: {error}"}
    if row is None or row["id"] != record:
        return {}
    told = {name: row[name] for name in ("summary", "summary_why")}
    cleaned: dict[str, Any] = Patterns(settings["redact.patterns"]).data(told)
    return cleaned


def judged(report: Report) -> Judged:
    """A verdict as the store keeps it."""
    return Judged(report.verdict, report.because, report.rows())


def _judge(call: Recording) -> Judged:
    from offhook.diagnosis.report import report

    return judged(report(call))


class StoreKeeper:
    """
    What a server tells of its calls, and how its store is; may be used whether or not there is a store.

    ``on_stall(ms, error)`` and ``on_closed(record)``, of a call that died with its server, are called on the store's
    thread, ``on_judged(report)`` on the journal's.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        metrics: Metrics,
        on_stall: Callable[[float, str], None],
        on_judged: Callable[[Report], None] = lambda report: None,
        on_closed: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._metrics = metrics
        self._on_stall = on_stall
        self._on_judged = on_judged
        self._on_closed = on_closed
        self._lock = ServerLock(directory)
        self._writer: Writer | None = None
        self._numbers: NumberHash | None = None
        self._keeps_numbers = settings["store.numbers"]
        self._after: AfterCalls | None = None

    @property
    def server(self) -> Mapping[str, Any]:
        """What every record says of this process."""
        return self._lock.facts

    def start(self) -> None:
        """Take this process's lock and begin to write. Nothing here waits for a database."""
        try:
            self._lock.take()
            self._numbers = number_hash(self._settings, self._directory)
        except OSError as error:
            log.error("callers cannot be told apart", extra={"where": str(self._directory), "why": error.strerror})
        url = store_url(self._settings, self._directory)
        if url == OFF:
            return
        if asked_for(self._settings):
            self._after = AfterCalls(
                self._settings, self._directory, url, str(self._lock.facts["id"]), self._metrics.hook_tried
            )
        self._writer = Writer(
            url,
            self._directory,
            projection(self._settings),
            server=str(self._lock.facts["id"]),
            keep_days=self._settings["record.keep_days"],
            on_stored=self._after.stored if self._after is not None else None,
            on_stall=self._stalled,
            on_closed=self._on_closed,
        )
        self._metrics.watch_store(self._waiting, self._works)
        self._writer.start()
        if self._after is not None:
            self._after.start()

    def number_id(self, number: str) -> str:
        return self._numbers(number) if self._numbers is not None else ""

    def begun(self, path: Path, facts: Mapping[str, Any], numbers: Sequence[str]) -> None:
        """A call's record was opened; ``numbers`` are the caller's and the called one's, in full."""
        if self._writer is None:
            return
        named = ("caller_number", "called_number")
        full = dict(zip(named, numbers, strict=False)) if self._keeps_numbers else {}
        self._writer.begun(path, {**facts, **full})

    def whole(self, path: Path) -> Mapping[str, Any] | None:
        """A call's record is whole: judge it, and store both."""
        reports: list[Report | None] = []
        line = verdict(path, reports.append)
        if reports and reports[0] is not None:
            self._on_judged(reports[0])
        if self._writer is not None:
            found = reports[0] if reports else None
            self._writer.whole(path, judged(found) if found is not None else Judged(because="a long record"))
        return line

    def detail(self) -> dict[str, Any]:
        """How the store is, for /readyz: never a reason to take no calls."""
        if self._writer is None:
            return {"state": OFF}
        state = self._writer.state
        return {"state": state.word, "waiting": state.waiting, **({"why": state.why} if state.why else {})}

    def after(self) -> Mapping[str, Any] | None:
        """What is done after calls, for /readyz; None where nothing is asked for."""
        return self._after.state() if self._after is not None else None

    def unstored(self) -> list[Path]:
        """Records of calls that the store has not got yet."""
        return self._writer.unstored() if self._writer is not None else []

    def _works(self) -> bool:
        return self._writer is not None and self._writer.state.word in ("starting", "ok")

    def _waiting(self) -> int:
        return self._writer.state.waiting if self._writer is not None else 0

    def _stalled(self, ms: float, error: str) -> None:
        self._metrics.store_stalled(ms / 1000, failed=bool(error))
        self._on_stall(ms, error)

    def stop(self) -> None:
        if self._writer is not None:
            self._writer.stop()
        if self._after is not None:
            self._after.stop()
        self._lock.release()

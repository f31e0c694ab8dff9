"""What happens after calls, put together: what ``serve`` runs, and what the other commands ask of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offhook.outward import warm
from offhook.settings import Settings
from offhook.store.alive import host, lives

if TYPE_CHECKING:
    import sqlalchemy as sa

    from offhook.after.plan import Plan
    from offhook.after.worker import Worker
    from offhook.store.projection import Rows

__all__ = ["AfterCalls", "asked_for", "plan_of"]

log = logging.getLogger("offhook")


def asked_for(settings: Settings) -> bool:
    """Whether anything is to happen after calls; where nothing is, nothing is loaded for it."""
    named = ("summary.url", "summary.command", "record.s3")
    return bool(settings.sections("hooks")) or any(settings[name] for name in named)


def plan_of(settings: Settings, directory: Path) -> Plan:
    """What is to happen; the settings have been judged before."""
    from offhook.after.plan import planned

    plan, _ = planned(settings, directory)
    return plan


class AfterCalls:
    """
    What a server does after its calls. ``counted(hook, outcome)`` is told of every try.
    """

    def __init__(
        self, settings: Settings, directory: Path, url: str, server: str, counted: Callable[[str, str], None]
    ) -> None:
        from offhook.after.worker import Worker

        self._settings = settings
        self._directory = directory
        self._url = url
        self._server = server
        self._engine: sa.Engine | None = None
        self._plan = plan_of(settings, directory)
        self._worker: Worker = Worker(self._open, self._plan.hooks, self._lives, counted=counted, tidy=self._tidy)

    def stored(self, connection: sa.Connection, rows: Rows) -> None:
        """On the store's thread, in the transaction that stores a whole call."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            n = self._plan.stored(connection, rows)
        except SQLAlchemyError:
            raise  # the store's own affair: the whole transaction is tried again
        except Exception as error:  # a defect with one call's hooks must not keep calls out of the store
            log.error("defect: a call's hooks were not queued", extra={"record": rows.call["id"]}, exc_info=error)
            return
        if n:
            self._worker.wake()

    def start(self) -> None:
        """What is needed is loaded now: half a second that no caller should hear."""
        kinds = {hook.kind for hook in self._plan.hooks.values()}
        if kinds - {"command", "upload"}:
            warm()
        if "upload" in kinds:
            import obstore  # noqa: F401
        self._worker.start()

    def state(self) -> Mapping[str, Any]:
        return self._worker.state()

    def stop(self) -> None:
        self._worker.stop()
        if self._engine is not None:
            self._engine.dispose()

    def _open(self) -> Any:
        from offhook.after.queue import Queue
        from offhook.store.database import check, engine

        target = engine(self._url, write=True)
        try:
            with target.connect() as connection:
                check(connection)
        except BaseException:
            target.dispose()
            raise
        self._engine = target
        return Queue(target, self._server)

    def _lives(self, server: str) -> bool | None:
        """Of this machine's servers it is known; of another's not."""
        return lives(self._directory, server) if server.startswith(host() + "-") else None

    def _tidy(self) -> None:
        from offhook.after.bucket import BucketError
        from offhook.after.remote import tidy

        assert self._engine is not None
        try:
            gone = tidy(self._engine, self._plan, self._settings["record.keep_days"])
        except BucketError as error:
            log.warning("old recordings stay in the bucket", extra={"why": str(error)})
            return
        if gone:
            log.info("old recordings removed from the bucket", extra={"files": gone})

"""
What a call left outside of the store and the records' folder: its recording in a bucket, its archive for gptme.

Forgetting a caller begins here: what cannot be removed there must not be forgotten to be there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

import sqlalchemy as sa

from offhook.after import archive
from offhook.after.bucket import BucketError
from offhook.after.plan import UPLOAD, Plan
from offhook.store import schema
from offhook.store.database import check

__all__ = ["forget", "tidy"]

_o, _c = schema.outbox.c, schema.calls.c


def forget(target: sa.Engine, plan: Plan, *, caller_id: str = "", call: str = "") -> list[str]:
    """
    Remove what lies outside of a caller's calls, or of one call. What was removed.

    Raises BucketError, with everything else still there, and SQLAlchemyError.
    """
    mine = [_o.call == call] if call else [_o.record.in_(_records(caller_id))]
    with target.connect() as connection:
        check(connection)
        uploads = connection.execute(sa.select(_o.payload).where(_o.hook == UPLOAD, _o.payload != "", *mine)).all()
        named = sa.select(_c.call).where(_c.id.in_(_records(caller_id)))
        calls = {call} if call else {str(name) for name in connection.execute(named).scalars()}
    gone = _remove(plan, [row.payload for row in uploads])
    for directory in plan.archives:
        gone += [str(path) for path in archive.remove(directory, calls)]
    return gone


def _records(caller_id: str) -> sa.Select[tuple[str]]:
    return sa.select(_c.id).where(sa.or_(_c.caller_id == caller_id, _c.called_id == caller_id))


def _remove(plan: Plan, payloads: Iterable[str]) -> list[str]:
    gone = []
    for payload in payloads:
        url = json.loads(payload)["url"]
        if plan.bucket is None:
            raise BucketError(f"{url}: record.s3 names no bucket any more, so it cannot be removed there", last=True)
        plan.bucket.remove(url)
        gone.append(str(url))
    return gone


def tidy(target: sa.Engine, plan: Plan, keep_days: float) -> int:
    """Remove what is older than calls are kept: objects, archives, and rows of what was done. How many objects."""
    if not keep_days:
        return 0
    before = round((time.time() - keep_days * 86400) * 1000)
    old = [_o.queued_at < before, _o.state.in_(("done", "given up"))]
    with target.connect() as connection:
        rows = connection.execute(sa.select(_o.id, _o.payload).where(_o.hook == UPLOAD, *old)).all()
    removed = 0
    for row in rows:
        if row.payload:
            removed += len(_remove(plan, [row.payload]))
        with target.begin() as connection:
            connection.execute(schema.outbox.delete().where(_o.id == row.id))
    with target.begin() as connection:
        connection.execute(schema.outbox.delete().where(_o.hook != UPLOAD, *old))
    for directory in plan.archives:
        archive.remove_older(directory, before / 1000)
    return removed

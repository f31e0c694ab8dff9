"""
The tables of the store, as the newest migration leaves them. Knows no record and no connection.

A row of ``calls`` is one record; ``id`` is its file's name without ending, ``call`` the carrier's name for the call.
Everything else hangs on ``calls.n``. Erasure removes a caller from every table that has a column ``caller_id``,
``called_id`` or ``call``, and what hangs on ``n``. Times are milliseconds: of a call, or since 1970 where they end in
``_at``.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = [
    "HEAD", "calls", "do_not_call", "findings", "latencies", "metadata", "outbox", "queue", "tokens", "tool_runs",
    "turns", "usage",
]  # fmt: skip

HEAD = "0005"  # the newest migration; a test holds it to what is in migrations/

metadata = sa.MetaData()

calls = sa.Table(
    "calls", metadata,
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("call", sa.Text, nullable=False, index=True),
    sa.Column("agent", sa.Text, nullable=False, default=""),
    sa.Column("direction", sa.Text, nullable=False, default=""),
    sa.Column("caller", sa.Text, nullable=False, default=""),  # masked
    sa.Column("called", sa.Text, nullable=False, default=""),
    sa.Column("caller_id", sa.Text, nullable=False, default="", index=True),  # a keyed hash
    sa.Column("called_id", sa.Text, nullable=False, default="", index=True),
    sa.Column("caller_number", sa.Text),  # in full: only with store.numbers
    sa.Column("called_number", sa.Text),
    sa.Column("carrier", sa.Text, nullable=False, default=""),
    sa.Column("provider", sa.Text, nullable=False, default=""),
    sa.Column("model", sa.Text, nullable=False, default=""),
    sa.Column("state", sa.Text, nullable=False),  # running, ended, died
    sa.Column("server", sa.Text, nullable=False, default="", index=True),
    sa.Column("began_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("seconds", sa.Float),
    sa.Column("verdict", sa.Text, nullable=False, default=""),
    sa.Column("because", sa.Text, nullable=False, default=""),
    sa.Column("end_why", sa.Text, nullable=False, default=""),
    sa.Column("wanted", sa.Boolean),
    sa.Column("usd", sa.Float),  # what is known of the cost
    sa.Column("cost_unknown", sa.Text, nullable=False, default=""),  # what is not, by name
    sa.Column("recording", sa.Text, nullable=False, default=""),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.Column("summary", sa.Text),  # by a model, after the call
    sa.Column("summary_why", sa.Text, nullable=False, default=""),  # why there is none
    sa.Index("ix_calls_verdict_began_at", "verdict", "began_at"),  # lists are asked for by these, the newest first
    sa.Index("ix_calls_agent_began_at", "agent", "began_at"),
)  # fmt: skip


def _child(name: str, *columns: sa.Column[object]) -> sa.Table:
    """A table of what hangs on a call, in order."""
    return sa.Table(
        name, metadata,
        sa.Column("call_n", sa.Integer, sa.ForeignKey("calls.n", ondelete="CASCADE"), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        *columns,
    )  # fmt: skip


turns = _child(
    "turns",
    sa.Column("at_ms", sa.Float, nullable=False),
    sa.Column("end_ms", sa.Float),
    sa.Column("who", sa.Text, nullable=False),  # caller, agent, tool, act
    sa.Column("kind", sa.Text, nullable=False, default=""),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("struck", sa.Text, nullable=False, default=""),  # its end, which the caller never heard
    sa.Column("ms", sa.Integer),
    sa.Column("heard_ms", sa.Integer),
    sa.Column("estimated", sa.Boolean, nullable=False, default=False),
    sa.Column("final", sa.Boolean, nullable=False, default=True),
    sa.Column("language", sa.Text, nullable=False, default=""),
    sa.Column("item", sa.Text, nullable=False, default=""),
)

tool_runs = _child(
    "tool_runs",
    sa.Column("tool_id", sa.Text, nullable=False, default=""),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at_ms", sa.Float, nullable=False),
    sa.Column("ms", sa.Float),
    sa.Column("args_ok", sa.Boolean),
    sa.Column("outcome", sa.Text, nullable=False, default=""),  # empty: no end of it is on record
    sa.Column("out_bytes", sa.Integer),
    sa.Column("filler", sa.Boolean),
    sa.Column("retried", sa.Integer),
)

findings = _child(
    "findings",
    sa.Column("rule", sa.Text, nullable=False, index=True),
    sa.Column("boundary", sa.Text, nullable=False, default=""),
    sa.Column("proof", sa.Text, nullable=False, default=""),
    sa.Column("sentence", sa.Text, nullable=False, default=""),
    sa.Column("fix", sa.Text, nullable=False, default=""),
    sa.Column("line", sa.Integer),
)

latencies = _child(
    "latencies",
    sa.Column("kind", sa.Text, nullable=False),  # reply, barge-in, dial.dns and so on
    sa.Column("at_ms", sa.Float, nullable=False),
    sa.Column("ms", sa.Float, nullable=False),
)

usage = _child(
    "usage",
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("amount", sa.Float),
    sa.Column("usd", sa.Float),  # NULL: unknown, and why
    sa.Column("price", sa.Text, nullable=False, default=""),
    sa.Column("source", sa.Text, nullable=False, default=""),
    sa.Column("checked", sa.Text, nullable=False, default=""),
    sa.Column("why", sa.Text, nullable=False, default=""),
)

outbox = sa.Table(
    "outbox", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # calls.id: also when the call is erased
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # the receiver's proof that it is the same one again
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, default="queued", index=True),  # offhook/after/queue.py
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("queued_at", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("owner", sa.Text, nullable=False, default=""),  # the server that is at work on it
    sa.UniqueConstraint("record", "hook"),
)  # fmt: skip

tokens = sa.Table(
    "tokens", metadata,
    sa.Column("id", sa.Text, primary_key=True),  # the first part of what was shown once
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),  # of the second part, which has 256 random bits: SHA-256 is enough
    sa.Column("scopes", sa.Text, nullable=False),  # with spaces between
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("until_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
)  # fmt: skip

# Calls that are to be placed. ``number`` is empty once one is over; by ``called_id`` erasure finds it here too.
queue = sa.Table(
    "queue", metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("number", "called", "agent", "options")),
    sa.Column("called_id", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("most_tries", sa.Integer, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False, index=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("call", "status", "detail", "server")),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
)  # fmt: skip

# Whom nobody calls. No column that erasure looks for: erasing a caller does not undo their wish.
do_not_call = sa.Table(
    "do_not_call", metadata,
    sa.Column("number_id", sa.Text, primary_key=True),
    sa.Column("number_masked", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("added_at", sa.BigInteger, nullable=False),
)  # fmt: skip

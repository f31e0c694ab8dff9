"""Calls, what was said and done in them, what they cost, and what is to be told of them. Revision 0001, 2026-11-25."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _calls()
    _of_a_call()
    _outbox()
    _words()


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("call", sa.Text, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "direction", "caller", "called")),
        sa.Column("caller_id", sa.Text, nullable=False, index=True),
        sa.Column("called_id", sa.Text, nullable=False, index=True),
        sa.Column("caller_number", sa.Text),
        sa.Column("called_number", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("carrier", "provider", "model", "state")),
        sa.Column("server", sa.Text, nullable=False, index=True),
        sa.Column("began_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("seconds", sa.Float),
        sa.Column("verdict", sa.Text, nullable=False, index=True),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("end_why", sa.Text, nullable=False),
        sa.Column("wanted", sa.Boolean),
        sa.Column("usd", sa.Float),
        sa.Column("cost_unknown", sa.Text, nullable=False),
        sa.Column("recording", sa.Text, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
    )


def _child(name: str, *columns: "sa.Column[Any]") -> None:
    op.create_table(
        name,
        sa.Column("call_n", sa.Integer, sa.ForeignKey("calls.n", ondelete="CASCADE"), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        *columns,
    )


def _of_a_call() -> None:
    _child(
        "turns",
        sa.Column("at_ms", sa.Float, nullable=False),
        sa.Column("end_ms", sa.Float),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("who", "kind", "text", "struck")),
        sa.Column("ms", sa.Integer),
        sa.Column("heard_ms", sa.Integer),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("language", "item")),
    )
    _child(
        "tool_runs",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tool_id", "name")),
        sa.Column("at_ms", sa.Float, nullable=False),
        sa.Column("ms", sa.Float),
        sa.Column("args_ok", sa.Boolean),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("out_bytes", sa.Integer),
        sa.Column("filler", sa.Boolean),
        sa.Column("retried", sa.Integer),
    )
    _child(
        "findings",
        sa.Column("rule", sa.Text, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("boundary", "proof", "sentence", "fix")),
        sa.Column("line", sa.Integer),
    )
    _child(
        "latencies",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at_ms", sa.Float, nullable=False),
        sa.Column("ms", sa.Float, nullable=False),
    )
    _child(
        "usage",
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("amount", sa.Float),
        sa.Column("usd", sa.Float),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("price", "source", "checked", "why")),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("call", "record", "hook")),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("record", "hook"),
    )


def _words() -> None:
    """What was said, for searching: SQLite's full text, or a column with its index in Postgres."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'unicode61 remove_diacritics 2')")
        return
    op.create_table(
        "words",
        sa.Column("rowid", sa.Integer, sa.ForeignKey("calls.n", ondelete="CASCADE"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.execute("CREATE INDEX words_text ON words USING gin (to_tsvector('simple', text))")

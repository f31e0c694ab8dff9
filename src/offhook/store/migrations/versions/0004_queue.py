"""Calls that are to be placed, and numbers that are never called. Revision 0004, 2026-11-25."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "queue",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("number", "called", "agent", "options")),
        sa.Column("called_id", sa.Text, nullable=False, index=True),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("most_tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("call", "status", "detail", "server")),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "do_not_call",
        sa.Column("number_id", sa.Text, primary_key=True),
        sa.Column("number_masked", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
    )

"""Who is at work on what is told of a call, and its summary. Revision 0003, 2026-11-25."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("owner", sa.Text, nullable=False, server_default=""))
    op.add_column("calls", sa.Column("summary", sa.Text))
    op.add_column("calls", sa.Column("summary_why", sa.Text, nullable=False, server_default=""))

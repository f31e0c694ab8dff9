"""Who may use the API: tokens by hash."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "hash", "scopes")),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in ("until_at", "revoked_at")),
    )

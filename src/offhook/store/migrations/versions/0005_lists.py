"""Lists of calls by verdict and by agent, the newest first, without sorting all of them. Revision 0005, 2026-11-26."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_index("ix_calls_verdict", "calls")
    op.create_index("ix_calls_verdict_began_at", "calls", ["verdict", "began_at"])
    op.create_index("ix_calls_agent_began_at", "calls", ["agent", "began_at"])

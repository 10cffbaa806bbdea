"""Which arrivals the last attempt had seen, so that a correction is never taken for tried.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE promise ADD COLUMN tried BIGINT[]")


def downgrade() -> None:
    op.execute("ALTER TABLE promise DROP COLUMN tried")

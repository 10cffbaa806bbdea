"""The answers kept under Idempotency-Keys.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE idempotency_key (
    tenant SMALLINT NOT NULL,
    key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    status SMALLINT NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    kept_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT idempotency_key_once PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_key_kept_at ON idempotency_key (kept_at);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_key")

"""What would follow if a code meant something: tried on all patients, and kept until that is decided.

Revision ID: 0024
Revises: 0023
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE preview (
    tenant SMALLINT NOT NULL,
    id TEXT NOT NULL,
    source TEXT[] NOT NULL,
    target TEXT[] NOT NULL,
    gives BOOLEAN NOT NULL,
    asked_by TEXT NOT NULL,
    maps TEXT NOT NULL,
    patients TEXT[] NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    lease_until TIMESTAMP WITH TIME ZONE,
    leased_by UUID,
    retry_at TIMESTAMP WITH TIME ZONE,
    failed_reason TEXT,
    ended_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX preview_unfinished ON preview (tenant, asked_at) WHERE ended_at IS NULL;
CREATE TABLE preview_effect (
    tenant SMALLINT NOT NULL,
    preview TEXT NOT NULL,
    number INTEGER NOT NULL,
    patient TEXT NOT NULL,
    effects TEXT NOT NULL,
    failed TEXT,
    PRIMARY KEY (tenant, preview, number)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE preview, preview_effect")

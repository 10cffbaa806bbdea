"""Two records of one person that are joined, and what was moved, so that it can be undone.

Revision ID: 0021
Revises: 0020
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE joining (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    who TEXT NOT NULL,
    run UUID NOT NULL,
    mark BIGINT NOT NULL,
    added TEXT NOT NULL,
    plans TEXT NOT NULL DEFAULT '[]',
    parted_at TIMESTAMP WITH TIME ZONE,
    parted_by TEXT
);
CREATE UNIQUE INDEX joining_standing ON joining (tenant, source) WHERE parted_at IS NULL;
CREATE INDEX joining_of_target ON joining (tenant, target) WHERE parted_at IS NULL;
CREATE TABLE joined_version (
    joining BIGINT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL,
    twin TEXT,
    twin_version INTEGER,
    CONSTRAINT joined_version_once PRIMARY KEY (joining, type, id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE joined_version")
    op.execute("DROP TABLE joining")

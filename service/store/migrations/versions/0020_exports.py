"""What a system asked to be written into files, and the files, in pieces.

Revision ID: 0020
Revises: 0019
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE export (
    tenant SMALLINT NOT NULL,
    id TEXT NOT NULL,
    caller TEXT NOT NULL,
    request TEXT NOT NULL,
    types TEXT[] NOT NULL,
    of_patients BOOLEAN NOT NULL,
    patients TEXT[],
    elements TEXT[] NOT NULL,
    since TIMESTAMP WITH TIME ZONE,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    counts TEXT,
    place INTEGER NOT NULL DEFAULT 0,
    reached_at TIMESTAMP WITH TIME ZONE,
    reached_seq BIGINT NOT NULL DEFAULT 0,
    gone BIGINT NOT NULL DEFAULT 0,
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
CREATE INDEX export_unfinished ON export (tenant, asked_at) WHERE ended_at IS NULL;
CREATE TABLE export_chunk (
    tenant SMALLINT NOT NULL,
    export TEXT NOT NULL,
    file INTEGER NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    lines INTEGER NOT NULL,
    size INTEGER NOT NULL,
    patients TEXT[] NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, export, file, number)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE export, export_chunk")

"""What is read from the hospital's FHIR server: how far, by which Subscriptions, and what became of it.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE source (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    hook_secret TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE,
    looked_at TIMESTAMP WITH TIME ZONE,
    found_at TIMESTAMP WITH TIME ZONE,
    missed INTEGER NOT NULL DEFAULT 0,
    missed_at TIMESTAMP WITH TIME ZONE,
    watched_at TIMESTAMP WITH TIME ZONE,
    lease_until TIMESTAMP WITH TIME ZONE,
    leased_by UUID,
    CONSTRAINT source_once PRIMARY KEY (tenant, server)
);
CREATE TABLE source_window (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    type TEXT NOT NULL,
    question TEXT NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    reached TIMESTAMP WITH TIME ZONE,
    asked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT source_window_once PRIMARY KEY (tenant, server, type)
);
CREATE TABLE hospital_subscription (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT,
    status TEXT NOT NULL DEFAULT '',
    answer TEXT,
    said TEXT NOT NULL DEFAULT '',
    since TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    renewals INTEGER NOT NULL DEFAULT 0,
    renewed_at TIMESTAMP WITH TIME ZONE,
    hooked_at TIMESTAMP WITH TIME ZONE,
    heard_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT hospital_subscription_once PRIMARY KEY (tenant, server, type)
);
CREATE TABLE origin (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    type TEXT NOT NULL,
    their_id TEXT NOT NULL,
    stamp TEXT NOT NULL,
    their_version TEXT,
    their_time TIMESTAMP WITH TIME ZONE,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    key BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT origin_once PRIMARY KEY (tenant, server, type, their_id, stamp)
);
CREATE INDEX origin_latest ON origin (tenant, server, type, their_id, key);
CREATE INDEX origin_of_version ON origin (tenant, server, type, id, version);
CREATE TABLE set_aside (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    type TEXT NOT NULL,
    their_id TEXT NOT NULL,
    stamp TEXT NOT NULL,
    reason TEXT NOT NULL,
    said TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 1,
    since TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    retry_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT set_aside_once PRIMARY KEY (tenant, server, type, their_id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE set_aside, origin, hospital_subscription, source_window, source")

"""Subscriptions of other systems, and the events they are told of.

What a node of the version before decides while the upgrade goes on raises no events; it stands in the record.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE subscription (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    body TEXT NOT NULL,
    secret TEXT NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE,
    heartbeat_s INTEGER,
    counting_since TIMESTAMP WITH TIME ZONE,
    numbered BIGINT NOT NULL DEFAULT 0,
    delivered BIGINT NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    slow BOOLEAN NOT NULL DEFAULT false,
    retry_at TIMESTAMP WITH TIME ZONE,
    lease_until TIMESTAMP WITH TIME ZONE,
    leased_by UUID,
    answer TEXT,
    http_status SMALLINT,
    tried_at TIMESTAMP WITH TIME ZONE,
    succeeded_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT subscription_identity UNIQUE (tenant, id)
);
CREATE INDEX subscription_of_owner ON subscription (tenant, owner, key);
CREATE TABLE subscription_event (
    subscription BIGINT NOT NULL,
    number BIGINT NOT NULL,
    topic TEXT NOT NULL,
    patient TEXT,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    numbered_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT subscription_event_numbered_once PRIMARY KEY (subscription, number)
);
CREATE INDEX subscription_event_numbered_at ON subscription_event (numbered_at);
CREATE TABLE raised_event (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    topic TEXT NOT NULL,
    patient TEXT,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    labels TEXT[] NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    raised_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE overdue_task (
    tenant SMALLINT NOT NULL,
    id TEXT NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT overdue_task_told_once PRIMARY KEY (tenant, id)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE subscription, subscription_event, raised_event, overdue_task")

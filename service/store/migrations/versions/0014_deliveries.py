"""What the hospital's FHIR server has of what the engine wrote, and how its answers were.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE delivery (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    patient TEXT NOT NULL,
    pending BOOLEAN NOT NULL,
    wanted BIGINT NOT NULL,
    tried BIGINT NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since TIMESTAMP WITH TIME ZONE,
    retry_at TIMESTAMP WITH TIME ZONE,
    lease_until TIMESTAMP WITH TIME ZONE,
    leased_by UUID,
    lost INTEGER NOT NULL DEFAULT 0,
    parked_at TIMESTAMP WITH TIME ZONE,
    answer TEXT,
    said TEXT NOT NULL DEFAULT '',
    bundle UUID,
    CONSTRAINT delivery_one_per_patient PRIMARY KEY (tenant, server, patient)
);
CREATE INDEX delivery_pending ON delivery (tenant, server, attempts, wanted) WHERE pending;
CREATE TABLE dispatch (
    bundle UUID NOT NULL PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    patient TEXT NOT NULL,
    versions TEXT[] NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    answer TEXT,
    status SMALLINT,
    answered_at TIMESTAMP WITH TIME ZONE,
    settled BOOLEAN NOT NULL DEFAULT false,
    ended BOOLEAN NOT NULL DEFAULT false,
    found TEXT[] NOT NULL DEFAULT '{}'
);
CREATE INDEX dispatch_of_patient ON dispatch (tenant, server, patient, sent_at);
CREATE INDEX dispatch_unsettled ON dispatch (tenant, server, patient) WHERE NOT settled;
CREATE INDEX dispatch_not_ended ON dispatch (tenant, server, patient) WHERE NOT ended;
CREATE TABLE delivered (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    their_version TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT delivered_once PRIMARY KEY (tenant, server, type, id)
);
CREATE TABLE circuit (
    tenant SMALLINT NOT NULL,
    server TEXT NOT NULL,
    purpose TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    open_until TIMESTAMP WITH TIME ZONE,
    answer TEXT,
    said TEXT NOT NULL DEFAULT '',
    succeeded_at TIMESTAMP WITH TIME ZONE,
    asked_at TIMESTAMP WITH TIME ZONE,
    skew_s DOUBLE PRECISION,
    CONSTRAINT circuit_one_per_purpose PRIMARY KEY (tenant, server, purpose)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE circuit, delivered, dispatch, delivery")

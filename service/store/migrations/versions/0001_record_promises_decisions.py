"""The record, the promises and the decisions.

What each column and each constraint is for is said in `service.store.tables`.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE SEQUENCE receipt_seq AS BIGINT;
CREATE TABLE arrival (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    patient TEXT NOT NULL,
    received timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    settles BOOLEAN NOT NULL,
    forced BOOLEAN NOT NULL,
    arrived_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (key)
);
CREATE INDEX arrival_of_patient ON arrival (tenant, kind, patient);
CREATE TABLE clock (
    one BOOLEAN DEFAULT true NOT NULL,
    now timestamptz,
    held BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (one),
    CONSTRAINT clock_one CHECK (one)
);
CREATE TABLE decision (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant SMALLINT NOT NULL,
    patient TEXT NOT NULL,
    pathway TEXT NOT NULL,
    instance TEXT NOT NULL,
    number INTEGER NOT NULL,
    at timestamptz NOT NULL,
    run UUID NOT NULL,
    rule TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    basis TEXT NOT NULL,
    PRIMARY KEY (key),
    CONSTRAINT decision_next UNIQUE (tenant, patient, pathway, instance, number)
);
CREATE INDEX decision_of_run ON decision (tenant, run);
CREATE TABLE heartbeat (
    process TEXT NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (process)
);
CREATE TABLE history (
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    patient TEXT,
    code TEXT[],
    date timestamptz,
    status TEXT,
    owned BOOLEAN NOT NULL,
    deleted BOOLEAN NOT NULL,
    received timestamptz NOT NULL,
    sender TEXT NOT NULL,
    digest BYTEA NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT history_version PRIMARY KEY (tenant, type, id, version)
);
CREATE INDEX history_of_patient ON history (tenant, patient);
CREATE TABLE promise (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    patient TEXT NOT NULL,
    due_at timestamptz,
    lease_until timestamptz,
    leased_by UUID,
    attempts INTEGER DEFAULT 0 NOT NULL,
    retry_at timestamptz,
    failed_reason TEXT,
    parked_at timestamptz,
    done_at timestamptz,
    PRIMARY KEY (key),
    CONSTRAINT promise_one_per_patient UNIQUE (tenant, kind, patient)
);
CREATE INDEX promise_due ON promise (due_at) WHERE due_at IS NOT NULL AND parked_at IS NULL;
CREATE INDEX promise_parked ON promise (tenant, parked_at) WHERE parked_at IS NOT NULL;
CREATE TABLE resource (
    key BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    patient TEXT,
    code TEXT[],
    date timestamptz,
    status TEXT,
    owned BOOLEAN NOT NULL,
    deleted BOOLEAN NOT NULL,
    received timestamptz NOT NULL,
    sender TEXT NOT NULL,
    digest BYTEA NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (key),
    CONSTRAINT resource_identity UNIQUE (tenant, type, id)
);
CREATE INDEX resource_of_patient ON resource (tenant, patient, type, seq);
CREATE INDEX resource_of_type ON resource (tenant, type, key) WHERE NOT deleted;
CREATE TABLE site_parameter (
    version BIGINT GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    who TEXT NOT NULL,
    values TEXT NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE search_value (
    key BIGINT NOT NULL,
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    system TEXT NOT NULL,
    value TEXT NOT NULL,
    FOREIGN KEY(key) REFERENCES resource (key) ON DELETE CASCADE
);
CREATE INDEX search_value_lookup ON search_value (tenant, type, name, value, system, key);
CREATE INDEX search_value_of_resource ON search_value (key);
"""

# A decision is never changed or removed on its own; only a sandbox empties the whole table.
APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'this table is append-only'; END $$;
CREATE TRIGGER decision_append_only BEFORE UPDATE OR DELETE ON decision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER site_parameter_append_only BEFORE UPDATE OR DELETE ON site_parameter
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(APPEND_ONLY)
    op.execute("INSERT INTO clock (one) VALUES (true)")


def downgrade() -> None:
    op.execute(
        "DROP TABLE resource, history, search_value, arrival, promise, decision, clock, site_parameter, "
        "heartbeat"
    )
    op.execute("DROP SEQUENCE receipt_seq")
    op.execute("DROP FUNCTION refuse_change()")

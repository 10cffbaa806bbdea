"""Who saw or did what, and a chain of hashes over it and over the decisions.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE access (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    place TEXT NOT NULL,
    reference TEXT,
    patients TEXT[] NOT NULL,
    status SMALLINT NOT NULL
);
CREATE INDEX access_of_patient ON access USING gin (patients);
CREATE TABLE seal (
    tenant SMALLINT NOT NULL,
    number INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    entries INTEGER NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (tenant, number)
);
CREATE TABLE sealed (
    tenant SMALLINT NOT NULL,
    source TEXT NOT NULL,
    key BIGINT NOT NULL,
    number INTEGER NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT sealed_once PRIMARY KEY (tenant, source, key)
);
CREATE INDEX sealed_of_link ON sealed (tenant, number);
CREATE TRIGGER access_append_only BEFORE UPDATE OR DELETE ON access
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE ON seal
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER sealed_append_only BEFORE UPDATE OR DELETE ON sealed
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE sealed, seal, access")

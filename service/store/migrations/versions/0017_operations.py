"""Values of a site changed on a page: why, and by which second person. What was sent. Plans by their kind.

Plans that are held or stand apart are counted by one value, like those that are open.

While the values are made nothing is written to `resource`, so that none is made for a plan that is being
changed. A plan that a node of the version before writes afterwards has its values from its next version on.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

HELD_AND_APART = """
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT key, tenant, type, CASE status WHEN 'active' THEN '_held' ELSE '_apart' END,
    coalesce(max(code) FILTER (WHERE url = 'https://w3id.org/hipway/StructureDefinition/pathway-side'), ''),
    coalesce(max(code) FILTER (WHERE url = 'https://w3id.org/hipway/StructureDefinition/pathway-stage'), '')
FROM (
    SELECT key, tenant, type, status, extension ->> 'url' AS url,
        extension #>> '{valueCoding,code}' AS code
    FROM (
        SELECT *, body::json -> 'extension' AS extensions FROM resource
        WHERE type = 'CarePlan' AND owned AND NOT deleted AND status IN ('active', 'on-hold', 'completed')
    ) AS r
    LEFT JOIN LATERAL json_array_elements(
        CASE json_typeof(extensions) WHEN 'array' THEN extensions ELSE '[]' END
    ) AS extension ON true
) AS said
GROUP BY key, tenant, type, status
HAVING status <> 'active'
    OR bool_or(url = 'https://w3id.org/hipway/StructureDefinition/pathway-hold')
"""


TABLES = """
ALTER TABLE site_parameter ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE site_parameter ADD COLUMN confirmed TEXT NOT NULL DEFAULT '';
CREATE TABLE site_proposal (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    who TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_by TEXT,
    outcome TEXT
);
CREATE UNIQUE INDEX site_proposal_waiting ON site_proposal (name) WHERE ended_at IS NULL;
CREATE TABLE sending (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    sender TEXT NOT NULL,
    interaction TEXT NOT NULL,
    status SMALLINT NOT NULL,
    entries INTEGER,
    refused INTEGER NOT NULL,
    patients TEXT[] NOT NULL,
    stored TEXT[] NOT NULL,
    repeated BOOLEAN NOT NULL
);
CREATE INDEX sending_of_sender ON sending (tenant, sender, at);
CREATE INDEX sending_at ON sending (at);
CREATE INDEX access_at ON access (tenant, at);
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute("LOCK TABLE resource IN SHARE ROW EXCLUSIVE MODE")
    op.execute(HELD_AND_APART)


def downgrade() -> None:
    op.execute("DELETE FROM search_value WHERE type = 'CarePlan' AND name IN ('_held', '_apart')")
    op.execute("DROP TABLE site_proposal, sending")
    op.execute("DROP INDEX access_at")
    op.execute("ALTER TABLE site_parameter DROP COLUMN reason, DROP COLUMN confirmed")

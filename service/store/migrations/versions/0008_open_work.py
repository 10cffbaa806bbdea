"""Find what is open without going through all that ever was, and a plan by its stage and side.

On a large installation the owner may build the indexes beforehand, by the same statements
with CREATE INDEX CONCURRENTLY; this step then finds them there. Otherwise nothing is written
to `resource` while they are built. A plan that a node of the version before writes after this
step is found by its stage from its next version on.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX IF NOT EXISTS resource_of_work ON resource (tenant, type, status, key)
    WHERE owned AND NOT deleted AND type IN ('CarePlan', 'Task');
CREATE INDEX IF NOT EXISTS resource_of_engine ON resource (tenant, seq) WHERE owned;
"""

VALUES = """
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT DISTINCT key, tenant, type,
    CASE extension ->> 'url' WHEN 'https://w3id.org/hipway/StructureDefinition/pathway-stage'
        THEN '_stage' ELSE '_side' END,
    coalesce(extension #>> '{valueCoding,system}', ''), extension #>> '{valueCoding,code}'
FROM (
    SELECT *, body::json -> 'extension' AS extensions FROM resource WHERE type = 'CarePlan' AND NOT deleted
) AS r
CROSS JOIN LATERAL json_array_elements(
    CASE json_typeof(extensions) WHEN 'array' THEN extensions ELSE '[]' END
) AS extension
WHERE extension ->> 'url' IN (
    'https://w3id.org/hipway/StructureDefinition/pathway-stage',
    'https://w3id.org/hipway/StructureDefinition/pathway-side'
) AND extension #>> '{valueCoding,code}' IS NOT NULL
"""


def upgrade() -> None:
    op.execute(INDEXES)
    op.execute(VALUES)


def downgrade() -> None:
    op.execute("DELETE FROM search_value WHERE type = 'CarePlan' AND name IN ('_stage', '_side')")
    op.execute("DROP INDEX resource_of_engine")
    op.execute("DROP INDEX resource_of_work")

"""Find and count the open plans of a stage and a side by one value, not by two that have to be joined.

A plan that a node of the version before writes after this step is found by its stage and side from its
next version on; in the list of all open plans it is at once. While the values are made nothing is
written to `resource`, so that none is made for a plan that is being closed.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPEN = """
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT key, tenant, type, '_open',
    coalesce(max(code) FILTER (WHERE url = 'https://w3id.org/hipway/StructureDefinition/pathway-side'), ''),
    coalesce(max(code) FILTER (WHERE url = 'https://w3id.org/hipway/StructureDefinition/pathway-stage'), '')
FROM (
    SELECT key, tenant, type, extension ->> 'url' AS url, extension #>> '{valueCoding,code}' AS code
    FROM (
        SELECT *, body::json -> 'extension' AS extensions FROM resource
        WHERE type = 'CarePlan' AND owned AND NOT deleted AND status = 'active'
    ) AS r
    LEFT JOIN LATERAL json_array_elements(
        CASE json_typeof(extensions) WHEN 'array' THEN extensions ELSE '[]' END
    ) AS extension ON true
) AS said
GROUP BY key, tenant, type
"""

#: as the version before finds them
SEPARATE = """
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
    op.execute("LOCK TABLE resource IN SHARE ROW EXCLUSIVE MODE")
    op.execute("DELETE FROM search_value WHERE type = 'CarePlan' AND name IN ('_stage', '_side', '_open')")
    op.execute(OPEN)


def downgrade() -> None:
    op.execute("DELETE FROM search_value WHERE type = 'CarePlan' AND name = '_open'")
    op.execute(SEPARATE)

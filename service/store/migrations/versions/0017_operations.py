"""Plans that are held or stand apart are counted by one value, like those that are open.

While the values are made nothing is written to `resource`, so that none is made for a plan that is being
changed. A plan that a node of the version before writes afterwards has its values from its next version on.

Revision ID: 0017
Revises: 0012
"""

from alembic import op

revision = "0017"
down_revision = "0012"
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


def upgrade() -> None:
    op.execute("LOCK TABLE resource IN SHARE ROW EXCLUSIVE MODE")
    op.execute(HELD_AND_APART)


def downgrade() -> None:
    op.execute("DELETE FROM search_value WHERE type = 'CarePlan' AND name IN ('_held', '_apart')")

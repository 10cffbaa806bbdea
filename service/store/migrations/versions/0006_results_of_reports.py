"""Find a report by its results, so that a hospital's own code hides none from the rules.

A report that a node of the version before writes after this step is found so from its next version on.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VALUES = """
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT DISTINCT key, tenant, type, 'result', '', split_part(result ->> 'reference', '/_history/', 1)
FROM (
    SELECT *, body::json -> 'result' AS results FROM resource WHERE type = 'DiagnosticReport' AND NOT deleted
) AS r
CROSS JOIN LATERAL json_array_elements(
    CASE json_typeof(results) WHEN 'array' THEN results ELSE '[]' END
) AS result
WHERE result ->> 'reference' IS NOT NULL
"""


def upgrade() -> None:
    op.execute(VALUES)


def downgrade() -> None:
    op.execute("DELETE FROM search_value WHERE type = 'DiagnosticReport' AND name = 'result'")

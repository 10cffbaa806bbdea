"""Find what a patient has of a code without going through everything else the patient has.

On a large installation the owner may build these indexes beforehand, by the same statements
with CREATE INDEX CONCURRENTLY; this step then finds them there. Otherwise nothing is written
to `resource` while they are built.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX IF NOT EXISTS resource_of_patient_code_1 ON resource (tenant, patient, (code[1]))
    WHERE type IN ('Observation', 'Procedure', 'DiagnosticReport') AND code[1] IS NOT NULL;
CREATE INDEX IF NOT EXISTS resource_of_patient_code_2 ON resource (tenant, patient, (code[2]))
    WHERE type IN ('Observation', 'Procedure', 'DiagnosticReport') AND code[2] IS NOT NULL;
CREATE INDEX IF NOT EXISTS resource_of_patient_code_3 ON resource (tenant, patient, (code[3]))
    WHERE type IN ('Observation', 'Procedure', 'DiagnosticReport') AND code[3] IS NOT NULL;
CREATE INDEX IF NOT EXISTS resource_of_patient_more_codes ON resource (tenant, patient)
    WHERE type IN ('Observation', 'Procedure', 'DiagnosticReport') AND cardinality(code) > 3;
"""


def upgrade() -> None:
    op.execute(INDEXES)


def downgrade() -> None:
    for name in ("code_1", "code_2", "code_3", "more_codes"):
        op.execute(f"DROP INDEX resource_of_patient_{name}")

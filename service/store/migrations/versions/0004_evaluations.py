"""What an evaluation read, so that its decisions can be made again.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE evaluation (
    tenant SMALLINT NOT NULL,
    run UUID NOT NULL,
    patient TEXT NOT NULL,
    read BIGINT[] NOT NULL,
    CONSTRAINT evaluation_once PRIMARY KEY (tenant, run)
);
CREATE TRIGGER evaluation_append_only BEFORE UPDATE OR DELETE ON evaluation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE evaluation")

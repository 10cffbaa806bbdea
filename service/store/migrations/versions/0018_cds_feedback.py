"""What became of the cards of CDS Hooks.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE cds_feedback (
    tenant SMALLINT NOT NULL,
    service TEXT NOT NULL,
    card UUID NOT NULL,
    outcome_at TIMESTAMP WITH TIME ZONE NOT NULL,
    outcome TEXT NOT NULL,
    sender TEXT NOT NULL,
    suggestions TEXT[] NOT NULL,
    reason_system TEXT,
    reason_code TEXT,
    received TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant, service, card, outcome_at, outcome, sender)
);
CREATE TRIGGER cds_feedback_append_only BEFORE UPDATE OR DELETE ON cds_feedback
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE cds_feedback")

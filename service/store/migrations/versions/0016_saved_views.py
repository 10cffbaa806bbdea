"""Views of the worklist that people saved under names of their own, and who opened what last.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE saved_view (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT saved_view_name UNIQUE (tenant, person, name)
);
CREATE INDEX access_of_reader ON access (tenant, who, place, key);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE saved_view; DROP INDEX access_of_reader")

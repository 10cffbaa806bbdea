"""Find the versions of a type by their time, and say which of them a POST has created.

A version that a node of the release before writes after this step is not noted as posted: its history
then says PUT, which has the same effect. On a large installation the owner may build the indexes
beforehand, by the same statements with CREATE INDEX CONCURRENTLY; this step then finds them there.
Otherwise nothing is written to `resource` while they are built.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE resource ADD COLUMN posted BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE history ADD COLUMN posted BOOLEAN DEFAULT false NOT NULL;
CREATE INDEX IF NOT EXISTS resource_of_time ON resource (tenant, type, received, seq)
    WHERE seq > 0;
CREATE INDEX IF NOT EXISTS history_of_time ON history (tenant, type, received, seq)
    WHERE seq > 0;
"""

DOWN = """
DROP INDEX resource_of_time;
DROP INDEX history_of_time;
ALTER TABLE resource DROP COLUMN posted;
ALTER TABLE history DROP COLUMN posted;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

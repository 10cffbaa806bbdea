"""Find the Tasks that were closed today without going through all that ever were.

On a large installation the owner may build the index beforehand, by the same statement with CREATE INDEX
CONCURRENTLY; this step then finds it there. Otherwise nothing is written to `resource` while it is built.

Revision ID: 0023
Revises: 0022
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

INDEX = """
CREATE INDEX IF NOT EXISTS resource_of_task_time ON resource (tenant, received)
    WHERE owned AND NOT deleted AND type = 'Task';
"""


def upgrade() -> None:
    op.execute(INDEX)


def downgrade() -> None:
    op.execute("DROP INDEX resource_of_task_time")

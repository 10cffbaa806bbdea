"""How far what is stored was brought in line with the ConceptMaps of the site.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE retranslation (
    tenant SMALLINT PRIMARY KEY,
    maps TEXT NOT NULL,
    reached BIGINT NOT NULL,
    until BIGINT NOT NULL,
    changed INTEGER NOT NULL,
    looks SMALLINT NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE retranslation")

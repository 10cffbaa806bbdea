"""The words of narratives, by which `_text` searches.

Revision ID: 0026
Revises: 0025
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE search_narrative (
    key BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    words TSVECTOR NOT NULL
);
CREATE INDEX search_narrative_words ON search_narrative USING gin (words);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE search_narrative")
    # Who comes back finds the table empty, and must not take it for complete.
    op.execute("DELETE FROM reindexing")

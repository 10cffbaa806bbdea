"""A release after this one, for tests: our migrations and one more.

It adds what a release may add: a column without a default, a table of its own.
"""

import shutil
from pathlib import Path

from service.store import schema

REVISION = f"{int(schema.head()) + 1:04d}"

STEP = f'''"""What the next release adds."""

from alembic import op

revision = "{REVISION}"
down_revision = "{schema.head()}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE resource ADD COLUMN origin TEXT")
    op.execute("CREATE TABLE next_release (key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note TEXT)")


def downgrade() -> None:
    op.execute("ALTER TABLE resource DROP COLUMN origin")
    op.execute("DROP TABLE next_release")
'''


def migrations(folder: Path) -> Path:
    """Write the migrations of the next release into a folder, and return it."""
    made = shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (Path(made) / "versions" / f"{REVISION}_next_release.py").write_text(STEP)
    return Path(made)

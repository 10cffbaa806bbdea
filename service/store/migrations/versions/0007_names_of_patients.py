"""Find a patient by name and birth date.

One that a node of the version before writes after this step is found so from its next version on.

Revision ID: 0007
Revises: 0006
"""

import json
import re
import unicodedata
from collections.abc import Iterator

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROWS = 1000

NAMES = "('family', 'given', 'birthdate')"


def upgrade() -> None:
    connection = op.get_bind()
    last = 0
    while rows := connection.execute(
        text(
            "SELECT key, tenant, body FROM resource "
            "WHERE type = 'Patient' AND NOT deleted AND key > :last ORDER BY key LIMIT :rows"
        ),
        {"last": last, "rows": ROWS},
    ).all():
        last = rows[-1].key
        values = [
            {"key": row.key, "tenant": row.tenant, "name": name, "value": value}
            for row in rows
            for name, value in sorted(set(_values(json.loads(row.body))))
        ]
        if values:
            connection.execute(
                text(
                    "INSERT INTO search_value (key, tenant, type, name, system, value) "
                    "VALUES (:key, :tenant, 'Patient', :name, '', :value)"
                ),
                values,
            )


def downgrade() -> None:
    op.execute(f"DELETE FROM search_value WHERE type = 'Patient' AND name IN {NAMES}")  # noqa: S608


def _values(patient: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what this version finds a patient by: kept here, whatever later versions make of it."""
    if isinstance(born := patient.get("birthDate"), str):
        yield "birthdate", born
    names = patient.get("name")
    for name in names if isinstance(names, list) else []:
        family, given = name.get("family"), name.get("given", [])
        written = [("family", family)] if family else []
        written += [("given", part) for part in (" ".join(filter(None, given)), *filter(None, given)) if part]
        if not written and name.get("text"):
            written = [("family", name["text"]), ("given", name["text"])]
        for kind, words in written:
            plain = (c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
            folded = " ".join("".join(plain).casefold().split())
            for word in re.finditer(r"\b\w", folded):
                yield kind, folded[word.start() :]

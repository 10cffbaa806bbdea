"""What a person had written when the sign-in ended: kept for that person alone, for a while."""

import json
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection, text

#: as long as the form itself can be posted
LASTS = timedelta(hours=12)

PURGED_AT_ONCE = 500


def keep(tx: Connection, practitioner: str, path: str, fields: Mapping[str, str], *, tenant: int) -> None:
    """Keep the fields of a form; of one person only the newest are kept.

    Args:
        path: of the page that the form stands on.
    """
    statement = """
        INSERT INTO kept_form (tenant, practitioner, path, fields)
        VALUES (:tenant, :practitioner, :path, :fields)
        ON CONFLICT (tenant, practitioner)
        DO UPDATE SET path = excluded.path, fields = excluded.fields, kept_at = clock_timestamp()
    """
    values = {"tenant": tenant, "practitioner": practitioner, "path": path}
    tx.execute(text(statement), {**values, "fields": json.dumps(dict(fields))})


def find(tx: Connection, practitioner: str, path: str, *, tenant: int) -> Mapping[str, str] | None:
    """Return what this person had written on this page."""
    statement = """
        SELECT fields FROM kept_form WHERE tenant = :tenant AND practitioner = :practitioner AND path = :path
            AND kept_at > clock_timestamp() - :lasts
    """
    values = {"tenant": tenant, "practitioner": practitioner, "path": path, "lasts": LASTS}
    fields = tx.execute(text(statement), values).scalar_one_or_none()
    return json.loads(fields) if fields else None


def forget(tx: Connection, practitioner: str, path: str, *, tenant: int) -> None:
    """Forget what was kept for a page: it is decided."""
    statement = """
        DELETE FROM kept_form WHERE tenant = :tenant AND practitioner = :practitioner AND path = :path
    """
    tx.execute(text(statement), {"tenant": tenant, "practitioner": practitioner, "path": path})


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove what is too old; return how many."""
    statement = """
        DELETE FROM kept_form WHERE (tenant, practitioner) IN (
            SELECT tenant, practitioner FROM kept_form WHERE kept_at < clock_timestamp() - :lasts LIMIT :limit
            FOR UPDATE SKIP LOCKED
        )
    """
    return tx.execute(text(statement), {"lasts": LASTS, "limit": limit}).rowcount

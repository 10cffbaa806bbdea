"""Records that were found to be of one person: which was joined with which, and what was moved.

A joining holds until it is parted. What is here is what the service goes by; the links of the two
Patients say the same to others.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store.driver import raw
from service.store.resources import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Two records that are one."""

    key: int
    #: the ids of Patients: what is about the source is kept for the target
    source: str
    target: str
    #: service clock
    at: datetime
    who: str
    #: of the decisions that were written with it
    run: UUID
    #: the highest `resource.key` then
    mark: int
    #: JSON: what the Patient that stays was given
    added: str
    #: JSON: how each plan was joined
    plans: str


class Moved(NamedTuple):
    """One resource that was moved from one record to the other."""

    type: str
    id: str
    #: its version before, and the one that was written
    before: int
    after: int
    #: the id of the same fact of the other record, which was kept in its place
    twin: str | None = None
    #: the version that was kept
    twin_version: int | None = None

    @property
    def identity(self) -> Identity:
        """Return type and id."""
        return self.type, self.id


_COLUMNS = "key, source, target, at, who, run, mark, added, plans"
_OF = f"SELECT {_COLUMNS} FROM joining WHERE tenant = %s AND parted_at IS NULL"  # noqa: S608 - a constant


def ask(
    tx: Connection, patients: Collection[str], *, tenant: int
) -> Callable[[], tuple[dict[str, Joining], dict[str, list[Joining]]]]:
    """Ask which of the patients were joined, and return how to get it after a block of `together`.

    Returns:
        by the id of the source, what it was joined into; and by that of the target, oldest first.
    """
    ids = sorted(patients)
    if not ids:
        return lambda: ({}, {})
    cursor = raw(tx).cursor(row_factory=class_row(Joining))
    cursor.execute(f"{_OF} AND (source = ANY(%s) OR target = ANY(%s)) ORDER BY key", [tenant, ids, ids])

    def answer() -> tuple[dict[str, Joining], dict[str, list[Joining]]]:
        into: dict[str, Joining] = {}
        of: dict[str, list[Joining]] = {}
        for joining in cursor:
            if joining.source in ids:
                into[joining.source] = joining
            if joining.target in ids:
                of.setdefault(joining.target, []).append(joining)
        return into, of

    return answer


def into(tx: Connection, source: str, *, tenant: int) -> Joining | None:
    """Return what the record was joined into; None where it stands for itself."""
    return ask(tx, [source], tenant=tenant)()[0].get(source)


def of(tx: Connection, target: str, *, tenant: int) -> list[Joining]:
    """Return what was joined into the record and holds, the oldest first."""
    return ask_of(tx, target, tenant=tenant)()


def ask_of(tx: Connection, target: str, *, tenant: int) -> Callable[[], list[Joining]]:
    """Ask for what `of` returns, and return how to get it after the end of a block of `together`."""
    answer = ask(tx, [target], tenant=tenant)
    return lambda: answer()[1].get(target, [])


def last(tx: Connection, patient: str, *, tenant: int) -> str:
    """Return the record that holds what is about the patient, however often records were joined."""
    while joining := into(tx, patient, tenant=tenant):
        patient = joining.target
    return patient


def begin(
    tx: Connection,
    source: str,
    target: str,
    *,
    tenant: int,
    at: datetime,
    who: str,
    run: UUID,
    added: Any,
) -> int:
    """Note that two records are one from now on, and return the key of it.

    Raises:
        psycopg.errors.UniqueViolation: the source was joined already.
    """
    row = raw(tx).execute(
        "INSERT INTO joining (tenant, source, target, at, who, run, added, mark) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, (SELECT coalesce(max(key), 0) FROM resource)) RETURNING key",
        [tenant, source, target, at, who, run, _json(added)],
    )
    found = row.fetchone()
    assert found is not None
    return int(found[0])


def note(tx: Connection, key: int, moved: Sequence[Moved], plans: Any) -> None:
    """Note what was moved, and how each plan was joined."""
    with raw(tx).cursor() as cursor:
        cursor.executemany(
            "INSERT INTO joined_version (joining, type, id, before, after, twin, twin_version) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(key, *one) for one in moved],
        )
    raw(tx).execute("UPDATE joining SET plans = %s WHERE key = %s", [_json(plans), key])


def moved(tx: Connection, key: int) -> list[Moved]:
    """Return what was moved, in the order of type and id."""
    with raw(tx).cursor(row_factory=class_row(Moved)) as cursor:
        cursor.execute(
            "SELECT type, id, before, after, twin, twin_version FROM joined_version WHERE joining = %s "
            "ORDER BY type, id",
            [key],
        )
        return cursor.fetchall()


def part(tx: Connection, key: int, *, at: datetime, who: str) -> None:
    """Note that the two are apart again."""
    raw(tx).execute("UPDATE joining SET parted_at = %s, parted_by = %s WHERE key = %s", [at, who, key])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

"""The record: resources with all their versions, read here and written by `save`."""

from collections.abc import Collection, Sequence
from typing import Any

from psycopg.rows import class_row, dict_row
from sqlalchemy import Connection

from service.store.writing import (
    COLUMNS,
    Head,
    Identity,
    Stored,
    VersionConflict,
    Write,
    lock_identities,
    raw,
    save,
    stored,
)

__all__ = [
    "Head",
    "Identity",
    "Name",
    "Stored",
    "VersionConflict",
    "Write",
    "by_identifier",
    "by_value",
    "current",
    "heads",
    "history",
    "lock",
    "lock_identities",
    "of_patient",
    "save",
    "version",
]

#: type, and system and value of an identifier
Name = tuple[str, str, str]

HEAD = "type, id, version, patient, owned, received"


#: only these are narrowed by `codes`; all others are few
CODED = ("Observation", "Procedure", "DiagnosticReport")


def current(tx: Connection, type: str, id: str, *, tenant: int) -> Stored | None:
    """Return the current version; None if there never was one."""
    rows = _all(
        tx,
        f"SELECT {COLUMNS} FROM resource WHERE tenant = %s AND type = %s AND id = %s",  # noqa: S608
        [tenant, type, id],
    )
    return rows[0] if rows else None


def heads(tx: Connection, identities: Collection[Identity], *, tenant: int) -> dict[Identity, Head]:
    """Return what is known of the current versions of those that exist, without their bodies."""
    if not identities:
        return {}
    ordered = sorted(identities)
    with raw(tx).cursor(row_factory=class_row(Head)) as cursor:
        cursor.execute(
            f"SELECT {HEAD} FROM resource WHERE tenant = %s AND (type, id) IN "  # noqa: S608
            "(SELECT * FROM unnest(%s::text[], %s::text[])) AND NOT deleted",
            [tenant, [type_ for type_, _ in ordered], [id_ for _, id_ in ordered]],
        )
        return {head.identity: head for head in cursor}


def lock(tx: Connection, identities: Collection[Identity], *, tenant: int) -> dict[Identity, Stored]:
    """Return the current versions, which nobody changes until this transaction ends."""
    if not identities:
        return {}
    ordered = sorted(identities)
    rows = _all(
        tx,
        f"SELECT {COLUMNS} FROM resource WHERE tenant = %s AND (type, id) IN "  # noqa: S608
        '(SELECT * FROM unnest(%s::text[], %s::text[])) ORDER BY type COLLATE "C", id COLLATE "C" FOR UPDATE',
        [tenant, [type_ for type_, _ in ordered], [id_ for _, id_ in ordered]],
    )
    return {(row.type, row.id): row for row in rows}


def version(
    tx: Connection,
    type: str,
    id: str,
    version: int,
    *,
    tenant: int,
) -> Stored | None:
    """Return one version, current or superseded."""
    key = [tenant, type, id, version]
    where = "WHERE tenant = %s AND type = %s AND id = %s AND version = %s"
    rows = _all(
        tx,
        f"SELECT {COLUMNS} FROM resource {where} UNION ALL SELECT {COLUMNS} FROM history {where}",  # noqa: S608
        [*key, *key],
    )
    return rows[0] if rows else None


def history(tx: Connection, type: str, id: str, *, tenant: int) -> list[Stored]:
    """Return every version, newest first; empty if there never was one."""
    key = [tenant, type, id]
    where = "WHERE tenant = %s AND type = %s AND id = %s"
    return _all(
        tx,
        f"SELECT {COLUMNS} FROM resource {where} UNION ALL SELECT {COLUMNS} FROM history {where} "  # noqa: S608
        "ORDER BY version DESC",
        [*key, *key],
    )


def of_patient(
    tx: Connection,
    patient: str,
    *,
    tenant: int,
    types: Sequence[str],
    codes: Collection[tuple[str, str]] | None = None,
    owned: bool | None = None,
) -> list[Stored]:
    """Return the current versions of the patient's resources, in the order of receipt.

    Args:
        patient: the id alone.
        codes: system and code of which an Observation, Procedure or DiagnosticReport must have one.
        owned: only what the engine made, or only what it did not.
    """
    conditions = ["tenant = %s", "patient = %s", "type = ANY(%s)", "NOT deleted"]
    parameters: list[Any] = [tenant, patient, list(types)]
    if codes is not None:
        conditions.append("(type <> ALL(%s) OR code && %s::text[])")
        parameters += [list(CODED), [f"{system}|{code}" for system, code in codes]]
    if owned is not None:
        conditions.append("owned = %s")
        parameters.append(owned)
    return _all(
        tx,
        f"SELECT {COLUMNS} FROM resource WHERE {' AND '.join(conditions)} ORDER BY seq",  # noqa: S608
        parameters,
    )


def by_identifier(tx: Connection, names: Collection[Name], *, tenant: int) -> dict[Name, list[Head]]:
    """Return, for each (type, system, value) of an identifier, the resources that carry it."""
    return by_value(tx, names, tenant=tenant, parameter="identifier")


def by_value(
    tx: Connection, names: Collection[Name], *, tenant: int, parameter: str
) -> dict[Name, list[Head]]:
    """Return, for each (type, system, value), what is found by it, in the order of receipt."""
    if not names:
        return {}
    ordered = sorted(names)
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"SELECT s.system, s.value, {', '.join(f'r.{c}' for c in HEAD.split(', '))} "  # noqa: S608
            "FROM unnest(%s::text[], %s::text[], %s::text[]) AS n (type, system, value) "
            "JOIN search_value s ON s.tenant = %s AND s.type = n.type AND s.name = %s "
            "AND s.value = n.value AND s.system = n.system JOIN resource r USING (key) "
            "WHERE NOT r.deleted ORDER BY r.seq",
            [*(list(column) for column in zip(*ordered, strict=True)), tenant, parameter],
        )
        found: dict[Name, list[Head]] = {}
        for row in cursor:
            name = (row["type"], row.pop("system"), row.pop("value"))
            found.setdefault(name, []).append(Head(**row))
        return found


def _all(tx: Connection, statement: str, parameters: list[Any]) -> list[Stored]:
    with raw(tx).cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement, parameters)
        return [stored(row) for row in cursor]

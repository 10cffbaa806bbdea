"""The record: resources with all their versions, read here and written by `save`."""

from collections.abc import Callable, Collection, Sequence, Set
from functools import lru_cache
from typing import Any

from psycopg.adapt import PyFormat, Transformer
from psycopg.rows import class_row
from sqlalchemy import Connection

from service.store import search_index
from service.store.driver import raw, together
from service.store.tables import CODED, CODINGS, OF_CODED
from service.store.versions import as_json
from service.store.writing import (
    COLUMNS,
    HEAD,
    LOOK_UP,
    Current,
    Head,
    Identity,
    Prepared,
    Stored,
    VersionConflict,
    Write,
    ask_to_write,
    each,
    lock_identities,
    lock_key,
    look_up,
    look_up_or_lock,
    look_up_parameters,
    preparing,
    save,
)

__all__ = [
    "Answer",
    "Current",
    "Found",
    "Head",
    "Identity",
    "IndexName",
    "Name",
    "Prepared",
    "Stored",
    "VersionConflict",
    "Write",
    "ask",
    "ask_all",
    "ask_of_patient",
    "ask_to_lock_missing",
    "ask_to_write",
    "by_identifier",
    "current",
    "find",
    "history",
    "keep",
    "lock",
    "lock_identities",
    "look_up",
    "look_up_or_lock",
    "of_patient",
    "preparing",
    "recall",
    "recall_all",
    "save",
    "senders",
    "version",
    "versions",
]

#: type, and system and value of an identifier
Name = tuple[str, str, str]

#: type, parameter, system and value
IndexName = tuple[str, str, str, str]

#: what exists by identity, and by indexed value
Found = tuple[dict[Identity, Current], dict[IndexName, list[Current]]]
Answer = Callable[[], Found]


CURRENT = each(COLUMNS)
_SENDERS = each("type, id, sender")
SUPERSEDED = COLUMNS.replace("key, ", "NULL AS key, ", 1)

#: Of a patient who has no more of the coded types all are read, and those without any of the codes left out:
#: to look for each code would cost more.
FEW = 64

# Each type, and each code, is one descent of an index: what else a patient has costs nothing. The
# fences of OFFSET 0 are those of `each`. What is not to be read PostgreSQL does not begin with.
_OF_PATIENT = "SELECT * FROM resource WHERE tenant = %(tenant)s AND patient = %(patient)s"
OF_TYPES = (
    "SELECT r.* FROM unnest(%(whole)s::text[]) AS n (type) "  # noqa: S608 - constants of this module
    f"CROSS JOIN LATERAL ({_OF_PATIENT} AND type = n.type OFFSET 0) AS r"
)
_FIRST = (
    f"SELECT r.* FROM unnest(ARRAY{list(CODED)}) AS n (type) "  # noqa: S608
    # In the order of its index, or all there is might be read to find a few.
    f"CROSS JOIN LATERAL ({_OF_PATIENT} AND type = n.type ORDER BY seq LIMIT {FEW + 1}) AS r LIMIT {FEW + 1}"
)
_ARE_FEW = f"(SELECT count(*) <= {FEW} FROM first_of_coded)"  # noqa: S608
_OF_FEW = f"SELECT * FROM first_of_coded WHERE {_ARE_FEW} AND code && %(codes)s::text[]"  # noqa: S608
_OF_CODES = (
    "SELECT r.* FROM unnest(%(codes)s::text[]) AS n (code) "  # noqa: S608
    f"CROSS JOIN LATERAL ({_OF_PATIENT} AND {OF_CODED} AND code[{place}] = n.code OFFSET 0) AS r "
    f"WHERE NOT {_ARE_FEW}"
    for place in range(1, CODINGS + 1)
)
_OF_MORE_CODES = (
    f"SELECT r.* FROM ({_OF_PATIENT} AND {OF_CODED} AND cardinality(code) > {CODINGS} OFFSET 0) AS r "  # noqa: S608
    f"WHERE NOT {_ARE_FEW} AND code && %(codes)s::text[]"
)
_FOUND = " UNION ALL ".join((OF_TYPES, _OF_FEW, *_OF_CODES, _OF_MORE_CODES))
_REPORTS = (
    "SELECT r.* FROM found AS o "  # noqa: S608
    "CROSS JOIN LATERAL (SELECT key FROM search_value WHERE tenant = %(tenant)s "
    "AND type = 'DiagnosticReport' AND name = 'result' AND value = 'Observation/' || o.id AND system = '' "
    "OFFSET 0) AS s "
    f"CROSS JOIN LATERAL ({_OF_PATIENT} AND key = s.key OFFSET 0) AS r WHERE o.type = 'Observation'"
)
#: whole types; of the coded ones what has one of the codes; and, by whatever code, the reports of these
OF_TYPES_AND_CODES = (
    f"WITH first_of_coded AS MATERIALIZED ({_FIRST}), found AS ({_FOUND}) "  # noqa: S608
    f"SELECT * FROM found UNION ALL {_REPORTS}"
)


def current(tx: Connection, type: str, id: str, *, tenant: int) -> Stored | None:
    """Return the current version; None if there never was one."""
    rows = _all(
        tx,
        f"SELECT {COLUMNS} FROM resource WHERE tenant = %s AND type = %s AND id = %s",  # noqa: S608
        [tenant, type, id],
    )
    return rows[0] if rows else None


def ask_all(
    tx: Connection, identities: Collection[Identity], *, tenant: int
) -> Callable[[], dict[Identity, Stored]]:
    """Ask for the current versions of those that exist, and return how to get them.

    They are there after the end of a block of `together`.
    """
    read = _ask(tx, CURRENT, look_up_parameters(sorted(identities), tenant)) if identities else list
    return lambda: {(found.type, found.id): found for found in read()}


def lock(tx: Connection, identities: Collection[Identity], *, tenant: int) -> dict[Identity, Stored]:
    """Return the current versions, which nobody changes until this transaction ends."""
    if not identities:
        return {}
    rows = _all(tx, each(COLUMNS, lock=True), look_up_parameters(sorted(identities), tenant))
    return {(row.type, row.id): row for row in rows}


def keep(tx: Connection, identity: Identity, *, tenant: int) -> None:
    """Let nobody change or remove the resource until this transaction ends; others may keep it as well."""
    statement = "SELECT FROM resource WHERE tenant = %s AND type = %s AND id = %s FOR KEY SHARE"
    raw(tx).execute(statement, [tenant, *identity])


def version(
    tx: Connection,
    type: str,
    id: str,
    version: int,
    *,
    tenant: int,
) -> Stored | None:
    """Return one version, current or superseded."""
    where = "tenant = %s AND type = %s AND id = %s AND version = %s"
    rows = _versions(tx, where, [tenant, type, id, version])
    return rows[0] if rows else None


def versions(
    tx: Connection, names: Collection[tuple[str, str, int]], *, tenant: int
) -> dict[tuple[str, str, int], Stored]:
    """Return the versions with these types, ids and numbers that exist."""
    if not names:
        return {}
    where = (
        "tenant = %s AND (type, id, version) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::integer[]))"
    )
    columns = [list(column) for column in zip(*names, strict=True)]
    rows = _versions(tx, where, [tenant, *columns])
    return {(row.type, row.id, row.version): row for row in rows}


def history(tx: Connection, type: str, id: str, *, tenant: int) -> list[Stored]:
    """Return every version, newest first; empty if there never was one."""
    where = "tenant = %s AND type = %s AND id = %s"
    return _versions(tx, where, [tenant, type, id], order="ORDER BY version DESC")


def of_patient(
    tx: Connection,
    patient: str,
    *,
    tenant: int,
    types: Sequence[str],
    codes: Collection[tuple[str, str]] | None = None,
    owned: bool | None = None,
    withdrawn: Collection[str] = (),
) -> list[Stored]:
    """Return the current versions of the patient's resources, in the order of receipt.

    See `ask_of_patient`.
    """
    return ask_of_patient(
        tx, patient, tenant=tenant, types=types, codes=codes, owned=owned, withdrawn=withdrawn
    )()


def ask_of_patient(
    tx: Connection,
    patient: str,
    *,
    tenant: int,
    types: Sequence[str],
    codes: Collection[tuple[str, str]] | None = None,
    owned: bool | None = None,
    withdrawn: Collection[str] = (),
) -> Callable[[], list[Stored]]:
    """Ask for what `of_patient` returns, and return how to get it after the end of a block of `together`.

    Args:
        patient: the id alone.
        codes: system and code of which an Observation, Procedure or DiagnosticReport must have one. A
            DiagnosticReport of which such an Observation is a result is found by any code: its status
            is the Observation's as well.
        owned: only what the engine made, or only what it did not.
        withdrawn: types of which also what was removed is returned, as withdrawn.
    """
    parameters = {
        "tenant": tenant,
        "patient": patient,
        "types": list(types),
        "whole": [type_ for type_ in types if codes is None or type_ not in CODED],
        "codes": _array(frozenset(codes or ())),
        "owned": owned,
        "withdrawn": list(withdrawn),
    }
    found = OF_TYPES if codes is None else OF_TYPES_AND_CODES
    of_owner = "" if owned is None else "AND owned = %(owned)s "
    # What has several of the codes is found several times, and kept once.
    return _ask(
        tx,
        f"SELECT DISTINCT ON (seq) {COLUMNS} FROM ({found}) AS r "  # noqa: S608 - constants of this module
        f"WHERE type = ANY(%(types)s) AND (NOT deleted OR type = ANY(%(withdrawn)s)) {of_owner}ORDER BY seq",
        parameters,
    )


@lru_cache(maxsize=64)
def _array(codes: frozenset[tuple[str, str]]) -> str:
    """Return codes as the driver writes an array of what their column has: it would do so each time anew."""
    values = [search_index.coded(system, code) for system, code in sorted(codes)]
    written = Transformer().get_dumper(values, PyFormat.TEXT).dump(values)
    return bytes(written or b"{}").decode()


def recall(tx: Connection, seqs: Collection[int], patient: str, *, tenant: int) -> list[Stored]:
    """Return the versions of the patient's resources with these numbers, in the order of receipt."""
    where = "tenant = %s AND patient = %s AND seq = ANY(%s)"
    return _versions(tx, where, [tenant, patient, list(seqs)], order="ORDER BY seq")


def recall_all(
    tx: Connection, identities: Collection[Identity], seqs: Collection[int], *, tenant: int
) -> dict[Identity, Stored]:
    """Return, of these resources, the versions with one of these numbers."""
    if not identities:
        return {}
    types, ids = zip(*sorted(identities), strict=True)
    where = "tenant = %s AND (type, id) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND seq = ANY(%s)"
    rows = _versions(tx, where, [tenant, list(types), list(ids), list(seqs)])
    return {(row.type, row.id): row for row in rows}


def senders(tx: Connection, identities: Collection[Identity], *, tenant: int) -> dict[Identity, str]:
    """Return who sent the current version of each."""
    ordered = sorted(set(identities))
    if not ordered:
        return {}
    rows = raw(tx).execute(_SENDERS, look_up_parameters(ordered, tenant))
    return {(type_, id_): sender for type_, id_, sender in rows}


def by_identifier(tx: Connection, names: Collection[Name], *, tenant: int) -> dict[Name, list[Current]]:
    """Return, for each (type, system, value) of an identifier, the resources that carry it."""
    _, found = find(
        tx, (), [(type_, "identifier", system, value) for type_, system, value in names], tenant=tenant
    )
    return {(type_, system, value): heads for (type_, _, system, value), heads in found.items()}


def find(
    tx: Connection, identities: Collection[Identity], values: Collection[IndexName], *, tenant: int
) -> Found:
    """Return what exists by identity and by indexed value, in one round trip.

    Several may carry one value; they come in the order of receipt.
    """
    with together(tx):
        answer = ask(tx, identities, values, tenant=tenant)
    return answer()


def ask_to_lock_missing(
    tx: Connection, identities: Collection[Identity], values: Collection[IndexName], *, tenant: int
) -> Callable[[], Set[Identity | IndexName]]:
    """Ask for locks on the names of what is not there, as `lock_identities` takes them.

    What is asked for after this sees what those have made for whom it waited.

    Returns:
        How to get which were locked, after the end of a block of `together`.
    """
    if not identities and not values:
        return set[Identity | IndexName]
    ids = {lock_key(tenant, identity): identity for identity in identities}
    names = {lock_key(tenant, value): value for value in values}
    by_identity = as_json(("lock", "type", "id"), [(key, *ids[key]) for key in sorted(ids)])
    by_value = as_json(
        ("lock", "type", "name", "system", "value"),
        [(key, *_kept_as(names[key])) for key in sorted(names)],
    )
    cursor = raw(tx).cursor()
    cursor.execute(_LOCK_MISSING, [by_identity, tenant, by_value, tenant])
    return lambda: {named for key, _ in cursor for named in (ids.get(key), names.get(key)) if named}


def ask(
    tx: Connection, identities: Collection[Identity], values: Collection[IndexName], *, tenant: int
) -> Answer:
    """Ask for what `find` returns, and return how to get it after the end of a block of `together`."""
    connection = raw(tx)
    by_identity = sorted(set(identities))
    # What is asked for, by the way it is kept.
    by_value = {_kept_as(value): value for value in values}
    first = connection.cursor(row_factory=class_row(Current))
    second = connection.cursor()
    if by_identity:
        first.execute(LOOK_UP, look_up_parameters(by_identity, tenant))
    if by_value:
        second.execute(FIND, [as_json(("type", "name", "system", "value"), sorted(by_value)), tenant])

    def answer() -> Found:
        heads = {head.identity: head for head in first} if by_identity else {}
        found: dict[IndexName, list[Current]] = {}
        for name, system, value, *columns in second if by_value else ():
            head = Current(**dict(zip(_HEAD, columns, strict=True)))
            found.setdefault(by_value[head.type, name, system, value], []).append(head)
        return heads, found

    return answer


def _kept_as(value: IndexName) -> IndexName:
    type_, name, system, text = value
    return type_, name, search_index.shortened(system), search_index.shortened(text)


_HEAD = HEAD.split(", ")

FIND = (
    f"SELECT s.name, s.system, s.value, {', '.join(f'r.{name}' for name in _HEAD)} "  # noqa: S608
    "FROM json_to_recordset(%s::json) AS n (type text, name text, system text, value text) "
    "CROSS JOIN LATERAL (SELECT * FROM search_value WHERE tenant = %s AND type = n.type "
    "AND name = n.name AND value = n.value AND system = n.system OFFSET 0) AS s "
    "CROSS JOIN LATERAL (SELECT * FROM resource WHERE key = s.key OFFSET 0) AS r ORDER BY r.seq"
)


# Sorted as `lock_identities` sorts: whoever locks several never waits in a circle.
_LOCK_MISSING = """
    SELECT lock, pg_advisory_xact_lock(lock) FROM (
        SELECT n.lock FROM json_to_recordset(%s::json) AS n (lock bigint, type text, id text)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM resource WHERE tenant = %s AND type = n.type AND id = n.id OFFSET 0
        ) AS r ON true WHERE r.is_there IS NULL
        UNION ALL
        SELECT n.lock FROM json_to_recordset(%s::json) AS n (
            lock bigint, type text, name text, system text, value text)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM search_value WHERE tenant = %s AND type = n.type AND name = n.name
                AND value = n.value AND system = n.system LIMIT 1 OFFSET 0
        ) AS s ON true WHERE s.is_there IS NULL
        ORDER BY lock
    ) AS missing
"""


def _versions(tx: Connection, where: str, parameters: list[Any], *, order: str = "") -> list[Stored]:
    """Return the versions that fulfil the condition, current and superseded."""
    return _all(
        tx,
        f"SELECT {COLUMNS} FROM resource WHERE {where} "  # noqa: S608 - constants of this module
        f"UNION ALL SELECT {SUPERSEDED} FROM history WHERE {where} {order}",
        [*parameters, *parameters],
    )


def _all(tx: Connection, statement: str, parameters: list[Any]) -> list[Stored]:
    return _ask(tx, statement, parameters)()


def _ask(
    tx: Connection, statement: str, parameters: list[Any] | dict[str, Any]
) -> Callable[[], list[Stored]]:
    # Numbers, instants and digests need not be written and read as text, hundreds of times for a long record.
    cursor = raw(tx).cursor(binary=True, row_factory=_of_columns)
    cursor.execute(statement, parameters)
    return cursor.fetchall


def _of_columns(_cursor: object) -> Callable[[Sequence[Any]], Stored]:
    """Return how a row of COLUMNS becomes a version: a long record has hundreds."""
    return Stored._make

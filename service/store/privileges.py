"""What the service may do with each table, and nothing else.

The tables belong to an owner, who migrates. The service uses another role, which cannot alter
a table, and to which what is appended stays as it was written: decisions, history, parameters.
A sandbox also forgets, so its service may also remove.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql
from sqlalchemy import Connection, text

from service.store import tables
from service.store.driver import raw

Privileges = frozenset[str]

READ = frozenset({"SELECT"})
APPEND = READ | {"INSERT"}
QUEUE = APPEND | {"DELETE"}
CHANGE = APPEND | {"UPDATE"}
#: of a table that is not named below, also of one that a newer version brings
OTHER = CHANGE | {"DELETE"}

NEEDED: Mapping[str, Privileges] = {
    "access": APPEND,
    # Accounts and tokens are given by whoever owns the tables: a web process that is taken over makes none.
    # See also COLUMNS.
    "account": READ,
    "alembic_version": READ,
    "arrival": QUEUE,
    "circuit": CHANGE,
    "cds_feedback": APPEND,
    "clock": READ,
    "decision": APPEND,
    "delivered": OTHER,
    "delivery": CHANGE,
    "dispatch": CHANGE,
    "evaluation": APPEND,
    "export": OTHER,
    "export_chunk": QUEUE,
    "heartbeat": CHANGE,
    "history": APPEND,
    "joined_version": APPEND,
    "joining": CHANGE,
    "open_plan": QUEUE,
    "origin": CHANGE,
    "overdue_task": APPEND,
    "preview": OTHER,
    "preview_effect": QUEUE,
    "promise": CHANGE,
    "raised_event": QUEUE,
    "reindexing": CHANGE,
    "resource": CHANGE,
    "retranslation": CHANGE,
    "saved_view": CHANGE | {"DELETE"},
    "seal": APPEND,
    "sealed": APPEND,
    "search_date": QUEUE,
    "search_narrative": OTHER,
    "search_number": QUEUE,
    "search_text": QUEUE,
    "search_value": QUEUE,
    "sending": QUEUE,
    "sender_token": READ,
    "set_aside": OTHER,
    "sign_in_failure": QUEUE,
    "sign_on": QUEUE,
    "site_parameter": APPEND,
    "site_proposal": CHANGE,
    "source": CHANGE,
    "source_window": CHANGE,
    "hospital_subscription": OTHER,
    "subscription": OTHER,
    "subscription_event": QUEUE,
}

#: of a table only some columns may be changed: whoever is signed in gives themselves another password
COLUMNS: Mapping[str, tuple[str, ...]] = {"account": ("password",)}

#: what `service.sandbox` does besides: it erases (see `erasing`) and sets the clock
SANDBOX: Mapping[str, Privileges] = {
    "access": frozenset({"TRUNCATE"}),
    "cds_feedback": frozenset({"TRUNCATE"}),
    "clock": frozenset({"UPDATE"}),
    "decision": frozenset({"TRUNCATE"}),
    "delivery": frozenset({"DELETE"}),
    "dispatch": frozenset({"DELETE"}),
    "evaluation": frozenset({"TRUNCATE"}),
    "history": frozenset({"DELETE"}),
    "joined_version": frozenset({"DELETE"}),
    "joining": frozenset({"DELETE"}),
    "origin": frozenset({"DELETE"}),
    "overdue_task": frozenset({"DELETE"}),
    "promise": frozenset({"DELETE"}),
    "resource": frozenset({"DELETE"}),
    "seal": frozenset({"TRUNCATE"}),
    "sealed": frozenset({"TRUNCATE"}),
}

SEQUENCE = "USAGE"


class NoSuchRole(Exception):
    """The role to grant to does not exist, or is the owner itself."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Missing:
    """One thing that a role may not do and must."""

    table: str
    privilege: str


#: without it nobody knows what the others mean
READ_REVISION = Missing(table="alembic_version", privilege="SELECT")


def needed(table: str, *, sandbox: bool) -> Privileges:
    """Return what the service does with the table."""
    return NEEDED.get(table, OTHER) | (SANDBOX.get(table, frozenset()) if sandbox else frozenset())


def grant(tx: Connection, role: str, *, sandbox: bool) -> tuple[str, ...]:
    """Let the role do what the service does, and take from it everything else.

    Tables that this role makes later are granted in advance, freely; the next call narrows that.

    Returns:
        The names of the tables, sorted.

    Raises:
        NoSuchRole: nothing is granted.
    """
    known = tx.execute(
        text("SELECT rolname = current_user FROM pg_roles WHERE rolname = :role"), {"role": role}
    )
    is_owner = known.scalar_one_or_none()
    if is_owner is None:
        raise NoSuchRole(f"There is no role {role}; make it first: CREATE ROLE {role} LOGIN PASSWORD '...'.")
    if is_owner:
        raise NoSuchRole(f"The role {role} owns the tables; grant to the role that the service connects as.")
    found = _tables(tx)
    connection = raw(tx)
    to = sql.Identifier(role)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(to))
    for name in found:
        table = sql.Identifier("public", name)
        connection.execute(sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(table, to))
        connection.execute(
            sql.SQL("GRANT {} ON TABLE {} TO {}").format(_words(needed(name, sandbox=sandbox)), table, to)
        )
        for column in COLUMNS.get(name, ()):
            connection.execute(
                sql.SQL("GRANT UPDATE ({}) ON TABLE {} TO {}").format(sql.Identifier(column), table, to)
            )
    sequence = sql.Identifier("public", tables.RECEIPT.name)
    connection.execute(sql.SQL("REVOKE ALL ON SEQUENCE {} FROM {}").format(sequence, to))
    connection.execute(sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sequence, to))
    for what, words in (("TABLES", _words(OTHER)), ("SEQUENCES", sql.SQL(SEQUENCE))):
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {} ON {} TO {}").format(
                words, sql.SQL(what), to
            )
        )
    return found


def missing(tx: Connection, *, sandbox: bool) -> tuple[Missing, ...]:
    """Return what the role of this connection lacks, sorted by table."""
    lacking = [
        Missing(table=table, privilege=privilege)
        for table in _tables(tx)
        for privilege in needed(table, sandbox=sandbox) - _held(tx, table)
    ]
    lacking += [
        Missing(table=table, privilege=f"UPDATE ({column})")
        for table in _tables(tx)
        for column in COLUMNS.get(table, ())
        if not _may_update(tx, table, column)
    ]
    # null where there is no such sequence: then there are no tables either
    may_use = text("SELECT has_sequence_privilege(to_regclass(:name), :privilege)")
    name = tables.RECEIPT.name
    if tx.execute(may_use, {"name": f"public.{name}", "privilege": SEQUENCE}).scalar_one() is False:
        lacking.append(Missing(table=name, privilege=SEQUENCE))
    return tuple(sorted(lacking))


def beyond(tx: Connection, *, sandbox: bool) -> tuple[str, ...]:
    """Return, in words, what the role of this connection may do and need not."""
    role = tx.execute(
        text(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, "
            "has_schema_privilege('public', 'CREATE') AS tables FROM pg_roles WHERE rolname = current_user"
        )
    ).one()
    if role.rolsuper:
        return ("is a superuser",)
    words = (
        ("may create databases", role.rolcreatedb),
        ("may create roles", role.rolcreaterole),
        ("may create tables", role.tables),
    )
    surplus = (
        (table, sorted(_held(tx, table) - needed(table, sandbox=sandbox)))
        for table in _tables(tx)
        if table in NEEDED
    )
    return (
        *(word for word, holds in words if holds),
        *(f"holds {', '.join(more)} on {table}" for table, more in surplus if more),
        *_columns_beyond(tx, sandbox=sandbox),
    )


def _columns_beyond(tx: Connection, *, sandbox: bool) -> tuple[str, ...]:
    """Return, in words, which columns alone may be written and need not be."""
    found = tx.execute(text(_OF_COLUMNS), {"tables": [table for table in _tables(tx) if table in NEEDED]})
    return tuple(
        f"holds {row.privilege} ({row.name}) on {row.table}"
        for row in found
        if row.privilege not in needed(row.table, sandbox=sandbox)
        and not (row.privilege == "UPDATE" and row.name in COLUMNS.get(row.table, ()))
    )


_OF_COLUMNS = """
    SELECT t.relname AS table, p.privilege, c.attname AS name
    FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
        CROSS JOIN (VALUES ('INSERT'), ('UPDATE')) AS p (privilege)
    WHERE t.relnamespace = CAST('public' AS regnamespace) AND t.relname = ANY(:tables)
        AND has_column_privilege(t.oid, c.attnum, p.privilege) AND NOT has_table_privilege(t.oid, p.privilege)
    ORDER BY 1, 2, 3
"""


def _tables(tx: Connection) -> tuple[str, ...]:
    """Return the tables that are there and ours; an older schema lacks some."""
    ours = [*tables.metadata.tables, "alembic_version"]
    found = tx.execute(
        text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY(:ours)"),
        {"ours": ours},
    )
    return tuple(sorted(found.scalars()))


def _held(tx: Connection, table: str) -> Privileges:
    asked = sorted(OTHER | {"TRUNCATE"})
    held = tx.execute(
        text("SELECT p FROM unnest(CAST(:asked AS text[])) AS p WHERE has_table_privilege(:name, p)"),
        {"asked": asked, "name": f"public.{table}"},
    )
    return frozenset(held.scalars())


def _may_update(tx: Connection, table: str, column: str) -> bool:
    held = text("SELECT has_column_privilege(:name, :column, 'UPDATE')")
    return bool(tx.execute(held, {"name": f"public.{table}", "column": column}).scalar_one())


def _words(privileges: Privileges) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL(word) for word in sorted(privileges))

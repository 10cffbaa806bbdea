"""Views of the worklist that people saved: each belongs to one person, under a name of their own.

What is kept is the part of an address that says which rows are wanted: codes and ids, no data of a patient.
"""

from dataclasses import dataclass

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

#: of a name, in characters
LONGEST = 60
#: of one person: a list that can still be read
MOST = 30


class NameTaken(Exception):
    """The person has a view of this name already."""


class TooMany(Exception):
    """The person has as many views as there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """One view under its name."""

    key: int
    name: str
    #: as in an address: `view=mine&need=sign`
    query: str


def of_person(tx: Connection, person: str, *, tenant: int) -> list[SavedView]:
    """Return the views of a person, by name."""
    rows = tx.execute(text(_FIND), {"tenant": tenant, "person": person})
    return [SavedView(**row) for row in rows.mappings()]


def add(tx: Connection, person: str, name: str, query: str, *, tenant: int) -> None:
    """Save a view.

    Raises:
        NameTaken: there is one of this name; the transaction is to be given up.
        TooMany: there are `MOST` already.
    """
    if len(of_person(tx, person, tenant=tenant)) >= MOST:
        raise TooMany
    asked = {"tenant": tenant, "person": person, "name": name, "query": query}
    _unless_taken(tx, _ADD, asked)


def rename(tx: Connection, key: int, person: str, name: str, *, tenant: int) -> bool:
    """Give a view of this person another name; False: there is no such view of this person.

    Raises:
        NameTaken: another one has it; the transaction is to be given up.
    """
    asked = {"tenant": tenant, "person": person, "name": name, "key": key}
    return _unless_taken(tx, _RENAME, asked) is not None


def remove(tx: Connection, key: int, person: str, *, tenant: int) -> bool:
    """Delete a view of this person; False: there is no such view of this person."""
    asked = {"tenant": tenant, "person": person, "key": key}
    return tx.execute(text(_REMOVE), asked).scalar_one_or_none() is not None


def _unless_taken(tx: Connection, statement: str, asked: dict[str, object]) -> object:
    try:
        return tx.execute(text(statement), asked).scalar_one_or_none()
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise NameTaken from None
        raise


_FIND = "SELECT key, name, query FROM saved_view WHERE tenant = :tenant AND person = :person ORDER BY name"
_ADD = (
    "INSERT INTO saved_view (tenant, person, name, query) VALUES (:tenant, :person, :name, :query) "
    "RETURNING key"
)
_RENAME = (
    "UPDATE saved_view SET name = :name WHERE tenant = :tenant AND person = :person AND key = :key "
    "RETURNING key"
)
_REMOVE = "DELETE FROM saved_view WHERE tenant = :tenant AND person = :person AND key = :key RETURNING key"

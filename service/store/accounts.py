"""Who may sign in: a name, whose roles it stands for, and the hash of a password.

An account gives no right of its own: what one may do follows the PractitionerRoles of its Practitioner.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from service.store import resources

#: what an account or a sender may be called: nothing that a log or a reference could take for its own
NAME = "[a-z0-9][a-z0-9._@-]{0,63}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account."""

    name: str
    #: the id of a Practitioner
    practitioner: str
    #: a hash; None: this account signs on at the hospital only
    password: str | None = field(repr=False)
    made: datetime
    disabled: datetime | None
    #: when somebody last signed in with it; only `known` looks
    last: datetime | None = None


def is_name(text: str) -> bool:
    """Return whether an account could have this name; whatever else was typed never goes to the database."""
    return re.fullmatch(NAME, text) is not None


def find(tx: Connection, name: str, *, tenant: int) -> Account | None:
    """Return the account with this name, disabled or not."""
    if not is_name(name):
        return None
    statement = f"SELECT {_COLUMNS} FROM account WHERE tenant = :tenant AND name = :name"  # noqa: S608 - our own words
    row = tx.execute(text(statement), {"tenant": tenant, "name": name}).mappings().one_or_none()
    return Account(**row) if row else None


def known(tx: Connection, *, tenant: int) -> Sequence[Account]:
    """Return every account by name, with when it was last used."""
    statement = f"""
        SELECT {_COLUMNS}, (
            SELECT max(began_at) FROM session s WHERE s.tenant = account.tenant AND s.account = account.name
        ) AS last
        FROM account WHERE tenant = :tenant ORDER BY name
    """  # noqa: S608 - our own words
    return [Account(**row) for row in tx.execute(text(statement), {"tenant": tenant}).mappings()]


def hold(tx: Connection, name: str, *, tenant: int) -> None:
    """Hold an account until the transaction ends, so that a change of it and a sign-in follow one another.

    By its name and not its row: until the grant is run again the service may only read accounts.
    """
    resources.lock_identities(tx, tenant, [("account", name)])


def is_of_somebody(tx: Connection, practitioner: str, *, tenant: int) -> bool:
    """Return whether there is an account of this Practitioner."""
    statement = (
        "SELECT EXISTS (SELECT 1 FROM account WHERE tenant = :tenant AND practitioner = :practitioner)"
    )
    values = {"tenant": tenant, "practitioner": practitioner}
    return bool(tx.execute(text(statement), values).scalar_one())


def add(tx: Connection, name: str, practitioner: str, password: str | None, *, tenant: int) -> bool:
    """Add an account and return whether the name was free; one that is taken stays as it is."""
    statement = """
        INSERT INTO account (tenant, name, practitioner, password)
        VALUES (:tenant, :name, :practitioner, :password) ON CONFLICT DO NOTHING
    """
    values = {"tenant": tenant, "name": name, "practitioner": practitioner, "password": password}
    return tx.execute(text(statement), values).rowcount == 1


def set_password(tx: Connection, name: str, password: str, *, tenant: int) -> bool:
    """Give an account another password and return whether there is such an account."""
    return _change(tx, name, "password = :value", password, tenant=tenant)


def disable(tx: Connection, name: str, *, tenant: int) -> bool:
    """Let nobody sign in with the account any more; return whether there is such an account."""
    return _change(tx, name, "disabled_at = coalesce(disabled_at, clock_timestamp())", None, tenant=tenant)


def enable(tx: Connection, name: str, *, tenant: int) -> bool:
    """Let people sign in with the account again; return whether there is such an account."""
    return _change(tx, name, "disabled_at = NULL", None, tenant=tenant)


def _change(tx: Connection, name: str, change: str, value: str | None, *, tenant: int) -> bool:
    hold(tx, name, tenant=tenant)
    values = {"tenant": tenant, "name": name, **({"value": value} if value is not None else {})}
    statement = f"UPDATE account SET {change} WHERE tenant = :tenant AND name = :name"  # noqa: S608 - our own words
    return tx.execute(text(statement), values).rowcount == 1


_COLUMNS = "name, practitioner, password, made_at AS made, disabled_at AS disabled"

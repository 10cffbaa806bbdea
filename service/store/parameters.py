"""The site's parameters: what a site has changed, every version kept.

Which parameters exist, their defaults and ranges are knowledge of the pathways;
callers check values there before they are stored here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec
from sqlalchemy import Connection, insert, select, text

from service.store import content, tables
from service.store.driver import raw

#: minutes without a further Bundle before a patient is evaluated
SETTLE_MINUTES = 10

_table = tables.site_parameter.c


class Changed(Exception):
    """There is a later version than the one that was read; nothing was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a site has changed, from one moment on."""

    #: 0: before the first change
    number: int
    values: Mapping[str, object]
    #: service clock
    at: datetime | None = None
    #: a reference to a person, or a word for a program
    who: str = ""
    #: a reference to the second person, where there was one
    confirmed: str = ""
    reason: str = ""


def current(tx: Connection) -> dict[str, object]:
    """Return the changed values, `profile` among them; empty at the defaults."""
    return ask_current(tx)()


def ask_current(tx: Connection) -> Callable[[], dict[str, object]]:
    """Ask for what `current` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute("SELECT values FROM site_parameter ORDER BY version DESC LIMIT 1")
    return lambda: parsed(next((values for (values,) in cursor), None))


def parsed(text: str | None) -> dict[str, object]:
    """Return the changed values as they are stored; none before the first change."""
    return cast("dict[str, object]", msgspec.json.decode(text)) if text else {}


def latest(tx: Connection) -> Version:
    """Return the version that holds."""
    return next(iter(versions(tx, limit=1)), Version(number=0, values={}))


def versions(tx: Connection, *, limit: int) -> list[Version]:
    """Return the newest versions, the one that holds first."""
    rows = tx.execute(select(tables.site_parameter).order_by(_table.version.desc()).limit(limit))
    return [
        Version(
            number=row["version"],
            values=parsed(row["values"]),
            at=row["at"],
            who=row["who"],
            confirmed=row["confirmed"],
            reason=row["reason"],
        )
        for row in rows.mappings()
    ]


def set_(
    tx: Connection,
    values: Mapping[str, object],
    who: str,
    now: datetime,
    *,
    reason: str = "",
    confirmed: str = "",
    after: int | None = None,
) -> int:
    """Replace the changed values and return the new version; the version before stays readable.

    Args:
        who: a reference to a person, or a word for a program.
        confirmed: a reference to the second person, where there was one.
        after: the version that was read; None: whichever there is.

    Raises:
        Changed: there is a later version than that; nothing is stored.
    """
    # Of two who change at once the second waits here, and then sees the version of the first.
    tx.execute(text("SELECT pg_advisory_xact_lock(hashtext('hipway site_parameter'), 0)"))
    if after is not None and latest(tx).number != after:
        raise Changed
    written = insert(tables.site_parameter).values(
        at=now, who=who, values=content.write(values), reason=reason, confirmed=confirmed
    )
    return int(tx.execute(written.returning(_table.version)).scalar_one())

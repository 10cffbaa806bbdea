"""Changes of a value of the site that wait for a second person.

proposed --confirmed--> a version of the parameters
    +-----rejected----> kept, without any effect
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql

from service.store import tables

CONFIRMED, REJECTED = "confirmed", "rejected"

_table = tables.site_proposal.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Another value of one parameter, proposed by somebody and without any effect yet."""

    key: int
    name: str
    value: Any
    #: service clock
    at: datetime
    #: a reference to a person
    who: str
    reason: str


def waiting(tx: Connection) -> dict[str, Proposal]:
    """Return what waits for a second person, by the name of the parameter."""
    columns = (_table.key, _table.name, _table.value, _table.at, _table.who, _table.reason)
    rows = tx.execute(select(*columns).where(_table.ended_at.is_(None))).mappings()
    return {row["name"]: Proposal(**{**row, "value": msgspec.json.decode(row["value"])}) for row in rows}


def propose(tx: Connection, name: str, value: object, who: str, reason: str, now: datetime) -> bool:
    """Propose another value; False where one is proposed for the parameter already."""
    written = (
        postgresql.insert(tables.site_proposal)
        .values(name=name, value=msgspec.json.encode(value).decode(), at=now, who=who, reason=reason)
        .on_conflict_do_nothing(index_elements=[_table.name], index_where=_table.ended_at.is_(None))
    )
    return tx.execute(written.returning(_table.key)).scalar_one_or_none() is not None


def end(tx: Connection, proposal: Proposal, outcome: str, who: str, now: datetime) -> bool:
    """Note what became of a proposal; False where somebody else has ended it."""
    ended = (
        update(tables.site_proposal)
        .where(_table.key == proposal.key, _table.ended_at.is_(None))
        .values(ended_at=now, ended_by=who, outcome=outcome)
    )
    return tx.execute(ended).rowcount == 1

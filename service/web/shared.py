"""Records that carry one identifier, as the pages say it: whose they are, since when, and what to do.

Nothing is told apart by names or birth dates here: people look, and correct or join.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from service.store import shared_identifiers
from service.store.shared_identifiers import COUNTED, Shared
from service.web import visit
from service.web.alarms import Alarm
from service.web.patients import Person
from service.web.visit import TENANT, Visit
from service.web.words import Words

#: the section of the inbox
SECTION = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One identifier, and some of those who carry it."""

    system: str
    value: str
    people: tuple[Person, ...]
    #: how many carry it, in words
    count: str
    #: further ones are not named
    more: bool
    since: str


def banner(words: Words, *, is_shared: bool) -> tuple[Alarm, ...]:
    """Return a bar if another record carries an identifier of the patient. It says nothing of the other."""
    if not is_shared:
        return ()
    return (Alarm(tone="late", title=words("shared.title"), text=words("shared.text"), inbox=SECTION),)


def rows(tx: Connection, seen: Visit, limit: int) -> tuple[Row, ...]:
    """Return the identifiers that several records carry, that of the newest record first."""
    found = shared_identifiers.found(tx, limit, tenant=TENANT)
    if not found:
        return ()
    people = visit.people_of(tx, seen, {id_ for one in found for id_ in one.patients})
    since = shared_identifiers.since(tx, found, tenant=TENANT)
    moments = {name: seen.when.exact(moment) for name, moment in since.items()}
    return tuple(_row(one, people, moments, seen.words) for one in found)


def _row(
    one: Shared, people: Mapping[str, Person], since: Mapping[tuple[str, str], str], words: Words
) -> Row:
    named: Sequence[Person] = [people[id_] for id_ in one.patients if id_ in people]
    return Row(
        system=one.system,
        value=one.value,
        people=tuple(named),
        count=words("shared.count.many" if one.count >= COUNTED else "shared.count", n=one.count),
        more=one.count > len(named),
        since=since.get((one.system, one.value), words("not_recorded")),
    )

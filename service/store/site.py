"""What every Bundle needs to know of the site, in one round trip."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy import Connection

from service import clock
from service.clock import Clock
from service.store import parameters
from service.store.driver import raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The moment, what the site has changed, and which of its ConceptMaps hold."""

    clock: Clock
    parameters: dict[str, object]
    #: Differs whenever a ConceptMap does: a later number may be committed before an earlier one, so the
    #: highest would not tell, and the sum does.
    concept_maps: tuple[object, ...]


_SITE = """
    SELECT c.now, clock_timestamp() AS running, c.held,
        (SELECT values FROM site_parameter ORDER BY version DESC LIMIT 1) AS changed, m.*
    FROM clock c, (
        SELECT count(*) AS maps, sum(seq)::text AS seq, max(received) AS received
        FROM resource WHERE tenant = %s AND type = 'ConceptMap'
    ) AS m
"""


def read(tx: Connection, *, tenant: int) -> Site:
    """Return the state of the site."""
    return ask(tx, tenant=tenant)()


def ask(tx: Connection, *, tenant: int) -> Callable[[], Site]:
    """Ask for what `read` returns, and return how to get the answer after the end of the pipeline."""
    cursor = raw(tx).cursor(row_factory=namedtuple_row)
    cursor.execute(_SITE, [tenant])

    def answer() -> Site:
        row: Any = cursor.fetchone()
        return Site(
            clock=clock.of_row(row.now, row.running, row.held),
            parameters=parameters.parsed(row.changed),
            concept_maps=(row.maps, row.seq, row.received),
        )

    return answer

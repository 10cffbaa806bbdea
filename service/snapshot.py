"""What an evaluation reads, all of one snapshot: two round trips, however much there is.

arrivals, latest decisions, clock, parameters, record  ->  people named there, transitions in force
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pathways.corrections import Past
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.record import Record
from service import in_force, record, situation
from service.record import entry
from service.store import decisions, driver, horizon, joinings, promises, resources, site
from service.store.driver import Work

#: what hospitals send that rules read, and what people decided
RECEIVED = (*situation.TYPES, "Task")
#: what an evaluation may change of its own
OWNED = ("CarePlan", "ServiceRequest", "Task", "Flag")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of one patient, and of the site, as one transaction sees them."""

    #: the arrivals whose data are in the record
    wanted: tuple[int, ...]
    #: the service clock
    now: datetime
    #: what the site has changed, `profile` among it
    chosen: Mapping[str, object]
    latest: Mapping[decisions.Instance, decisions.Row]
    #: by pathway, then by instance
    memories: Mapping[str, Mapping[str, Memory]]
    #: the transitions in force, newest first, by pathway, then by side
    history: Mapping[str, Mapping[str, tuple[Past, ...]]]
    #: None while the patient is unknown, or while the record is joined with another
    record: Record | None
    #: the number of each version that the record was made from
    read: tuple[int, ...]

    @property
    def moment(self) -> datetime:
        """Return when an evaluation happens: a clock that was set back takes back no decision."""
        return max((self.now, *(row.at for row in self.latest.values())))


def read(tx: Connection, who: str, pathways: Iterable[Pathway], *, tenant: int) -> Snapshot:
    """Return what the pathways may look at for a patient."""
    return driver.alone(tx, reading(tx, who, pathways, tenant=tenant))


def reading(tx: Connection, who: str, pathways: Iterable[Pathway], *, tenant: int) -> Work[Snapshot]:
    """Do what `read` does, beside other work."""
    driver.plan_once(tx)
    horizon.announce(tx)
    wanted = promises.ask_wanted(tx, who, tenant=tenant)
    latest = decisions.ask_latest(tx, who, tenant=tenant)
    of_site = site.ask(tx, tenant=tenant)
    joined = joinings.ask(tx, [who], tenant=tenant)
    facts = situation.ask_facts(tx, who, types=RECEIVED, owned=OWNED, tenant=tenant)
    yield
    rows, state = latest(), of_site()
    # What is about a record that was joined with another is decided there.
    goes = who in joined()[0]
    found = facts()
    entries, owned = found
    memories = {pathway.name: _memories(rows, pathway) for pathway in pathways}
    people = resources.ask_all(tx, found.people, tenant=tenant)
    pasts = {
        pathway.name: in_force.ask(tx, who, pathway, memories[pathway.name], tenant=tenant)
        for pathway in pathways
    }
    yield
    known = list(people().values())
    return Snapshot(
        wanted=wanted(),
        now=state.clock.now,
        chosen=state.parameters,
        latest=rows,
        memories=memories,
        history={name: past() for name, past in pasts.items()},
        record=None if goes else record.of(who, entries, owned, known),
        read=tuple(sorted([*(each.seq for each in (*entries, *owned)), *(each.seq for each in known)])),
    )


def recall(tx: Connection, who: str, read: Collection[int], *, tenant: int) -> Record | None:
    """Return the record that was made from these versions; None where the patient is not among them."""
    of_patient = resources.recall(tx, read, who, tenant=tenant)
    entries = [entry(stored) for stored in of_patient if not stored.owned]
    own = [entry(stored) for stored in of_patient if stored.owned]
    people = resources.recall_all(tx, record.people(entries), read, tenant=tenant)
    return record.of(who, entries, own, people.values())


def _memories(rows: Mapping[decisions.Instance, decisions.Row], pathway: Pathway) -> dict[str, Memory]:
    return {
        instance: Memory.from_json(row.after)
        for (name, instance), row in rows.items()
        if name == pathway.name
    }

"""What the pages read: one query for each part of a page, never one for each row."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    any_,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from fhir_profiles import canonical
from service.situation import Instance
from service.store import open_plans, search_index, tables
from service.store.driver import only, raw
from service.web.elements import OPEN_TASK, Json

_resource = tables.resource.c

KINDS_OF_PLANS = (search_index.OPEN, search_index.HELD, search_index.APART)


def open_tasks(tx: Connection, *, tenant: int) -> list[Json]:
    """Return every open Task that the engine made, oldest first."""
    return _found(tx, f"SELECT body {_OPEN_TASKS} ORDER BY key", [tenant])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The plans that are open: too many to be read at once, so they are counted, and read by the page."""

    tenant: int
    #: those that are open, or of these those that are held; or instead those that stand apart
    kind: str = search_index.OPEN
    #: the name of one of several pathways
    pathway: str = ""
    stage: str = ""
    #: None: of any side; empty: about the whole person
    side: str | None = None

    def count(self, tx: Connection) -> int:
        """Return how many there are."""
        if not self._filtered:
            return open_plans.count(tx, tenant=self.tenant)
        found = select(func.count()).select_from(tables.search_value).where(*self._conditions)
        return int(tx.execute(found).scalar_one())

    def read(self, tx: Connection, besides: Collection[str], offset: int, limit: int) -> list[Json]:
        """Return some of them, the oldest first, without those of these ids."""
        if limit <= 0:
            return []
        # Keys first, bodies then: to sort a hundred thousand plans with their bodies takes a second.
        key = tables.search_value.c.key if self._filtered else _resource.key
        chosen = select(key).where(*(self._conditions if self._filtered else self._every))
        if besides:
            busy = select(_resource.key).where(
                *_of_work("CarePlan", self.tenant), _among(_resource.id, besides)
            )
            chosen = chosen.where(key.not_in(busy.correlate(None)))
        keys = chosen.order_by(key).offset(offset).limit(limit)
        return _bodies(tx, select(_resource.body).where(_resource.key.in_(keys)).order_by(_resource.key))

    @property
    def _filtered(self) -> bool:
        return bool(self.stage or self.pathway) or self.side is not None or self.kind != search_index.OPEN

    @property
    def _every(self) -> tuple[ColumnElement[bool], ...]:
        return (*_of_work("CarePlan", self.tenant), _resource.status == "active")

    @property
    def _conditions(self) -> tuple[ColumnElement[bool], ...]:
        value = tables.search_value.c
        found = [value.tenant == self.tenant, value.type == "CarePlan", value.name == self.kind]
        if self.stage:
            found.append(value.value == self.stage)
        if self.side is not None:
            found.append(value.system == self.side)
        if self.pathway:
            found.append(value.key.in_(_of_pathway(self.pathway, self.tenant)))
        return tuple(found)


def plans_by_stage(tx: Connection, pathway: str | None, *, tenant: int) -> dict[str, dict[str, int]]:
    """Return how many plans there are, by their kind, as in `Plans`, and by the code of their stage.

    Args:
        pathway: the name of one of several; of one alone it need not be asked for.
    """
    value = tables.search_value.c
    counted = select(value.name, value.value, func.count()).where(
        value.tenant == tenant, value.type == "CarePlan", value.name.in_(KINDS_OF_PLANS)
    )
    if pathway is not None:
        counted = counted.where(value.key.in_(_of_pathway(pathway, tenant)))
    found: dict[str, dict[str, int]] = {kind: {} for kind in KINDS_OF_PLANS}
    for kind, stage, count in tx.execute(counted.group_by(value.name, value.value)):
        found[kind][stage] = count
    return found


def _of_pathway(pathway: str, tenant: int) -> Select[Any]:
    """Return the keys of the plans of a pathway: their identifier names it."""
    named = tables.search_value.alias().c
    return select(named.key).where(
        named.tenant == tenant,
        named.type == "CarePlan",
        named.name == "identifier",
        named.system == canonical.CARE_PLAN_IDS,
        named.value.contains(f".{pathway}.", autoescape=True),
    )


def plans_by_place(tx: Connection, *, tenant: int) -> dict[tuple[str, str, str], int]:
    """Return how many plans there are, by their kind, as in `Plans`, and the codes of their stage and side.

    No side: the person.
    """
    value = tables.search_value.c
    counted = select(value.name, value.value, value.system, func.count()).where(
        value.tenant == tenant, value.type == "CarePlan", value.name.in_(KINDS_OF_PLANS)
    )
    rows = tx.execute(counted.group_by(value.name, value.value, value.system))
    return {(str(row[0]), str(row[1]), str(row[2])): int(row[3]) for row in rows}


def find_patients(
    tx: Connection, wanted: Mapping[str, Sequence[str]], limit: int, *, tenant: int
) -> list[Json]:
    """Return patients who have each of these search values: one that begins with, or is, one of the texts.

    Args:
        wanted: `family` and `given` are beginnings of folded names (`search_index.folded`); of any other
            name the value is one of these.
        limit: at most so many, the longest known first.
    """
    value = tables.search_value.c
    conditions = []
    for name, given in wanted.items():
        texts = [search_index.shortened(text) for text in given]
        matches = (
            or_(*(func.starts_with(value.value, text) for text in texts))
            if name in ("family", "given")
            else value.value.in_(texts)
        )
        of_name = (value.tenant == tenant, value.type == "Patient", value.name == name)
        conditions.append(_resource.key.in_(select(value.key).where(*of_name, matches)))
    return _bodies(
        tx, _current(tenant, _resource.type == "Patient", *conditions).order_by(_resource.key).limit(limit)
    )


def plans_of(tx: Connection, patients: Collection[str], *, tenant: int) -> list[Json]:
    """Return every plan that the engine made for these patients."""
    if not patients:
        return []
    return _found(tx, _PLANS_OF, [tenant, sorted(patients)])


def of_type(tx: Connection, type: str, ids: Collection[str], *, tenant: int) -> dict[str, Json]:
    """Return the resources of one type with these ids, by id."""
    return ask_of_type(tx, type, ids, tenant=tenant)()


def ask_of_type(
    tx: Connection, type: str, ids: Collection[str], *, tenant: int
) -> Callable[[], dict[str, Json]]:
    """Ask for what `of_type` returns, and return how to get it after the end of a block of `together`."""
    if not ids:
        return dict
    answer = _ask(tx, _OF_TYPE, [tenant, type, sorted(ids)])
    return lambda: {str(body["id"]): body for body in answer()}


def ask_roles(tx: Connection, *, tenant: int) -> Callable[[], list[Json]]:
    """Ask for the roles that people hold, and return how to get them after a block of `together`."""
    return _ask(tx, _ROLES, [tenant])


def of_patient(tx: Connection, patient: str, types: Sequence[str], *, tenant: int) -> dict[str, list[Json]]:
    """Return the patient's current resources of these types, in the order of receipt, by type.

    Only what the engine made; Tasks of people (their decisions) are listed as `decision`.
    """
    return ask_of_patient(tx, patient, types, tenant=tenant)()


def ask_of_patient(
    tx: Connection, patient: str, types: Sequence[str], *, tenant: int
) -> Callable[[], dict[str, list[Json]]]:
    """Ask for what `of_patient` returns, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute(_OF_PATIENT, [tenant, patient, list(types)])

    def answer() -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = defaultdict(list)
        for type_, owned, body in cursor:
            if owned or type_ == "Task":
                found[type_ if owned else "decision"].append(msgspec.json.decode(body))
        return found

    return answer


class Entered(msgspec.Struct, rename="camel"):
    """Of what is remembered of an instance, since when it has been in its stage."""

    stage_entered: str | None = None


def stages_entered(tx: Connection, patients: Collection[str], *, tenant: int) -> dict[Instance, str | None]:
    """Return since when every instance of these patients has been in its stage, as its memory says it."""
    if not patients:
        return {}
    rows = raw(tx).execute(_LATEST_MEMORIES, [tenant, sorted(patients)])
    return {
        Instance(*which): msgspec.json.decode(after, type=Entered).stage_entered for *which, after in rows
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A code by which no pathway reads anything: who sends it, how often, and of how many patients."""

    coding: str
    type: str
    sender: str
    entries: int
    patients: int
    first: datetime
    last: datetime
    #: of the newest of them
    key: int


def unread_codes(
    tx: Connection, known: Collection[tuple[str, str]], limit: int, *, tenant: int
) -> list[Unread]:
    """Return the codes of what was received and no pathway reads, the most frequent first.

    It goes through all that was received: a second for a million resources.
    """
    coding = func.unnest(_resource.code).label("coding")
    codes = sorted(f"{system}|{code}" for system, code in known)
    sent = (
        select(coding, _resource.type, _resource.sender, _resource.patient, _resource.received, _resource.key)
        .where(
            _resource.tenant == tenant,
            ~_resource.owned,
            ~_resource.deleted,
            _resource.type.in_(tables.CODED),
            ~_resource.code.op("&&", is_comparison=True)(literal(codes, ARRAY(Text))),
        )
        .subquery()
        .c
    )
    counted = select(
        sent.coding,
        sent.type,
        sent.sender,
        func.count().label("entries"),
        func.count(sent.patient.distinct()).label("patients"),
        func.min(sent.received).label("first"),
        func.max(sent.received).label("last"),
        func.max(sent.key).label("key"),
    ).group_by(sent.coding, sent.type, sent.sender)
    rows = tx.execute(counted.order_by(func.count().desc(), sent.coding).limit(limit)).mappings()
    return [Unread(**row) for row in rows]


def maps_made_here(tx: Connection, *, tenant: int) -> list[tuple[str, int]]:
    """Return id and version of the ConceptMaps that were made on our pages, the newest first."""
    chosen = select(_resource.id, _resource.version).where(
        _resource.tenant == tenant, _resource.type == "ConceptMap", _resource.owned, ~_resource.deleted
    )
    return [(row.id, row.version) for row in tx.execute(chosen.order_by(_resource.seq.desc()))]


def by_keys(tx: Connection, keys: Collection[int]) -> dict[int, Json]:
    """Return current versions by their keys."""
    chosen = select(_resource.key, _resource.body).where(_resource.key.in_(keys))
    return {row.key: msgspec.json.decode(row.body) for row in tx.execute(chosen)}


def ask_open_task_count(tx: Connection, *, tenant: int) -> Callable[[], int]:
    """Ask how many Tasks are open, and return how to get it after the end of a block of `together`."""
    cursor = raw(tx).execute(f"SELECT count(*) {_OPEN_TASKS}", [tenant])
    return lambda: int(only(cursor)[0])


def patient_count(tx: Connection, *, tenant: int) -> int:
    """Return how many patients are known."""
    return _count(tx, _resource.tenant == tenant, _resource.type == "Patient", ~_resource.deleted)


def knows_a_patient(tx: Connection, *, tenant: int) -> bool:
    """Return whether any patient is known."""
    wanted = select(1).where(_resource.tenant == tenant, _resource.type == "Patient", ~_resource.deleted)
    return bool(tx.execute(select(wanted.exists())).scalar_one())


def _of_work(type: str, tenant: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the index `resource_of_work`, in the words by which it is recognized."""
    return _resource.tenant == tenant, literal_column(f"type = '{type}'"), _resource.owned, ~_resource.deleted


def _among(column: ColumnElement[Any], texts: Collection[str]) -> ColumnElement[bool]:
    """Return that the column is one of these, however many: as one parameter, of which there is a limit."""
    return column == any_(literal(sorted(texts), ARRAY(Text)))


def _count(tx: Connection, *conditions: ColumnElement[bool]) -> int:
    return int(tx.execute(select(func.count()).select_from(tables.resource).where(*conditions)).scalar_one())


def _current(tenant: int, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(_resource.body).where(_resource.tenant == tenant, ~_resource.deleted, *conditions)


def _found(tx: Connection, statement: str, parameters: Sequence[object]) -> list[Json]:
    """Return the bodies that a statement finds; by the driver alone, for what every page asks."""
    return _ask(tx, statement, parameters)()


def _ask(tx: Connection, statement: str, parameters: Sequence[object]) -> Callable[[], list[Json]]:
    cursor = raw(tx).execute(statement, parameters)
    return lambda: [msgspec.json.decode(body) for (body,) in cursor]


def _bodies(tx: Connection, statement: Select[Any]) -> list[Json]:
    rows: Sequence[Row[Any]] = tx.execute(statement).all()
    return [msgspec.json.decode(row.body) for row in rows]


#: in the words of the index `resource_of_work`
_OPEN_TASKS = (
    "FROM resource WHERE tenant = %s AND type = 'Task' AND owned AND NOT deleted "
    f"AND status IN ({', '.join(map(repr, OPEN_TASK))})"
)
_ROLES = (
    "SELECT body FROM resource WHERE tenant = %s AND type = 'PractitionerRole' AND NOT deleted ORDER BY key"
)
_OF_TYPE = (
    "SELECT body FROM resource WHERE tenant = %s AND type = %s AND id = ANY(%s::text[]) AND NOT deleted"
)
_PLANS_OF = (
    "SELECT body FROM resource WHERE tenant = %s AND type = 'CarePlan' AND owned AND NOT deleted "
    "AND patient = ANY(%s::text[]) ORDER BY key"
)
_OF_PATIENT = (
    "SELECT type, owned, body FROM resource WHERE tenant = %s AND patient = %s AND type = ANY(%s::text[]) "
    "AND NOT deleted ORDER BY seq"
)
_LATEST_MEMORIES = (
    "SELECT DISTINCT ON (patient, pathway, instance) patient, pathway, instance, after FROM decision "
    "WHERE tenant = %s AND patient = ANY(%s::text[]) ORDER BY patient, pathway, instance, number DESC"
)

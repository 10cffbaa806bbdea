"""What the pages read: one query for each part of a page, never one for each row."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from service.situation import Instance
from service.store import tables
from service.web.elements import OPEN_TASK, Json

_resource = tables.resource.c


def open_tasks(tx: Connection, *, tenant: int) -> list[Json]:
    """Return every open Task that the engine made, oldest first."""
    return _bodies(
        tx,
        _current(
            tenant, _resource.type == "Task", _resource.owned.is_(True), _resource.status.in_(OPEN_TASK)
        ).order_by(_resource.key),
    )


def plans(tx: Connection, *, tenant: int) -> list[Json]:
    """Return every CarePlan that the engine made."""
    return _bodies(
        tx,
        _current(tenant, _resource.type == "CarePlan", _resource.owned.is_(True)).order_by(_resource.key),
    )


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
    for name, texts in wanted.items():
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
    return _bodies(
        tx,
        _current(
            tenant,
            _resource.type == "CarePlan",
            _resource.owned.is_(True),
            _resource.patient.in_(sorted(patients)),
        ).order_by(_resource.key),
    )


def of_type(tx: Connection, type: str, ids: Collection[str], *, tenant: int) -> dict[str, Json]:
    """Return the resources of one type with these ids, by id."""
    if not ids:
        return {}
    found = _bodies(tx, _current(tenant, _resource.type == type, _resource.id.in_(sorted(ids))))
    return {str(body["id"]): body for body in found}


def people(tx: Connection, *, tenant: int) -> tuple[list[Json], dict[str, Json]]:
    """Return the roles that people hold, and the people by id."""
    roles = _bodies(tx, _current(tenant, _resource.type == "PractitionerRole").order_by(_resource.key))
    ids = {str(role.get("practitioner", {}).get("reference", "")).partition("/")[2] for role in roles}
    return roles, of_type(tx, "Practitioner", ids - {""}, tenant=tenant)


def of_patient(tx: Connection, patient: str, types: Sequence[str], *, tenant: int) -> dict[str, list[Json]]:
    """Return the patient's current resources of these types, in the order of receipt, by type.

    Only what the engine made; Tasks of people (their decisions) are listed as `decision`.
    """
    rows = tx.execute(
        select(_resource.type, _resource.owned, _resource.body)
        .where(
            _resource.tenant == tenant,
            _resource.patient == patient,
            _resource.type.in_(types),
            _resource.deleted.is_(False),
        )
        .order_by(_resource.seq)
    )
    found: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        if row.owned or row.type == "Task":
            found[row.type if row.owned else "decision"].append(msgspec.json.decode(row.body))
    return found


def latest_memories(tx: Connection, *, tenant: int) -> dict[Instance, Json]:
    """Return what is remembered of every instance: the `after` of its latest decision."""
    row = tables.decision.c
    rows = tx.execute(
        select(row.patient, row.pathway, row.instance, row.after)
        .where(row.tenant == tenant)
        .ext(distinct_on(row.patient, row.pathway, row.instance))
        .order_by(row.patient, row.pathway, row.instance, row.number.desc())
    )
    return {Instance(r.patient, r.pathway, r.instance): msgspec.json.decode(r.after) for r in rows}


def newest_seq(tx: Connection, *, tenant: int, patient: str | None = None) -> int:
    """Return the number of the latest thing that the engine wrote, for one patient or for all."""
    conditions: list[ColumnElement[bool]] = [_resource.tenant == tenant, _resource.owned.is_(True)]
    if patient is not None:
        conditions.append(_resource.patient == patient)
    return int(tx.execute(select(func.coalesce(func.max(_resource.seq), 0)).where(*conditions)).scalar_one())


def changes(tx: Connection, since: int, *, tenant: int, patient: str | None = None) -> int:
    """Return how many Tasks and CarePlans of the engine changed after a number."""
    conditions: list[ColumnElement[bool]] = [
        _resource.tenant == tenant,
        _resource.owned.is_(True),
        _resource.type.in_(("Task", "CarePlan", "ServiceRequest")),
        _resource.seq > since,
    ]
    if patient is not None:
        conditions.append(_resource.patient == patient)
    return int(tx.execute(select(func.count()).select_from(tables.resource).where(*conditions)).scalar_one())


def open_task_count(tx: Connection, *, tenant: int) -> int:
    """Return how many Tasks are open."""
    return int(
        tx.execute(
            select(func.count())
            .select_from(tables.resource)
            .where(
                _resource.tenant == tenant,
                _resource.type == "Task",
                _resource.owned.is_(True),
                _resource.deleted.is_(False),
                _resource.status.in_(OPEN_TASK),
            )
        ).scalar_one()
    )


def patient_count(tx: Connection, *, tenant: int) -> int:
    """Return how many patients are known."""
    return int(
        tx.execute(
            select(func.count())
            .select_from(tables.resource)
            .where(_resource.tenant == tenant, _resource.type == "Patient", _resource.deleted.is_(False))
        ).scalar_one()
    )


def _current(tenant: int, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(_resource.body).where(_resource.tenant == tenant, _resource.deleted.is_(False), *conditions)


def _bodies(tx: Connection, statement: Select[Any]) -> list[Json]:
    rows: Sequence[Row[Any]] = tx.execute(statement).all()
    return [msgspec.json.decode(row.body) for row in rows]

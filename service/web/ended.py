"""Work of an ended stage: what nobody closed before its plan went on.

Which stage a Task was raised in stands in the log of decisions, in the row whose number the Task keeps
(`pathways.memory.Task.step`). A stage that a plan has come back to is not over. What nothing tells the
stage of belongs to the present: to call work outdated takes a proof.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pathways.definition import Pathway
from service.situation import Instance
from service.store.driver import raw
from service.web.moments import Moments
from service.web.words import Words


class Raised(msgspec.Struct):
    """A Task as it is remembered: by which decision it was raised."""

    id: str
    step: int


class Origin(msgspec.Struct):
    """How an instance stood when a Task of it was raised."""

    stage: str | None
    closed: bool = False


class Kept(Origin):
    """What is remembered of an instance, as far as it is asked for here."""

    tasks: tuple[Raised, ...] = ()


class Stood(NamedTuple):
    """In which stage an instance was, and whether it was closed."""

    stage: str
    closed: bool


class Standing(NamedTuple):
    """How an instance stood after one decision."""

    number: int
    at: datetime
    stage: str | None
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """That the stage of a Task is over."""

    #: the code of the stage it was raised in
    stage: str
    #: the stage goes on, the plan does not
    closed: bool
    #: None where the log does not tell
    since: datetime | None = None


def of_course(step: int, course: Sequence[Standing]) -> Ended | None:
    """Return how the stage of a Task ended; None if it has not, or nobody can tell.

    Args:
        step: the number of the decision that raised it.
        course: how the instance stood after each decision, oldest first.
    """
    origin = next((s for s in course if s.number == step), None)
    if origin is None or not (over := _over(origin, course[-1])):
        return None
    going_on = (not s.closed if over.closed else s.stage == origin.stage for s in course)
    last = max(index for index, goes_on in enumerate(going_on) if goes_on)
    return Ended(stage=over.stage, closed=over.closed, since=course[last + 1].at)


def of_rows(memory: Mapping[str, Any], rows: Iterable[Any]) -> dict[str, Ended]:
    """Return the Tasks of one instance whose stage is over, by id.

    Args:
        memory: what is remembered of the instance.
        rows: every decision of it, in any order.
    """
    course = sorted(
        Standing(row.number, row.at, row.after.get("stage"), bool(row.after.get("closed"))) for row in rows
    )
    found = {str(task["id"]): of_course(task["step"], course) for task in memory.get("tasks") or ()}
    return {id: ended for id, ended in found.items() if ended is not None}


def read(
    tx: Connection,
    instances: Collection[Instance],
    *,
    tenant: int,
    stood: Mapping[Instance, Stood] | None = None,
) -> dict[str, Ended]:
    """Return the Tasks of these instances whose stage is over, by id, without since when.

    Two queries, however many there are.

    Args:
        stood: how instances stood at another moment than now.
    """
    if not instances:
        return {}
    latest = raw(tx).execute(_LATEST, {"tenant": tenant, **_parts(sorted(instances))})
    kept = {Instance(*which): msgspec.json.decode(after, type=Kept) for *which, after in latest}
    for which, then in (stood or {}).items():
        if which in kept:
            kept[which].stage, kept[which].closed = then
    raised = [(which, task) for which, memory in kept.items() for task in memory.tasks]
    steps = sorted({(*which, task.step) for which, task in raised})
    numbers = [step[3] for step in steps]
    numbered = raw(tx).execute(_NUMBERED, {"tenant": tenant, "numbers": numbers, **_parts(steps)})
    origins = {
        (Instance(*which), number): msgspec.json.decode(after, type=Origin)
        for *which, number, after in numbered
    }
    found = {
        task.id: _over(origin, kept[which])
        for which, task in raised
        if (origin := origins.get((which, task.step))) is not None
    }
    return {id: ended for id, ended in found.items() if ended is not None}


def read_since(tx: Connection, instances: Collection[Instance], *, tenant: int) -> dict[str, Ended]:
    """Return the same with since when; it goes through every decision of the instances."""
    if not instances:
        return {}
    courses: dict[Instance, list[Standing]] = {}
    memories: dict[Instance, Kept] = {}
    rows = raw(tx).execute(_COURSES, {"tenant": tenant, **_parts(sorted(instances))})
    for patient, pathway, side, number, at, after in rows:
        which, memory = Instance(patient, pathway, side), msgspec.json.decode(after, type=Kept)
        courses.setdefault(which, []).append(Standing(number, at, memory.stage, memory.closed))
        memories[which] = memory
    found = {
        task.id: of_course(task.step, courses[which])
        for which, memory in memories.items()
        for task in memory.tasks
    }
    return {id: ended for id, ended in found.items() if ended is not None}


def say(ended: Ended, pathways: Iterable[Pathway], when: Moments, words: Words) -> str:
    """Return which stage is over, and since when, in a sentence."""
    titles = {stage.code: stage.title for pathway in pathways for stage in pathway.stages.values()}
    said = {"stage": titles.get(ended.stage, ended.stage)}
    key = "ended.plan" if ended.closed else "ended.stage"
    if ended.since is None:
        return words(key, **said)
    return words(f"{key}.since", **said, day=when.day(ended.since), distance=when.distance(ended.since))


def _over(origin: Origin | Standing, now: Origin | Standing) -> Ended | None:
    if origin.stage is None:
        return None
    if origin.stage != now.stage:
        return Ended(stage=origin.stage, closed=False)
    return Ended(stage=origin.stage, closed=True) if now.closed and not origin.closed else None


def _parts(instances: Sequence[Sequence[Any]]) -> dict[str, list[str]]:
    """Return the parts of the names of instances, each a list of its own: a statement has a limit of them."""
    return {
        name: [which[place] for which in instances]
        for place, name in enumerate(("patients", "pathways", "sides"))
    }


#: instances, as a table; its bracket is closed where it is used
_WANTED = "unnest(%(patients)s::text[], %(pathways)s::text[], %(sides)s::text[]"
_LATEST = f"""
    SELECT w.patient, w.pathway, w.instance, d.after FROM {_WANTED}) AS w (patient, pathway, instance)
    CROSS JOIN LATERAL (
        SELECT after FROM decision WHERE tenant = %(tenant)s AND patient = w.patient AND pathway = w.pathway
            AND instance = w.instance ORDER BY number DESC LIMIT 1
    ) AS d
"""  # noqa: S608 - constants of this module
_NUMBERED = f"""
    SELECT w.patient, w.pathway, w.instance, w.number, d.after
    FROM {_WANTED}, %(numbers)s::integer[]) AS w (patient, pathway, instance, number)
    JOIN decision AS d USING (patient, pathway, instance, number) WHERE d.tenant = %(tenant)s
"""  # noqa: S608
_COURSES = f"""
    SELECT w.patient, w.pathway, w.instance, d.number, d.at, d.after
    FROM {_WANTED}) AS w (patient, pathway, instance)
    JOIN decision AS d USING (patient, pathway, instance) WHERE d.tenant = %(tenant)s ORDER BY d.number
"""  # noqa: S608

"""Make the decisions of the log again, from what was read then, and compare them to the last letter.

    the log ............ memories, moment and site of that time ─┐
    versions by number . the record of that time ────────────────┴─> decide ─> the same rows?

Nothing is written. A decision that comes out differently was changed afterwards, or rests on something
that is not kept: either is for a person to look into.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from pathways import parameters
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.edition import ENGINE
from pathways.joining import JOINED, PARTED
from pathways.memory import Memory
from service import in_force, snapshot
from service.store import decisions
from service.store.decisions import Evaluation, Row, Text
from worker import zones
from worker.logged import logged

#: instance and number
Place = tuple[str, int]


class Verdict(StrEnum):
    """What came of a decision that was made again."""

    SAME = "same"
    DIFFERS = "differs"
    OTHER_VERSION = "by another version"
    NOT_KEPT = "without what was read"
    CARRIED = "carried over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision of the log, or one that the log should have."""

    row: Row
    verdict: Verdict
    #: what differs: names, never values
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    """What holds for all decisions about one patient."""

    tx: Connection
    tenant: int
    patient: str
    pathways: Sequence[Pathway]


def replay(tx: Connection, patient: str, pathways: Sequence[Pathway], *, tenant: int) -> Iterator[Replayed]:
    """Yield each decision about the patient, in order, with what comes of it now.

    Args:
        tx: sees one state of the database throughout.
        patient: the id alone.
        pathways: all that are applied here, in their order.

    Raises:
        pathways.cql.EvaluationFailed: a rule errs on what it once decided.
    """
    of = _Replay(tx=tx, tenant=tenant, patient=patient, pathways=pathways)
    remembered: dict[str, dict[str, Memory]] = {}
    for evaluation in decisions.of_patient(tx, patient, tenant=tenant):
        for name in dict.fromkeys(row.pathway for row in evaluation.rows):
            yield from _of_pathway(of, evaluation, name, remembered.get(name, {}))
        for row in evaluation.rows:
            remembered.setdefault(row.pathway, {})[row.instance] = Memory.from_json(row.after)


def _of_pathway(
    of: _Replay, evaluation: Evaluation, name: str, memories: Mapping[str, Memory]
) -> Iterator[Replayed]:
    """Yield what came of the decisions of one evaluation that one pathway made."""
    kept = {
        (row.instance, row.number): (row, texts)
        for row, texts in zip(evaluation.rows, evaluation.texts, strict=True)
        if row.pathway == name
    }
    rows = [row for row, _ in kept.values()]
    again = _again(of, evaluation, rows, memories)
    if isinstance(again, Verdict):
        yield from (Replayed(row=row, verdict=again) for row in rows)
        return
    for place in {**kept, **again}:
        if place not in again:
            yield Replayed(row=kept[place][0], verdict=Verdict.DIFFERS, parts=("not decided again",))
        elif place not in kept:
            yield Replayed(row=again[place], verdict=Verdict.DIFFERS, parts=("not in the log",))
        else:
            row, texts = kept[place]
            parts = tuple(_parts(row, texts, again[place]))
            if parts and row.basis["timeZones"] != zones.edition():
                parts += ("made with other time zone data",)
            yield Replayed(row=row, verdict=Verdict.DIFFERS if parts else Verdict.SAME, parts=parts)


def _again(
    of: _Replay, evaluation: Evaluation, rows: Sequence[Row], memories: Mapping[str, Memory]
) -> dict[Place, Row] | Verdict:
    """Return what the pathway of the rows decides now, by place, or why nobody can tell."""
    first = rows[0]
    if any("carried" in row.basis or row.rule in (JOINED, PARTED) for row in rows):
        # No evaluation made them; what another record had is made again there.
        return Verdict.CARRIED
    pathway = next((p for p in of.pathways if p.name == first.pathway), None)
    if pathway is None or any(not _by_these(pathway, row) for row in rows):
        return Verdict.OTHER_VERSION
    if evaluation.read is None:
        return Verdict.NOT_KEPT
    record = snapshot.recall(of.tx, of.patient, evaluation.read, tenant=of.tenant)
    if record is None:
        return {}
    pasts = in_force.ask(of.tx, of.patient, pathway, memories, tenant=of.tenant)
    site = parameters.recalled(pathway, first.basis["parameters"]["changed"])
    case = Case(
        tenant=of.tenant,
        record=record,
        memories=memories,
        moment=first.at,
        history=pasts(),
        site=site,
        answers_strays=pathway is of.pathways[0],
    )
    due = first.basis["due"]
    decided = logged(
        pathway,
        decide(pathway, case),
        tenant=of.tenant,
        patient=of.patient,
        run=evaluation.run,
        profile=first.basis["parameters"]["profile"],
        changed=parameters.changed(pathway, site),
        due=datetime.fromisoformat(due) if due else None,
        zones=first.basis["timeZones"],
    )
    return {(row.instance, row.number): row for row in decided}


def _by_these(pathway: Pathway, row: Row) -> bool:
    """Return whether the rules and the engine that made the decision are those of today."""
    made_by = (row.basis["pathway"], row.basis["elm"], row.basis["engine"])
    return made_by == (pathway.canonical, pathway.elm_hash, ENGINE)


def _parts(kept: Row, texts: Text, again: Row) -> Iterator[str]:
    """Yield what differs between a decision and the same one made again."""
    if kept.rule != again.rule:
        yield "rule"
    for part, old, new in zip(Text._fields, texts, decisions.text(again), strict=True):
        if old == new:
            continue
        was, now = msgspec.json.decode(old), msgspec.json.decode(new)
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        yield from (f"{part}.{name}" for name in names) if names else (part,)

"""Previews: what would follow if a code had a meaning, or had one no more, tried on all patients who have it.

A preview is long work, see `leased`, and there is one of each question. It is kept until a person decides
about the code, who may be a second one on another day, and for 30 days at most.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, text

from service.store import leased
from service.store.leased import Claim, Outcome

#: (system, code)
Code = tuple[str, str]

PURGED_AT_ONCE = 500
_IDS = uuid5(NAMESPACE_URL, "https://w3id.org/hipway/preview")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: whether a code means this, or would not mean it any more."""

    source: Code
    target: Code
    #: False: the meaning is taken away
    gives: bool

    @property
    def id(self) -> str:
        """Return the id of its preview."""
        return str(uuid5(_IDS, "\n".join((*self.source, *self.target, str(self.gives)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One preview, and how far it is."""

    id: str
    question: Question
    #: who asked, as a reference; empty: nobody was named
    asked_by: str
    #: the state of the ConceptMaps when it was asked for
    maps: str
    #: what was received before this moment of the service clock was there then
    seen_at: datetime
    #: how many patients there are to try, and how many were tried
    total: int
    gone: int
    #: for how many of those something would be different, and how many could not be evaluated
    moved: int
    failed: int
    failed_reason: str | None
    #: None: it goes on
    outcome: Outcome | None

    @property
    def percent(self) -> int:
        """Return how much is done; 100 only at the end."""
        if self.outcome == "finished":
            return 100
        return min(99, 100 * self.gone // self.total) if self.total else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What would be different for one patient."""

    patient: str
    #: JSON, see `service.preview`
    effects: str
    #: the CQL definition that errs already now, or the name of another error
    failed: str | None


def ask(
    tx: Connection,
    question: Question,
    patients: Sequence[str],
    *,
    by: str,
    maps: str,
    seen_at: datetime,
    anew: bool,
    tenant: int,
) -> None:
    """Promise a preview, unless there is one.

    Args:
        patients: in the order in which they are tried.
        by: who asks, as a reference; empty: nobody is named.
        maps: the state of the ConceptMaps.
        seen_at: the horizon below which no entry of theirs was missing, see `service.store.horizon`.
        anew: one that has ended, or goes on, is begun again.
    """
    if anew:
        _remove(tx, "id = :id", {"tenant": tenant, "id": question.id})
    statement = """
        INSERT INTO preview
            (tenant, id, source, target, gives, asked_by, maps, patients, seen_at, expires_at)
        VALUES (:tenant, :id, :source, :target, :gives, :by, :maps, :patients, :seen_at,
            clock_timestamp() + make_interval(secs => :kept_s))
        ON CONFLICT (tenant, id) DO NOTHING
    """
    values = {
        "tenant": tenant,
        "id": question.id,
        "source": list(question.source),
        "target": list(question.target),
        "gives": question.gives,
        "by": by,
        "maps": maps,
        "patients": list(patients),
        "seen_at": seen_at,
        "kept_s": leased.KEPT["preview"].total_seconds(),
    }
    tx.execute(text(statement), values)


def find(tx: Connection, id_: str, *, tenant: int) -> Preview | None:
    """Return a preview; None where nobody has asked for it, or it was decided on or has expired."""
    found = _previews(tx, "id = :id", {"tenant": tenant, "id": id_})
    return found[0] if found else None


def goes_on(tx: Connection, id_: str, *, tenant: int) -> bool:
    """Return whether a preview is there and has not ended; cheap enough to be asked again and again."""
    statement = "SELECT outcome IS NULL FROM preview WHERE tenant = :tenant AND id = :id"
    return bool(tx.execute(text(statement), {"tenant": tenant, "id": id_}).scalar_one_or_none())


def newest(tx: Connection, limit: int, *, tenant: int) -> list[Preview]:
    """Return the previews that there are, the newest first."""
    return _previews(tx, "true ORDER BY asked_at DESC LIMIT :limit", {"tenant": tenant, "limit": limit})


def untried(tx: Connection, id_: str, gone: int, limit: int, *, tenant: int) -> list[str]:
    """Return the next patients, behind those that are gone."""
    statement = "SELECT unnest(patients[:first \\: :last]) FROM preview WHERE tenant = :tenant AND id = :id"
    names = {"tenant": tenant, "id": id_, "first": gone + 1, "last": gone + limit}
    return list(tx.execute(text(statement), names).scalars())


def not_tried(tx: Connection, id_: str, patients: Collection[str], *, tenant: int) -> set[str]:
    """Return those of some patients who are not among the ones to be tried."""
    statement = """
        SELECT unnest(CAST(:patients AS text[]))
        EXCEPT SELECT unnest(patients) FROM preview WHERE tenant = :tenant AND id = :id
    """
    names = {"tenant": tenant, "id": id_, "patients": sorted(patients)}
    return set(tx.execute(text(statement), names).scalars())


def add(tx: Connection, id_: str, number: int, row: Row, *, tenant: int) -> None:
    """Keep what would be different for one patient.

    Args:
        number: the place of the patient.
    """
    statement = """
        INSERT INTO preview_effect (tenant, preview, number, patient, effects, failed)
        VALUES (:tenant, :preview, :number, :patient, :effects, :failed)
    """
    values = {
        "tenant": tenant,
        "preview": id_,
        "number": number,
        "patient": row.patient,
        "effects": row.effects,
        "failed": row.failed,
    }
    tx.execute(text(statement), values)


def effects(tx: Connection, id_: str, limit: int, *, tenant: int) -> list[Row]:
    """Return what would be different, for so many patients at most."""
    statement = """
        SELECT patient, effects, failed FROM preview_effect
        WHERE tenant = :tenant AND preview = :id ORDER BY number LIMIT :limit
    """
    rows = tx.execute(text(statement), {"tenant": tenant, "id": id_, "limit": limit})
    return [Row(**row) for row in rows.mappings()]


def reached(tx: Connection, claim: Claim, *, gone: int) -> None:
    """Note how many patients were tried, in the transaction that tried them, and give the preview back.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    leased.reached(tx, claim, {"gone": gone})


def finished(tx: Connection, claim: Claim, *, gone: int) -> None:
    """Note that all were tried, in the transaction of the last step.

    Raises:
        LeaseLost: the transaction must be rolled back.
    """
    statement = "UPDATE preview SET gone = :gone WHERE tenant = :tenant AND id = :id"
    tx.execute(text(statement), {"tenant": claim.tenant, "id": claim.id, "gone": gone})
    leased.finished(tx, claim)


def forget(tx: Connection, id_: str, *, tenant: int) -> None:
    """Remove a preview; whoever works on it keeps nothing of what it has done."""
    _remove(tx, "id = :id", {"tenant": tenant, "id": id_})


def decided(tx: Connection, source: Code, *, kept: Question | None = None, tenant: int) -> None:
    """Remove what was asked about a code: somebody has decided what it means.

    Args:
        kept: the question that waits for a second person.
    """
    names = {"tenant": tenant, "source": list(source), "kept": kept.id if kept else ""}
    _remove(tx, "source = :source AND id <> :kept", names)


def purge(tx: Connection, limit: int = PURGED_AT_ONCE) -> int:
    """Remove previews that have expired, and effects whose preview is gone; return how many."""
    expired = "expires_at < clock_timestamp() LIMIT :limit FOR UPDATE SKIP LOCKED"
    chosen = tx.execute(text(f"SELECT tenant, id FROM preview WHERE {expired}"), {"limit": limit}).all()  # noqa: S608
    for tenant, id_ in chosen:
        forget(tx, id_, tenant=tenant)
    orphans = """
        DELETE FROM preview_effect e
        WHERE NOT EXISTS (SELECT FROM preview p WHERE p.tenant = e.tenant AND p.id = e.preview)
    """
    return len(chosen) + tx.execute(text(orphans)).rowcount


def _remove(tx: Connection, which: str, names: dict[str, Any]) -> None:
    """Remove previews with their effects, in a transaction that sees what others have committed meanwhile.

    Two statements: the first one may wait for a step that is being committed, and a statement sees nothing
    that was committed after it began. The effects of that step are seen by the second.
    """
    previews = f"DELETE FROM preview WHERE tenant = :tenant AND {which} RETURNING id"  # noqa: S608 - our own words
    gone = list(tx.execute(text(previews), names).scalars())
    effects = "DELETE FROM preview_effect WHERE tenant = :tenant AND preview = ANY(:gone)"
    tx.execute(text(effects), {"tenant": names["tenant"], "gone": gone})


def _previews(tx: Connection, which: str, names: dict[str, Any]) -> list[Preview]:
    statement = f"""
        SELECT id, source, target, gives, asked_by, maps, seen_at, cardinality(patients) AS total, gone,
            failed_reason, outcome, moved, failed
        FROM preview p CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE e.failed IS NULL) AS moved, count(e.failed) AS failed
            FROM preview_effect e WHERE e.tenant = p.tenant AND e.preview = p.id
        ) AS e WHERE tenant = :tenant AND expires_at > clock_timestamp() AND {which}
    """  # noqa: S608 - our own words
    return [_preview(dict(row)) for row in tx.execute(text(statement), names).mappings()]


def _preview(row: dict[str, Any]) -> Preview:
    source, target = row.pop("source"), row.pop("target")
    question = Question(source=(source[0], source[1]), target=(target[0], target[1]), gives=row.pop("gives"))
    return Preview(question=question, **row)

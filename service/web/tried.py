"""What was tried about the meaning of a code, as the page of the code shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pathways.definition import Pathway
from service import preview
from service.fhir import retranslation
from service.preview import Preview, Use
from service.store import previews, site
from service.store.previews import Question
from service.web import queries, visit, worklist
from service.web.asked import Asked, Choice
from service.web.mapping import Mapped
from service.web.visit import TENANT, Visit

#: patients that are shown; of more there is the number
ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One question about a code, and what is known of it."""

    question: Question
    #: None: nobody has asked it
    preview: previews.Preview | None = None
    #: the patients for whom something would be different, as many as are shown
    moved: tuple[Preview, ...] = ()
    #: of patients, how many have an entry with the code that came since it was asked for
    newer: int = 0
    #: other meanings have changed since
    other_maps: bool = False

    @property
    def going_on(self) -> bool:
        """Return whether it is being tried."""
        return self.preview is not None and self.preview.outcome is None

    @property
    def ended(self) -> bool:
        """Return whether it was tried, on all patients or as far as it went: then it may be decided."""
        return self.preview is not None and self.preview.outcome is not None

    @property
    def untried(self) -> int:
        """Return how many patients were not tried, because it was given up."""
        return self.preview.total - self.preview.gone if self.preview and self.ended else 0


def read(
    tx: Connection,
    question: Question,
    pathways: Sequence[Pathway],
    *,
    maps: str,
    uses: Sequence[Use] | None = None,
    tenant: int,
) -> Tried:
    """Return what is known of a question; of what goes on only how far it is.

    Args:
        maps: the state of the ConceptMaps now.
        uses: of the code; None: they are read where they are needed.
    """
    found = previews.find(tx, question.id, tenant=tenant)
    if found is None or found.outcome is None:
        return Tried(question=question, preview=found)
    rows = previews.effects(tx, question.id, ROWS, tenant=tenant)
    if uses is None:
        uses = preview.uses(tx, question.source, tenant=tenant)
    return Tried(
        question=question,
        preview=found,
        moved=tuple(
            Preview(patient=row.patient, effects=preview.read(row.effects, pathways), failed=row.failed)
            for row in rows
        ),
        newer=_newer(tx, found, uses, tenant=tenant),
        other_maps=found.maps != maps,
    )


def values(
    tx: Connection,
    seen: Visit,
    asked: Asked,
    mapped: Mapped | None,
    chosen: Choice,
    uses: Sequence[Use] | None = None,
) -> dict[str, Any]:
    """Return what `_preview.html` shows.

    Args:
        uses: of the code; None: they are read where they are needed.
    """
    found = None
    if chosen.question:
        maps = retranslation.state(site.read(tx, tenant=TENANT))
        found = read(tx, chosen.question, visit.installed(), maps=maps, uses=uses, tenant=TENANT)
    moved = found.moved if found else ()
    return {
        "asked": asked,
        "mapped": mapped,
        "chosen": chosen,
        "address": {**asked.address, **chosen.address},
        "tried": found,
        "asked_by": _name(seen, found.preview) if found and found.preview else "",
        "moved": moved,
        "rows": ROWS,
        "people": visit.people_of(tx, seen, {each.patient for each in moved}),
        "plan_of": worklist.first_plans(
            worklist.place(plan, seen.words)
            for plan in queries.plans_of(tx, {each.patient for each in moved}, tenant=TENANT)
        ),
        "token": seen.forms.token,
    }


def _newer(tx: Connection, found: previews.Preview, uses: Sequence[Use], *, tenant: int) -> int:
    """Return how many patients have an entry with the code that was not there when it was asked for.

    Who was not to be tried is one of them whatever the clock says: one that was set stands still.
    """
    newer = {use.patient for use in uses if use.received >= found.seen_at}
    return len(newer | previews.not_tried(tx, found.id, {use.patient for use in uses}, tenant=tenant))


def _name(seen: Visit, found: previews.Preview) -> str:
    """Return who asked; of somebody who is no colleague any more the reference."""
    names = {colleague.reference: colleague.name for colleague in seen.colleagues}
    return names.get(found.asked_by, found.asked_by)

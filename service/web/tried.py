"""What was tried about the meaning of a code, as the page of the code shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pathways.definition import Pathway
from service import preview
from service.preview import Preview, Use
from service.store import previews
from service.store.previews import Question

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
    #: of patients, how many have had the code since it was tried
    newer: int = 0
    #: other meanings have changed since
    other_maps: bool = False

    @property
    def going_on(self) -> bool:
        """Return whether it is being tried."""
        return self.preview is not None and self.preview.outcome is None

    @property
    def ended(self) -> bool:
        """Return whether there is something to decide by."""
        return self.preview is not None and self.preview.outcome is not None


def read(
    tx: Connection,
    question: Question,
    pathways: Sequence[Pathway],
    *,
    maps: str,
    uses: Sequence[Use] = (),
    tenant: int,
) -> Tried:
    """Return what is known of a question.

    Args:
        maps: the state of the ConceptMaps now.
        uses: of the code, as far as it is wanted who has had it since.
    """
    found = previews.find(tx, question.id, tenant=tenant)
    if found is None:
        return Tried(question=question)
    rows = previews.effects(tx, question.id, ROWS, tenant=tenant)
    return Tried(
        question=question,
        preview=found,
        moved=tuple(
            Preview(patient=row.patient, effects=preview.read(row.effects, pathways), failed=row.failed)
            for row in rows
        ),
        newer=len({use.patient for use in uses if use.received > found.seen_at}),
        other_maps=found.maps != maps,
    )

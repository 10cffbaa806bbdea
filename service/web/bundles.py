"""What was sent last: by whom, with what answer, and what became of its entries."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pathways.disposition import Disposition
from service import dispositions
from service.store.sendings import Sending

#: how an entry may have ended, as columns; each entry is in exactly one
KINDS = ("used", "no-effect", "held", "rejected", "waiting")
NO_EFFECT, REJECTED = "no-effect", "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request."""

    sending: Sending
    #: by their kind, how many entries; all of `KINDS`. None: it could not be read
    counts: Mapping[str, int] | None

    @property
    def total(self) -> int:
        """Return how many entries it had."""
        return sum(self.counts.values()) if self.counts else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of some requests, how many were accepted and how many refused, and since when they came."""

    requests: int
    refused: int
    since: datetime | None


def summary(sendings: Sequence[Sending]) -> Summary:
    """Return how they were answered."""
    return Summary(
        requests=len(sendings),
        refused=sum(sending.status >= 400 or sending.refused > 0 for sending in sendings),
        since=sendings[-1].at if sendings else None,
    )


def rows(tx: Connection, sendings: Sequence[Sending], *, tenant: int) -> list[Row]:
    """Return the requests with what became of their entries.

    Each patient is read once, whatever was sent of them.
    """
    stored: dict[str, set[str]] = {}
    for sending in sendings:
        for patient in sending.patients:
            stored.setdefault(patient, set()).update(sending.stored)
    found: dict[str, Disposition] = {}
    for patient, references in stored.items():
        found |= dispositions.of(tx, patient, references, tenant=tenant)
    return [Row(sending=sending, counts=_counts(sending, found)) for sending in sendings]


def _counts(sending: Sending, found: Mapping[str, Disposition]) -> dict[str, int] | None:
    if sending.entries is None:
        return None
    counts = Counter(_kinds(sending.stored, found))
    counts[REJECTED] += sending.refused
    # What is left has stored nothing of its own: a GET, an entry like another one, or one sent again.
    counts[NO_EFFECT] += sending.entries - counts.total()
    return {kind: counts[kind] for kind in KINDS}


def _kinds(references: Iterable[str], found: Mapping[str, Disposition]) -> Iterable[str]:
    # What is about no patient, such as a person or a ConceptMap, is read besides and leads to nothing itself.
    return (str(found[r].kind) if r in found else NO_EFFECT for r in references)

"""A patient's record as the machine gets it: parsed FHIR resources in the order of their receipt."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

Json = dict[str, Any]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The current version of one resource. `seq` is its place in the order of receipt.

    A record has hundreds, and a frozen dataclass takes ten times as long to make.
    """

    type: str
    id: str
    version: int
    seq: int
    received: datetime
    body: Json

    @property
    def reference(self) -> str:
        """Return the literal reference without a version."""
        return f"{self.type}/{self.id}"

    @property
    def versioned(self) -> str:
        """Return the reference to exactly this version."""
        return f"{self.type}/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One patient. `received` came from outside, `own` was written by the pathway.

    `people` gives the practitioners who are known, by reference, with their names for explanations.
    """

    patient: Entry
    received: tuple[Entry, ...]
    own: Mapping[str, Entry]  # by reference
    people: Mapping[str, str]


def codings(concept: Any) -> tuple[Json, ...]:
    """Return the codings of a CodeableConcept, or none where it is absent."""
    return tuple(concept.get("coding", ())) if isinstance(concept, dict) else ()


def pairs(concept: Any) -> tuple[tuple[str, str], ...]:
    """Return (system, code) of each coding of a CodeableConcept."""
    if not isinstance(concept, dict):
        return ()
    # The most frequent call of a long record: a list is built in half the time of a generator.
    return tuple([(c.get("system", ""), c.get("code", "")) for c in concept.get("coding", ())])

"""What is read from the hospital's server: of each type what the pathways read, and nothing else.

Observations, Procedures, DiagnosticReports and Tasks by the codes of the pathways' input tables, and by the
codes of the hospital's own that its ConceptMaps translate into those. Never by status: a Subscription that
names one is not called when a result is withdrawn. Of Patients those that are known here.

http://hl7.org/fhir/R4/subscription.html#Subscription.criteria
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from pathways.definition import Pathway
from service.fhir import knowledge
from service.hospital import theirs
from service.store import site

Json = Mapping[str, Any]
Code = tuple[str, str]

#: in the order in which they are asked for: what is referred to before what refers to it
CODED = ("Observation", "Procedure", "DiagnosticReport", "Task")
PEOPLE = "Patient"

#: in a criterion these stand as they are, which people can read
READABLE = "/:|,-_."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for of one type."""

    type: str
    #: of which a resource has one; empty: any
    codes: frozenset[Code]

    @property
    def parameters(self) -> dict[str, str]:
        """Return the parameters of the search, without those that page."""
        return {"code": ",".join(map(token, sorted(self.codes)))} if self.codes else {}

    @property
    def criteria(self) -> str:
        """Return the criteria of the Subscription."""
        return f"{self.type}?" + "&".join(
            f"{n}={quote(v, safe=READABLE)}" for n, v in self.parameters.items()
        )

    @property
    def digest(self) -> str:
        """Return by what the question is known again."""
        return hashlib.sha256(self.criteria.encode()).hexdigest()

    def wants(self, resource: Json) -> bool:
        """Return whether a resource is what was asked for: a server may ignore a parameter."""
        if resource.get("resourceType") != self.type:
            return False
        return not self.codes or bool(self.codes & theirs.codes(resource))


def questions(tx: Connection, installed: Iterable[Pathway], *, tenant: int) -> tuple[Question, ...]:
    """Return everything that is asked for."""
    translations = knowledge.translations(tx, site.read(tx, tenant=tenant).concept_maps, tenant=tenant)
    read = _codes(installed)
    local = {
        source: {(str(target.get("system")), str(target.get("code"))) for target in targets}
        for source, targets in translations.items()
    }
    coded = (
        Question(type=type_, codes=frozenset(codes | {c for c, targets in local.items() if targets & codes}))
        for type_, codes in read.items()
        if codes
    )
    return (*coded, Question(type=PEOPLE, codes=frozenset()))


def _codes(installed: Iterable[Pathway]) -> dict[str, set[Code]]:
    found: dict[str, set[Code]] = {type_: set() for type_ in CODED}
    for row in (row for pathway in installed for row in pathway.gate.rows):
        if row["resource"] in found:
            found[row["resource"]] |= {(code["system"], code["code"]) for code in row["codes"]}
        reports = row.get("reportCodes", {})
        found["DiagnosticReport"] |= {
            (reports["system"], code)
            for name, codes in reports.items()
            if isinstance(codes, list)
            for code in codes
        }
    return found


def token(code: Code) -> str:
    """Return a token of a search, with what separates tokens taken for itself.

    http://hl7.org/fhir/R4/search.html#escaping
    """
    return "|".join(part.translate({ord(mark): f"\\{mark}" for mark in "\\,$|"}) for part in code)

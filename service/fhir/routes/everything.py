"""The operation `Patient/[id]/$everything`: all that is kept about one patient, and whom it names.

http://hl7.org/fhir/R4/patient-operation-everything.html
OperationDefinition: fhir_profiles/definitions/OperationDefinition-Patient-everything.json
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from flask import Response

from fhir_profiles import reading
from service import accessed
from service.fhir import blueprint, operations, paging, references
from service.fhir.blueprint import fhir, needs
from service.fhir.operations import Given
from service.fhir.refusals import Gone, Issue, NotExchanged, NotFound
from service.fhir.searching import DEFAULT_COUNT, MOST_COUNT, TYPES
from service.store import compartment, resources, search_index
from service.store.compartment import Wanted
from service.store.resources import Stored
from service.store.senders import READ

PARAMETERS = ("start", "end", "_since", "_type", "_count", "_page")
_PAGE = re.compile(r"([01])-(\d{1,18})")


@fhir.get("/Patient/<id_>/$everything")
@fhir.post("/Patient/<id_>/$everything")
@needs(READ)
def everything(id_: str) -> Response:
    """Return a page of everything about the patient."""
    given = operations.given(PARAMETERS)
    wanted = Wanted(
        patient=id_,
        types=_types(given),
        since=_instants(given, "_since", 0),
        start=_instants(given, "start", 0),
        end=_instants(given, "end", 1),
    )
    count, after = _count(given), _after(given)
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        patient = resources.current(tx, "Patient", id_, tenant=blueprint.TENANT)
        if patient is None:
            raise NotFound(Issue(code="not-found", text="there is no such Patient"))
        if patient.deleted:
            raise Gone(Issue(code="deleted", text="the Patient was removed"))
        page = compartment.page(tx, wanted, tenant=blueprint.TENANT, count=count, after=after)
        named = resources.ask_all(tx, _named(page.resources, wanted), tenant=blueprint.TENANT)()
    accessed.note([id_], f"Patient/{id_}")
    # Of the types alone that are about nobody: another patient's are never shown along.
    around = [each for each in named.values() if each.patient is None and not each.deleted]
    entries = [*(_entry(r, "match") for r in page.resources), *(_entry(r, "include") for r in around)]
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": page.total,
        "link": [{"relation": "self", "url": _url(id_, given, count, after)}],
    }
    if page.next_after is not None:
        bundle["link"].append({"relation": "next", "url": _url(id_, given, count, page.next_after)})
    return blueprint.resource(reading.write({**bundle, "entry": entries} if entries else bundle).decode())


@fhir.get("/Patient/$everything")
@fhir.post("/Patient/$everything")
@needs(READ)
def everybody() -> Response:
    """Refuse to answer with everybody's data at once, and say what there is."""
    text = "this is asked of one patient, Patient/id/$everything; for all of them poll _history with _since"
    raise NotExchanged(Issue(code="not-supported", text=text))


def _named(shown: Iterable[Stored], wanted: Wanted) -> set[tuple[str, str]]:
    """Return who and what else is named: people, organizations, devices, places."""
    found = (
        references.local(each.target) for stored in shown for each in references.literal(stored.resource)
    )
    return {
        identity
        for identity in found
        if identity
        and identity[0] not in search_index.PATIENT_ELEMENTS
        and identity[0] != "Patient"
        and (wanted.types is None or identity[0] in wanted.types)
    }


def _entry(stored: Stored, mode: str) -> dict[str, Any]:
    return {
        "fullUrl": f"{blueprint.base()}{stored.reference}",
        "resource": msgspec.Raw(stored.body.encode()),
        "search": {"mode": mode},
    }


def _types(given: Given) -> list[str] | None:
    if not given.texts.get("_type"):
        return None
    types = [type_ for text in given.texts["_type"] for type_ in text.split(",")]
    if unknown := [type_ for type_ in types if type_ not in TYPES]:
        text = f"{len(unknown)} of the types in _type are not kept here; see metadata"
        raise NotExchanged(Issue(code="value", text=text))
    return types


def _instants(given: Given, name: str, which: int) -> datetime | None:
    """Return the first instant that a date may mean, or the first that it no longer means."""
    text = given.text(name)
    if text is None:
        return None
    found = search_index.instants(text)
    if found is None:
        raise NotExchanged(Issue(code="value", text=f"{name} is a date or an instant"))
    return found[which]


def _count(given: Given) -> int:
    text = given.text("_count")
    if text is None:
        return DEFAULT_COUNT
    if not text.isascii() or not text.isdigit() or int(text[:9]) == 0:
        raise NotExchanged(Issue(code="value", text="_count is a whole number from 1 on"))
    return min(int(text[:9]), MOST_COUNT)


def _after(given: Given) -> tuple[int, int]:
    text = given.text("_page")
    if text is None:
        return 0, 0
    match = _PAGE.fullmatch(text)
    if match is None:
        raise NotExchanged(Issue(code="value", text="_page is what the link of the page before says"))
    return int(match[1]), int(match[2])


def _url(id_: str, given: Given, count: int, after: tuple[int, int]) -> str:
    asked = [
        (name, text) for name in ("start", "end", "_since", "_type") for text in given.texts.get(name, ())
    ]
    asked.append(("_count", str(count)))
    if after != (0, 0):
        asked.append(("_page", f"{after[0]}-{after[1]}"))
    return paging.url(f"{blueprint.base()}Patient/{id_}/$everything", asked)

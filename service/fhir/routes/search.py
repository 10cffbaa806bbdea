"""FHIR search on one type, by GET or by POST to `_search`.

Who searches by `_lastUpdated` to learn what is new must miss nothing: such a search ends at the horizon
below which nothing can still appear (`service.store.horizon`), and its next pages at the same one.

http://hl7.org/fhir/R4/http.html#search
"""

from flask import Response

from fhir_profiles import reading
from service.fhir import access_events, blueprint, media_types, searching, searchset, terminology
from service.fhir.blueprint import fhir, needs
from service.fhir.searching import TYPES
from service.store import horizon
from service.store.senders import READ


@fhir.get("/<type_>")
def search(type_: str) -> Response:
    """Return a page of the resources that match."""
    return _answer(blueprint.known(type_), media_types.search_parameters())


@fhir.post("/<type_>/_search")
@needs(READ)
def search_by_form(type_: str) -> Response:
    """Return the same; the parameters stand in the body, where no log sees them."""
    return _answer(blueprint.known(type_), media_types.search_parameters())


@fhir.get(f"/Patient/<id_>/<any({','.join(TYPES)}):type_>")
def search_compartment(id_: str, type_: str) -> Response:
    """Return a page of what matches among what belongs to the patient.

    http://hl7.org/fhir/R4/http.html#vsearch
    """
    return _answer(blueprint.known(type_), media_types.search_parameters(), within=id_)


@fhir.post(f"/Patient/<id_>/<any({','.join(TYPES)}):type_>/_search")
@needs(READ)
def search_compartment_by_form(id_: str, type_: str) -> Response:
    """Return the same; the parameters stand in the body, where no log sees them."""
    return _answer(blueprint.known(type_), media_types.search_parameters(), within=id_)


def _answer(type_: str, asked: list[tuple[str, str]], *, within: str | None = None) -> Response:
    if within is None and access_events.asked_for(type_, asked):
        return _accesses(asked)
    wanted = searching.read(
        type_,
        asked,
        base=blueprint.base(),
        lenient=blueprint.lenient(),
        terminology=terminology.of_database(blueprint.database(), tenant=blueprint.TENANT),
        tenant=blueprint.TENANT,
        within=within,
    )
    if wanted.polls:
        with blueprint.database().transaction() as tx:
            wanted = wanted.until(horizon.read(tx))
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        found = searchset.bundle(tx, wanted, base=blueprint.base(), tenant=blueprint.TENANT)
    return blueprint.resource(reading.write(found).decode())


def _accesses(asked: list[tuple[str, str]]) -> Response:
    base = blueprint.base()
    wanted = access_events.read(asked, base=base, lenient=blueprint.lenient())
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        found = access_events.bundle(tx, wanted, base=base, tenant=blueprint.TENANT)
    return blueprint.resource(reading.write(found).decode())

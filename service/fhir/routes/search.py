"""FHIR search on one type, by GET or by POST to `_search`.

Who searches by `_lastUpdated` to learn what is new must miss nothing: such a search ends at the horizon
below which nothing can still appear (`service.store.horizon`), and its next pages at the same one.

http://hl7.org/fhir/R4/http.html#search
"""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec
from flask import Response, request

from fhir_profiles import reading
from service.fhir import blueprint, searching, subset
from service.fhir.blueprint import fhir
from service.fhir.searching import Search
from service.store import finding, horizon
from service.store.finding import Page


@fhir.get("/<type_>")
def search(type_: str) -> Response:
    """Return a page of the resources that match."""
    return _answer(blueprint.known(type_), list(request.args.items(multi=True)))


@fhir.post("/<type_>/_search")
def search_by_form(type_: str) -> Response:
    """Return the same; the parameters stand in the body, where no log sees them."""
    asked = [*request.args.items(multi=True), *request.form.items(multi=True)]
    return _answer(blueprint.known(type_), asked)


def _answer(type_: str, asked: list[tuple[str, str]]) -> Response:
    wanted = searching.read(type_, asked, base=blueprint.base(), lenient=blueprint.lenient())
    if any(name == "_lastUpdated" for name, _ in wanted.used):
        with blueprint.database().transaction() as tx:
            wanted = wanted.until(horizon.read(tx))
    with blueprint.database().transaction("REPEATABLE READ") as tx:
        page = finding.page(
            tx,
            wanted.conditions,
            wanted.parameters,
            tenant=blueprint.TENANT,
            type_=type_,
            count=wanted.count,
            after=wanted.after,
        )
    return blueprint.resource(reading.write(_bundle(wanted, page)).decode())


def _bundle(wanted: Search, page: Page) -> dict[str, object]:
    links = [{"relation": "self", "url": _url(wanted, wanted.used, wanted.after)}]
    if page.next_after is not None:
        links.append({"relation": "next", "url": _url(wanted, wanted.used_further, page.next_after)})
    entries = [
        {
            "fullUrl": f"{blueprint.base()}{stored.reference}",
            "resource": msgspec.Raw(subset.of(stored.body, wanted.shape).encode()),
            "search": {"mode": "match"},
        }
        for stored in page.resources
    ]
    bundle: dict[str, object] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": page.total,
        "link": links,
    }
    return {**bundle, "entry": entries} if entries else bundle


def _url(wanted: Search, used: Sequence[tuple[str, str]], after: int) -> str:
    asked = [*used, ("_count", str(wanted.count)), *([("_page", str(after))] if after else [])]
    return f"{blueprint.base()}{wanted.type}?{urlencode(asked, safe='/|,:', quote_via=quote)}"

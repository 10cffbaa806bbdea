"""The answer to a search: a Bundle with a page of what matches.

http://hl7.org/fhir/R4/search.html
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from sqlalchemy import Connection

from service import accessed
from service.fhir import subset
from service.fhir.searching import Search
from service.store import finding
from service.store.finding import Page


def bundle(tx: Connection, wanted: Search, *, base: str, tenant: int) -> dict[str, Any]:
    """Return the Bundle with the page that is asked for.

    Args:
        base: the service's own base; links and full URLs begin with it.
    """
    page = finding.page(
        tx,
        wanted.conditions,
        wanted.parameters,
        tenant=tenant,
        type_=wanted.type,
        count=wanted.count,
        after=wanted.after,
    )
    accessed.note(found.patient for found in page.resources)
    entries = [
        {
            "fullUrl": f"{base}{stored.reference}",
            "resource": msgspec.Raw(subset.of(stored.body, wanted.shape).encode()),
            "search": {"mode": "match"},
        }
        for stored in page.resources
    ]
    found: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": page.total,
        "link": _links(wanted, page, base),
    }
    return {**found, "entry": entries} if entries else found


def _links(wanted: Search, page: Page, base: str) -> list[dict[str, str]]:
    links = [{"relation": "self", "url": _url(wanted, wanted.used, wanted.after, base)}]
    if page.next_after is not None:
        links.append({"relation": "next", "url": _url(wanted, wanted.used_further, page.next_after, base)})
    return links


def _url(wanted: Search, used: Sequence[tuple[str, str]], after: int, base: str) -> str:
    asked = [*used, ("_count", str(wanted.count)), *([("_page", str(after))] if after else [])]
    return f"{base}{wanted.type}?{urlencode(asked, safe='/|,:', quote_via=quote)}"

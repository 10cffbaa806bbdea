"""The answer to a search: a Bundle with a page of what matches, and what was asked to be sent along.

http://hl7.org/fhir/R4/search.html
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from service import accessed
from service.fhir import indexed, paging, subset
from service.fhir.criteria import including, sql
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import TYPES, After, Search
from service.store import finding
from service.store.finding import Page, Place
from service.store.resources import Stored


def bundle(tx: Connection, wanted: Search, *, base: str, tenant: int) -> dict[str, Any]:
    """Return the Bundle with the page that is asked for.

    Args:
        base: the service's own base; links and full URLs begin with it.

    Raises:
        NotIndexed: what is stored was not yet indexed for such a search.
        NotExchanged: the page begins after something that is no longer there.
        TooLarge: more would be sent along than one page holds.
    """
    if wanted.needs_rows:
        indexed.refuse_unindexed(tx, tenant=tenant)
    condition = wanted.condition
    total = None
    if wanted.total != "none":
        total = finding.total(
            tx, condition.text, condition.values, exact=wanted.total == "accurate", few=wanted.few
        )
    page = Page(resources=(), more=False)
    if wanted.count:
        place = _place(tx, wanted)
        if place is not None and not wanted.sort:
            condition = sql.after(condition, place.key)
        page = finding.page(
            tx,
            condition.text,
            condition.values,
            count=wanted.count,
            after=place,
            order=[one.order for one in wanted.sort],
            few=wanted.few,
        )
    along = including.carry_out(tx, wanted.include, page.resources, tenant=tenant, types=TYPES)
    accessed.note(found.patient for found in (*page.resources, *along))
    entries = [_entry(stored, wanted, base, "match") for stored in page.resources]
    entries += [_entry(stored, wanted, base, "include") for stored in along]
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        found["total"] = total
    found["link"] = _links(wanted, page, base)
    return {**found, "entry": entries} if entries else found


def _entry(stored: Stored, wanted: Search, base: str, mode: str) -> dict[str, Any]:
    # `_elements` names elements of what is searched for.
    shape = wanted.shape if mode == "match" or not wanted.shape.elements else subset.Shape()
    return {
        "fullUrl": f"{base}{stored.reference}",
        "resource": msgspec.Raw(subset.of(stored.body, shape).encode()),
        "search": {"mode": mode},
    }


def _place(tx: Connection, wanted: Search) -> Place | None:
    """Return where the page begins: by what its predecessor's last resource was sorted, as it was then."""
    after = wanted.after
    if after is None or not wanted.sort:
        return Place(key=after.key) if after else None
    last = finding.shown(tx, after.key, after.seq) if after.seq is not None else None
    if last is None:
        text = "the page begins after something that is not there; begin with the first page"
        raise NotExchanged(Issue(code="value", text=text))
    return Place(key=after.key, values=tuple(one.value_of(last) for one in wanted.sort))


def _links(wanted: Search, page: Page, base: str) -> list[dict[str, str]]:
    links = [{"relation": "self", "url": _url(wanted, wanted.used, wanted.after, base)}]
    if page.more:
        last = page.resources[-1]
        assert last.key is not None
        after = After(key=last.key, seq=last.seq if wanted.sort else None)
        links.append({"relation": "next", "url": _url(wanted, wanted.used_further, after, base)})
    return links


def _url(wanted: Search, used: Sequence[tuple[str, str]], after: After | None, base: str) -> str:
    asked = [*used, ("_count", str(wanted.count)), *([("_page", str(after))] if after else [])]
    return paging.url(f"{base}{wanted.path}", asked)

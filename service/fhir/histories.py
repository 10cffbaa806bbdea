"""What a history is asked for, read from the query.

http://hl7.org/fhir/R4/http.html#history
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service import digits
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import DEFAULT_COUNT, MOST_COUNT
from service.store import search_index
from service.store.changes import Place

#: the page of one resource goes on below a version, that of many below a moment and a number
_PAGE = re.compile(r"(?P<until>\d{1,15})-(?P<at>\d{1,18})-(?P<seq>\d{1,18})|(?P<version>\d{1,9})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which versions, and which page of them."""

    #: as it was given and used, for the links
    used: tuple[tuple[str, str], ...]
    since: datetime | None
    #: of one resource: the first moment of the period, and the first after it
    at: tuple[datetime, datetime] | None
    count: int
    #: of one resource: below which version the page begins
    below: int | None = None
    #: of many: the horizon of the first page, which holds for all
    until: datetime | None = None
    #: of many: after which version the page begins
    after: Place | None = None


def read(asked: Iterable[tuple[str, str]], *, of_one: bool, lenient: bool) -> Asked:
    """Return what the parameters ask for.

    Args:
        of_one: of one resource, not of a type or of all.
        lenient: pass over what is not known, as `Prefer: handling=lenient` asks.

    Raises:
        NotExchanged: a parameter is not known here, or its value cannot be read.
    """
    given: dict[str, str] = {}
    for name, value in asked:
        if name == "_at" and not of_one:
            text = "_at is answered for one resource: ask Type/id/_history; for many, ask with _since"
            raise NotExchanged(Issue(code="not-supported", text=text))
        if name not in ("_at", "_count", "_format", "_page", "_pretty", "_since"):
            if lenient:
                continue
            known = "_at, _count, _since" if of_one else "_count, _since"
            raise NotExchanged(Issue(code="not-supported", text=f"a history is asked for with {known}"))
        if name in given:
            raise NotExchanged(Issue(code="value", text=f"{name} is given twice"))
        given[name] = value
    count = min(_number("_count", given["_count"]), MOST_COUNT) if "_count" in given else DEFAULT_COUNT
    below, until, after = _page(given.get("_page"), of_one)
    return Asked(
        used=tuple((name, given[name]) for name in ("_since", "_at") if name in given),
        since=_period("_since", given["_since"])[0] if "_since" in given else None,
        at=_period("_at", given["_at"]) if "_at" in given else None,
        count=count,
        below=below,
        until=until,
        after=after,
    )


def next_page(until: datetime, after: Place) -> str:
    """Return the value of `_page` for what follows a page of many resources."""
    return f"{_count_of(until, timedelta(milliseconds=1))}-{_count_of(after[0], _MICROSECOND)}-{after[1]}"


_MICROSECOND = timedelta(microseconds=1)


def _page(text: str | None, of_one: bool) -> tuple[int | None, datetime | None, Place | None]:
    if text is None:
        return None, None, None
    match = _PAGE.fullmatch(text) if text.isascii() else None
    if match is None or (match["version"] is not None) is not of_one:
        raise NotExchanged(Issue(code="value", text="_page is taken from the next link of the page before"))
    if of_one:
        return int(match["version"]), None, None
    try:
        until = _EPOCH + int(match["until"]) * timedelta(milliseconds=1)
        at = _EPOCH + int(match["at"]) * _MICROSECOND
    except OverflowError:
        raise NotExchanged(Issue(code="value", text="_page is taken from the next link")) from None
    return None, until, (at, int(match["seq"]))


def _period(name: str, text: str) -> tuple[datetime, datetime]:
    # A plus before the zone arrives as a space when it was not escaped.
    interval = search_index.instants(text.replace(" ", "+"))
    if interval is None:
        raise NotExchanged(Issue(code="value", text=f"{name} is a date or an instant with its zone"))
    return interval


def _number(name: str, value: str) -> int:
    found = digits.read(value, most=9)
    if found is None:
        raise NotExchanged(Issue(code="value", text=f"{name} is a whole number"))
    return found


def _count_of(moment: datetime, unit: timedelta) -> int:
    return (moment - _EPOCH) // unit

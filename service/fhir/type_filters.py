"""`_typeFilter` of an export: searches that limit what is written of a type.

A type without one is written whole; of several of one type, one must be fulfilled. They are kept as text with
the export, and read again by each step that writes some of it.

http://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from service.fhir import searching
from service.fhir.criteria import including, sql
from service.fhir.criteria.sql import Sql
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import Search
from service.fhir.terminology import Terminology

#: of one export
MOST = 20
#: they shape an answer, and a filter only selects
NO_CRITERIA = frozenset({*searching.OF_THE_ANSWER, *including.NAMES})

# Searches may stand in one parameter between commas, and commas in their values: a new one has its type.
_BETWEEN = re.compile(r",(?=[A-Za-z]+\?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What was asked for."""

    #: each as `Type?criteria`, with what of it is used
    texts: tuple[str, ...]
    #: how many criteria and filters are not used, where the client asked to pass over them
    passed_over: int


def read(
    texts: Iterable[str],
    types: Collection[str],
    *,
    base: str,
    lenient: bool,
    terminology: Terminology,
    tenant: int,
) -> Filters:
    """Return the filters that are asked for.

    Args:
        types: those that are written.
        lenient: pass over what is not known, as `Prefer: handling=lenient` asks.

    Raises:
        NotExchanged: a filter is no search of one of the types, or there are too many.
    """
    kept, passed_over = list[str](), 0
    separated = [part.strip() for text in texts for part in _BETWEEN.split(text)]
    if len(separated) > MOST:
        raise NotExchanged(Issue(code="too-costly", text=f"an export has at most {MOST} filters"))
    for text in separated:
        type_, mark, query = text.partition("?")
        if not mark:
            raise NotExchanged(Issue(code="value", text="_typeFilter is a search, as Type?parameter=value"))
        if type_ not in types:
            if not lenient:
                said = "_typeFilter is a search of a type that is written; name it in _type as well"
                raise NotExchanged(Issue(code="value", text=said))
            passed_over += 1
            continue
        asked = _asked(query)
        criteria = [each for each in asked if each[0].partition(":")[0] not in NO_CRITERIA]
        if len(criteria) < len(asked) and not lenient:
            said = f"a filter only selects: {', '.join(sorted(NO_CRITERIA))} are no parts of it"
            raise NotExchanged(Issue(code="not-supported", text=said))
        search = searching.read(
            type_, criteria, base=base, lenient=lenient, terminology=terminology, tenant=tenant
        )
        kept.append(f"{type_}?{urlencode(search.used, quote_via=quote)}")
        passed_over += len(asked) - len(search.used)
    return Filters(texts=tuple(kept), passed_over=passed_over)


def condition(
    texts: Sequence[str], type_: str, *, base: str, terminology: Terminology, tenant: int, few: bool
) -> Sql | None:
    """Return the condition about `r` that one of the filters of a type is fulfilled; None: it has none.

    Args:
        texts: those of `Filters`.
        few: what is asked is otherwise narrowed to few resources, as to those of some patients.
    """
    split = [text.partition("?") for text in texts]
    found = [
        searching.read(type_, _asked(query), base=base, lenient=False, terminology=terminology, tenant=tenant)
        for of, _, query in split
        if of == type_
    ]
    if not found:
        return None
    if few or len(found) == 1:
        return sql.any_of(Sql(f"({one.text})", one.values) for one in (_condition(s, few) for s in found))
    # Each is looked for by itself: joined by OR, none of them could be looked for at all.
    each = [_condition(search, few) for search in found]
    union = " UNION ".join(f"SELECT r.key FROM resource r WHERE {one.text}" for one in each)  # noqa: S608
    return Sql(f"r.key IN ({union})", tuple(value for one in each for value in one.values))


def _condition(search: Search, few: bool) -> Sql:
    return sql.asked_of_each(sql.all_of(search.conditions), few=few or search.few)


def _asked(query: str) -> list[tuple[str, str]]:
    # A plus is a plus: the query was decoded once with the parameter that it stands in.
    asked = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    if any("\0" in text for pair in asked for text in pair):
        # Decoded once more it may hold what the request does not.
        raise NotExchanged(Issue(code="value", text="a character is not allowed in _typeFilter"))
    return asked

"""A search as a value: what was asked, and the SQL for it.

http://hl7.org/fhir/R4/search.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fhir_profiles.r4 import schemas
from service import digits
from service.fhir import subset
from service.fhir.criteria import compartments, conditions, including, references, sorting, sql
from service.fhir.criteria.including import Include
from service.fhir.criteria.sorting import Sort
from service.fhir.criteria.sql import Sql
from service.fhir.entries import NOT_KEPT
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.subset import Shape
from service.fhir.terminology import Terminology
from service.store import content
from service.store.indexing import parameters

DEFAULT_COUNT = 50
MOST_COUNT = 1_000
#: criteria of one search
MOST_CRITERIA = 40

#: they shape the answer and select nothing
OF_THE_ANSWER = ("_count", "_elements", "_format", "_page", "_pretty", "_sort", "_summary", "_total")
#: of them those that a link repeats as they were given
REPEATED = ("_sort", "_total")
#: how another server counts, which a client made for it always sends; it selects nothing
OF_OTHERS = ("_totalMethod",)

#: the modifiers of `_total`: none, only where it is quickly counted, exactly
TOTALS = ("none", "estimate", "accurate")

#: what is kept of R4
TYPES = tuple(sorted(set(schemas.RESOURCES) - set(NOT_KEPT)))

WHOLE = Shape()

_PAGE = re.compile(r"(?P<key>\d{1,18})(\.(?P<seq>\d{1,18}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """Which resource a page begins after, and, where it is sorted, which version of it was shown."""

    key: int
    seq: int | None = None

    def __str__(self) -> str:
        return str(self.key) if self.seq is None else f"{self.key}.{self.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was asked for."""

    tenant: int
    type: str
    #: parameter and value as they were given and used, for the self link
    used: tuple[tuple[str, str], ...]
    #: about `r`
    conditions: tuple[Sql, ...]
    count: int
    #: which part of each resource
    shape: Shape = WHOLE
    sort: tuple[Sort, ...] = ()
    include: tuple[Include, ...] = ()
    #: one of TOTALS
    total: str = "estimate"
    #: None: the first page
    after: After | None = None
    #: the patient in whose compartment is searched
    within: str | None = None
    #: a criterion leaves few resources, as one about a patient does
    few: bool = False
    #: it reads the rows that `hipway reindex` makes
    needs_rows: bool = False
    #: beyond which nothing is shown, because something before it may still appear
    ends: datetime | None = None

    @property
    def condition(self) -> Sql:
        """Return all conditions as one."""
        if self.few:
            return sql.asked_of_each(sql.all_of(self.conditions), few=True)
        conditions = sql.driven(self.conditions, self.type, tenant=self.tenant)
        return sql.asked_of_each(sql.all_of(conditions), few=False)

    @property
    def polls(self) -> bool:
        """Return whether it may be asked to learn what is new."""
        return any(name == "_lastUpdated" for name, _ in self.used)

    @property
    def path(self) -> str:
        """Return what is searched, beneath the base."""
        return f"Patient/{self.within}/{self.type}" if self.within else self.type

    def until(self, horizon: datetime) -> "Search":
        """Return the search of what was received before the horizon."""
        before = Sql("r.received < %s", (horizon,))
        return replace(self, conditions=(*self.conditions, before), ends=horizon)

    @property
    def used_further(self) -> tuple[tuple[str, str], ...]:
        """Return what the next page is asked for with: the horizon of the first one holds for all."""
        if self.ends is None or self.after:
            return self.used
        return (*self.used, ("_lastUpdated", f"lt{content.instant(self.ends)}"))


def parameters_of(type_: str) -> Mapping[str, str]:
    """Return the search parameters of a type and their kinds, as the CapabilityStatement has them."""
    found = conditions.parameters_of(type_)
    # R4 has it as a string, and it is asked by words.
    return {name: "string" if each.kind == "narrative" else each.kind for name, each in found.items()}


def read(
    type_: str,
    asked: Iterable[tuple[str, str]],
    *,
    base: str,
    lenient: bool,
    terminology: Terminology,
    tenant: int = 0,
    within: str | None = None,
) -> Search:
    """Return the search that the parameters ask for.

    Args:
        base: the service's own base; a reference may begin with it.
        lenient: pass over what is not known, as `Prefer: handling=lenient` asks.
        terminology: by which codes are compared with sets of codes.
        within: the id of a patient to whose compartment what is found must belong.

    Raises:
        NotExchanged: a parameter is not known, or its value cannot be read.
    """
    asked = tuple(asked)
    shape = subset.read(asked, of_search=True)
    subset.check(type_, shape)
    reader = _Reader(type_, base=base, lenient=lenient, terminology=terminology)
    for name, value in asked:
        if name in OF_OTHERS:
            continue
        if name in OF_THE_ANSWER:
            reader.shape(name, value)
        elif name.partition(":")[0] in including.NAMES:
            reader.include(name, value)
        else:
            reader.criterion(name, value)
    return reader.search(shape, tenant=tenant, within=within)


class _Reader:
    """Collects what the parameters of one search ask for."""

    def __init__(self, type_: str, *, base: str, lenient: bool, terminology: Terminology) -> None:
        self._type, self._base, self._lenient = type_, base, lenient
        self._terminology = terminology
        self._used: list[tuple[str, str]] = []
        self._shaping: list[tuple[str, str]] = []
        self._conditions: list[Sql] = []
        self._include: list[Include] = []
        self._sort: tuple[Sort, ...] = ()
        self._total, self._count = "estimate", DEFAULT_COUNT
        self._after: After | None = None
        self._ways = conditions.Ways()
        self._needs_rows = False
        self._few = False

    def shape(self, name: str, value: str) -> None:
        """Read a parameter that selects nothing."""
        match name:
            case "_count":
                self._count = min(number(name, value), MOST_COUNT)
            case "_page":
                self._after = _after(value)
            case "_total":
                if value not in TOTALS:
                    raise NotExchanged(Issue(code="value", text=f"_total is one of {', '.join(TOTALS)}"))
                self._total = value
            case "_sort":
                self._sort = sorting.read(self._type, value, base=self._base, when_unknown=self._passed_over)
                if not self._sort:
                    return
                value = ",".join(f"{'-' if one.descending else ''}{one.asked.name}" for one in self._sort)
        if name in REPEATED or (name in subset.PARAMETERS and value):
            self._shaping.append((name, value))

    def include(self, name: str, value: str) -> None:
        """Read what is to be sent along."""
        found = including.read(name, value, self._type, base=self._base, types=TYPES)
        self._include += found
        if len(self._include) > including.MOST_NAMED and not value.endswith("*"):
            text = f"at most {including.MOST_NAMED} parameters say what is sent along"
            raise NotExchanged(Issue(code="too-costly", text=text))
        self._used.append((name, value))

    def criterion(self, name: str, value: str) -> None:
        """Read a parameter that selects."""
        try:
            found = conditions.condition(
                self._type,
                name,
                value,
                base=self._base,
                types=TYPES,
                ways=self._ways,
                terminology=self._terminology,
            )
        except conditions.Unknown as unknown:
            self._passed_over(unknown)
            return
        if len(self._conditions) >= MOST_CRITERIA:
            text = f"a search has at most {MOST_CRITERIA} criteria"
            raise NotExchanged(Issue(code="too-costly", text=text))
        self._needs_rows |= _needs_rows(self._type, name)
        self._few |= _leaves_few(self._type, name, value)
        self._used.append((name, value))
        self._conditions.append(found)

    def search(self, shape: Shape, *, tenant: int, within: str | None) -> Search:
        """Return all of it as one search."""
        first = [
            Sql("r.tenant = %s", (tenant,)),
            Sql("r.type = %s", (self._type,)),
            Sql("NOT r.deleted"),
        ]
        if within is not None:
            first.append(compartments.condition(self._type, within, tenant=tenant))
        return Search(
            tenant=tenant,
            type=self._type,
            used=(*self._used, *self._shaping),
            conditions=(*first, *self._conditions),
            count=0 if shape.summary == "count" else self._count,
            shape=shape,
            sort=self._sort,
            include=tuple(self._include),
            # A count that is asked for is exact.
            total="accurate" if shape.summary == "count" else self._total,
            after=self._after,
            within=within,
            few=self._few or within is not None,
            needs_rows=self._needs_rows
            or bool(self._include)
            or within is not None
            or any(sorting.needs_rows(one) for one in self._sort),
        )

    def _passed_over(self, refusal: NotExchanged) -> None:
        if not self._lenient:
            raise refusal


def _needs_rows(type_: str, name: str) -> bool:
    """Return whether a criterion reads rows that an older release did not make."""
    code, _, modifier = name.partition(":")
    if code not in parameters.of(type_) or modifier:
        return True
    by_column = parameters.column(type_, code) is not None or references.only_by_column(
        type_, conditions.parameters_of(type_)[code]
    )
    return not (by_column or code == "identifier")


def _leaves_few(type_: str, name: str, value: str) -> bool:
    """Return whether few resources fulfil a criterion: those about some patients, or with some ids."""
    head, _, rest = name.partition(".")
    if "," in value or (rest and rest not in ("identifier", "_id")):
        return False
    code, _, modifier = head.partition(":")
    if code == "_id" and not modifier:
        return True
    parameter = conditions.parameters_of(type_).get(code)
    return (
        parameter is not None
        and modifier in ("", "Patient")
        and parameter.kind == "reference"
        and references.only_by_column(type_, conditions.parameters_of(type_).get("patient", parameter))
        and code in ("patient", "subject")
        and (code == "patient" or value.startswith("Patient/") or modifier == "Patient" or bool(rest))
    )


def _after(value: str) -> After | None:
    match = _PAGE.fullmatch(value)
    if match is None:
        raise NotExchanged(Issue(code="value", text="_page is that of a link, as it stands there"))
    seq = match["seq"]
    return After(key=int(match["key"]), seq=int(seq) if seq else None) if int(match["key"]) else None


def number(name: str, value: str) -> int:
    """Return the whole number that a parameter of a result is.

    Raises:
        NotExchanged: it is none, or has more digits than any key of the database.
    """
    found = digits.read(value, most=18)
    if found is None:
        raise NotExchanged(Issue(code="value", text=f"{name} is a whole number"))
    return found

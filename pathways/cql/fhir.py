"""FHIR R4 JSON as CQL sees it: records by type and code, elements by path, FHIRHelpers natively.

Resources stay the dicts they were read as. A primitive element is its JSON value; its `.value`, or
the FHIRHelpers function around it, turns it into the CQL type. A choice element (`value[x]`) is
found by its key and keeps the type the key named.

https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pathways.cql import temporal
from pathways.cql.refusal import Unanswerable
from pathways.cql.temporal import HOME, Date, DateTime, Time
from pathways.cql.values import Code, Concept, Interval, Labelled, Quantity, Ratio

Json = Mapping[str, Any]

# FHIRHelpers takes a duration of FHIR for one of the calendar, as dates are moved by.
_CALENDAR_UNITS = {
    "ms": "millisecond",
    "s": "second",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "wk": "week",
    "mo": "month",
    "a": "year",
}
UCUM = "http://unitsofmeasure.org"
_UNIT_SYSTEMS = (None, UCUM, "http://hl7.org/fhirpath/CodeSystem/calendar-units")


class Records:
    """One patient's resources, indexed once and asked by many runs."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self.all: tuple[Json, ...] = tuple(resources)
        self._by_type: dict[str, list[Json]] = {}
        self._by_code: dict[tuple[str, str], dict[tuple[str | None, str | None], list[Json]]] = {}
        self._by_id: dict[str, list[Json]] | None = None
        self._named: dict[int, tuple[str, Json]] = {}
        #: what runs over these records have found and may share, by all that it depends on beside them
        self.shelves: dict[tuple[Any, ...], dict[str, Any]] = {}
        for resource in self.all:
            type_ = resource["resourceType"]
            if type_ in self._by_type:
                self._by_type[type_].append(resource)
            else:
                self._by_type[type_] = [resource]

    def of_type(self, type_: str) -> list[Json]:
        """Return the resources of a type, in the order they were given."""
        return self._by_type.get(type_, [])

    def coded(self, type_: str, path: str, codes: Sequence[Code]) -> list[Json]:
        """Return the resources of a type with one of the codes at the path, in the order given."""
        index = self._by_code.get((type_, path))
        if index is None:
            index = self._by_code[type_, path] = self._indexed(type_, path)
        if len(codes) == 1:
            return index.get((codes[0].system, codes[0].code), [])
        found = {
            id(resource): resource for code in codes for resource in index.get((code.system, code.code), ())
        }
        return [resource for resource in self.of_type(type_) if id(resource) in found]

    def references(self, id_: str) -> Sequence[str]:
        """Return the references of the resources with an id."""
        if self._by_id is None:
            # Explanations alone ask for them.
            self._by_id = {}
            for resource in self.all:
                if "id" in resource:
                    self._by_id.setdefault(resource["id"], []).append(resource)
        return [self.named(resource) for resource in self._by_id.get(id_, ())]

    def named(self, resource: Json) -> str:
        """Return the reference of a resource, as `reference` does; it is made once."""
        found = self._named.get(id(resource))
        if found is None:
            # The resource is kept with it, so that no other gets its identity.
            found = self._named[id(resource)] = reference(resource), resource
        return found[0]

    def _indexed(self, type_: str, path: str) -> dict[tuple[str | None, str | None], list[Json]]:
        index: dict[tuple[str | None, str | None], list[Json]] = {}
        for resource in self.of_type(type_):
            codings = _codings(resource.get(path))
            keys = [(coding.get("system"), coding.get("code")) for coding in codings]
            # Said twice, it is found once.
            for key in keys if len(keys) == 1 else dict.fromkeys(keys):
                if key in index:
                    index[key].append(resource)
                else:
                    index[key] = [resource]
        return index


def reference(resource: Json) -> str:
    """Return what a Provenance would call the resource: with its version, when it has one."""
    version = resource.get("meta", {}).get("versionId")
    plain = f"{resource['resourceType']}/{resource['id']}"
    return f"{plain}/_history/{version}" if version else plain


def primitive(type_: str) -> Callable[[Any], Any] | None:
    """Return how a JSON value becomes a value of the System type, None when it cannot."""
    return _PRIMITIVES.get(type_)


def element(source: Any, path: str, choices: Sequence[tuple[str, str]]) -> Any:
    """Return the element of a FHIR value; of a choice, with the type its key named."""
    if isinstance(source, Labelled):
        source = source.json
    if not isinstance(source, dict):
        raise Unanswerable(f"no element {path} here")
    if choices:
        for key, type_ in choices:
            if key in source:
                return Labelled(type_, source[key])
        return None
    return source.get(path)


def date_at(resource: Json, path: str) -> DateTime | Interval | None:
    """Return the moment or period at a path of a resource, whichever type it has there; None for none.

    A Timing, which is many moments, counts as none.
    """
    for key in (path, f"{path}DateTime", f"{path}Instant", f"{path}Date", f"{path}Period"):
        value = resource.get(key)
        if isinstance(value, str):
            return _date_time(value)
        if isinstance(value, dict) and value.keys() & {"start", "end"}:
            return _interval(value)
    return None


def choice_keys(path: str, types: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the JSON keys a choice element may have, each with the type it means."""
    return _choice_keys(path, tuple(types))


@lru_cache(maxsize=1024)
def _choice_keys(path: str, types: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((path + name[0].upper() + name[1:], name) for name in types)


def helper(name: str) -> Callable[[Any], Any] | None:
    """Return FHIRHelpers' function of that name, None when there is none."""
    return _HELPERS.get(name)


def _codings(value: Any) -> Sequence[Json]:
    if isinstance(value, dict):
        found: Sequence[Json] = value.get("coding", [value])
        return found
    if isinstance(value, list):
        return [coding for each in value for coding in _codings(each)]
    return [{"code": value}] if isinstance(value, str) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or value != int(value):
        raise Unanswerable("an integer element that is not a whole number")
    return int(value)


def _decimal(value: Any) -> Decimal:
    # A float is what a reader that ignores precision hands over; its shortest text is what was written.
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unanswerable("a boolean element that is not true or false")
    return value


@lru_cache(maxsize=4096)
def _moment(value: str, _home: int) -> DateTime:
    return temporal.parse_datetime(value)


def _date_time(value: Any) -> DateTime:
    return _moment(value, HOME.get())


@lru_cache(maxsize=1024)
def _date(value: str) -> Date:
    return temporal.parse_date(value)


def _time(value: Any) -> Time:
    return temporal.parse_time(value)


# Codes are few and come again on every row.
_known_code = lru_cache(maxsize=4096, typed=True)(Code)


def _code(value: Json) -> Code:
    return _known_code(value.get("code"), value.get("system"), value.get("version"), value.get("display"))


def _concept(value: Json) -> Concept:
    return Concept(tuple([_code(coding) for coding in value.get("coding", ())]), value.get("text"))


def _quantity(value: Json) -> Quantity | None:
    if value.get("value") is None:
        return None
    if value.get("comparator") is not None:
        raise Unanswerable("a quantity with a comparator has no exact value")
    return _quantity_ignoring_comparator(value)


def _quantity_ignoring_comparator(value: Json) -> Quantity | None:
    if value.get("value") is None:
        return None
    if value.get("system") not in _UNIT_SYSTEMS:
        raise Unanswerable("a quantity whose unit is not UCUM")
    return Quantity(_decimal(value["value"]), _calendar_unit(value.get("code") or value.get("unit") or "1"))


def _calendar_unit(unit: str) -> str:
    return _CALENDAR_UNITS.get(unit, unit)


def _interval(value: Json) -> Interval:
    if "start" in value or "end" in value:
        low, high = (_date_time(value[key]) if key in value else None for key in ("start", "end"))
        # FHIR's absent start means unknown; its absent end means still going on.
        return Interval(low, high, low is not None, True, "DateTime")
    if "low" in value or "high" in value:
        bounds = [_quantity(value[key]) if key in value else None for key in ("low", "high")]
        return Interval(bounds[0], bounds[1], True, True, "Quantity")
    quantity = _quantity_ignoring_comparator(value)
    match value.get("comparator"):
        case None:
            return Interval(quantity, quantity, True, True, "Quantity")
        case "<" | "<=" as sign:
            return Interval(None, quantity, True, sign == "<=", "Quantity")
        case sign:
            return Interval(quantity, None, sign == ">=", True, "Quantity")


def _ratio(value: Json) -> Ratio:
    numerator, denominator = (
        _quantity(value[key]) if key in value else None for key in ("numerator", "denominator")
    )
    return Ratio(numerator, denominator)


_PRIMITIVES: dict[str, Callable[[Any], Any]] = {
    "Boolean": _truth,
    "Integer": _whole,
    "Decimal": _decimal,
    "String": _text,
    "Date": _date,
    "DateTime": _date_time,
    "Time": _time,
}

_HELPERS: dict[str, Callable[[Any], Any]] = {
    **{f"To{name}": of for name, of in _PRIMITIVES.items()},
    "ToCalendarUnit": _calendar_unit,
    "ToCode": _code,
    "ToConcept": _concept,
    "ToQuantity": _quantity,
    "ToQuantityIgnoringComparator": _quantity_ignoring_comparator,
    "ToInterval": _interval,
    "ToRatio": _ratio,
}

"""Reading the value of an input: by the pathway's table, into one canonical form, or why not.

Each reader answers a canonical FHIR value element with its words, or raises `Unusable` with the first check
that fails, in the order of clinical-rules 3.2: unreadable, then unit, then range. Nothing is clipped.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

from pathways.record import Json, pairs

UCUM = "http://unitsofmeasure.org"
NO_UNIT = "(absent)"
_WITHOUT: Mapping[str, Any] = {NO_UNIT: 1}

KEYS = {
    "Quantity": "valueQuantity",
    "integer": "valueInteger",
    "boolean": "valueBoolean",
    "string": "valueString",
    "CodeableConcept": "valueCodeableConcept",
    "dateTime": "valueDateTime",
}
A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


#: why an input is set aside (clinical-rules 3.2), in the order of the checks
Issue = Literal[
    "missing-effective-time",
    "future-dated",
    "unreadable-value",
    "unit-mismatch",
    "out-of-range",
    "missing-laterality",
    "side-mismatch",
]
#: of these only where a pathway has sides
OF_SIDES: tuple[Issue, ...] = ("missing-laterality", "side-mismatch")


class Unusable(Exception):
    """A value cannot be used; the code of the issue says why."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(issue)
        self.issue = issue


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A canonical value: FHIR elements to put on the canonical resource, and the words for it."""

    elements: Json
    words: str
    positive: bool | None = None


def read(resource: Mapping[str, Any], table: Mapping[str, Any]) -> Value:
    """Return the canonical value of an Observation whose input has this value table.

    Raises:
        Unusable: with the code of the first check that fails.
    """
    if table["types"] == ["components"]:
        return _components(resource, table)
    # Only where some codes allow fewer units it matters which code it is.
    return _single(resource, table, pairs(resource.get("code")) if "unitsByCode" in table else ())


def _single(resource: Mapping[str, Any], table: Mapping[str, Any], matched: tuple[Any, ...]) -> Value:
    for kind in table["types"]:
        if KEYS.get(kind) in resource:
            break
    else:
        raise Unusable("unreadable-value")
    raw = resource[KEYS[kind]]
    match kind:
        case "boolean":
            return Value(elements={"valueBoolean": raw}, words="yes" if raw else "no", positive=raw)
        case "CodeableConcept":
            return _answer(raw, table)
        case "dateTime":
            if not A_DAY.match(raw):
                return Value(elements={}, words="")
            return Value(elements={"valueDateTime": raw}, words=raw[:10])
        case "string":
            if raw.strip() not in table.get("strings", {}):
                raise Unusable("unreadable-value")
            return _number(Decimal(table["strings"][raw.strip()]), table, shown=raw.strip())
        case "integer":
            allowed = allowed_units(table, matched)
            if NO_UNIT not in allowed:
                raise Unusable("unit-mismatch")
            return _number(Decimal(raw), table)
        case _:
            return _quantity(raw, table, matched)


def _answer(raw: Json, table: Mapping[str, Any]) -> Value:
    codes = pairs(raw)
    for code in codes:
        for answer in table.get("answers", ()):
            if any((c["system"], c["code"]) == code for c in answer["codes"]):
                return _answered(answer, table)
    raise Unusable("unreadable-value")


def _answered(answer: Json, table: Mapping[str, Any]) -> Value:
    value, coding = answer["value"], answer["codes"][0]
    if isinstance(value, bool):
        return Value(elements={"valueBoolean": value}, words="yes" if value else "no", positive=value)
    if isinstance(value, (int, Decimal)):
        return _number(Decimal(value), table)
    elements = {"valueCodeableConcept": {"coding": [coding]}}
    return Value(elements=elements, words=coding["display"])


def unknown(table: Mapping[str, Any]) -> Value | None:
    """Return the answer that stands for "not known" when the sender says the value is absent."""
    absent = table.get("absent")
    answer = next((a for a in table.get("answers", ()) if absent and a["value"] == absent), None)
    return _answered(answer, table) if answer else None


def allowed_units(table: Mapping[str, Any], matched: tuple[Any, ...]) -> Mapping[str, Any]:
    """Return the units that are allowed, with their factors. Some codes allow fewer."""
    units: Mapping[str, Any] = table.get("units", _WITHOUT)
    if fewer := table.get("unitsByCode"):
        for _, code in matched:
            if code in fewer:
                return {unit: units[unit] for unit in fewer[code]}
    return units


def _unit(raw: Json) -> str:
    if raw.get("system") not in {None, UCUM}:
        raise Unusable("unit-mismatch")
    return str(raw.get("code") or raw.get("unit") or NO_UNIT)


def _quantity(raw: Json, table: Mapping[str, Any], matched: tuple[Any, ...]) -> Value:
    if raw.get("comparator") or raw.get("value") is None:
        raise Unusable("unreadable-value")
    unit, units = _unit(raw), allowed_units(table, matched)
    if unit not in units:
        raise Unusable("unit-mismatch")
    factor = _exact(units[unit])
    value = _decimal(raw["value"])
    converted = value if factor == 1 else value * factor
    shown = None if factor == 1 else f"{_plain(converted)} (from {_plain(value)} {unit})"
    return _number(converted, table, shown=shown, unit=unit)


def _number(value: Decimal, table: Mapping[str, Any], shown: str | None = None, unit: str = "") -> Value:
    limits = table.get("range")
    if isinstance(limits, dict):
        limits = limits.get(unit)
    outside = limits is not None and not _exact(limits[0]) <= value <= _exact(limits[1])
    fraction = table.get("whole", False) and value != value.to_integral_value()
    if outside or fraction:
        raise Unusable("out-of-range")
    # 6.0 and 6 are one canonical value; the precision stays with the resource as it was received.
    plain = _plain(value)
    return Value(elements={"valueQuantity": {"value": Decimal(plain)}}, words=shown or plain)


@lru_cache(maxsize=256, typed=True)
def _exact(limit: float | Decimal) -> Decimal:
    """Return a limit or a factor of the table; it has a few, which each value of a long record needs."""
    return Decimal(str(limit))


def _components(resource: Mapping[str, Any], table: Mapping[str, Any]) -> Value:
    read_parts: dict[str, tuple[Json, Value, str]] = {}
    coded = [(pairs(c.get("code")), c) for c in resource.get("component", ())]
    for part in table["components"]:
        key = (part["code"]["system"], part["code"]["code"])
        given = next((c for codes, c in coded if key in codes), None)
        has_value = given is not None and any(name.startswith("value") for name in given)
        if given is None or not has_value:
            if part.get("required") or (given is not None and "dataAbsentReason" not in given):
                raise Unusable("unreadable-value")
            continue
        rules = {"units": table.get("units", _WITHOUT), "range": table.get("range"), **part}
        value = _single(given, rules, ())
        unit = _unit(given["valueQuantity"]) if "valueQuantity" in given else ""
        read_parts[part["id"]] = (part, value, unit)
    if "ratio" in table:
        return _ratio(read_parts, table["ratio"])
    elements = [
        {"code": {"coding": [part["code"]]}, **value.elements}
        for part, value, _ in read_parts.values()
        if value.elements
    ]
    words = ", ".join(f"{part['code']['display']}: {value.words}" for part, value, _ in read_parts.values())
    return Value(elements={"component": elements}, words=words)


def _ratio(parts: Mapping[str, tuple[Json, Value, str]], ratio: Mapping[str, Any]) -> Value:
    _, above, unit = parts[ratio["numerator"]]
    _, below, other = parts[ratio["denominator"]]
    if unit != other:
        raise Unusable("unit-mismatch")
    upper, lower = above.elements["valueQuantity"]["value"], below.elements["valueQuantity"]["value"]
    if lower <= 0:
        raise Unusable("out-of-range")
    value = upper * Decimal(str(ratio["factor"])) / lower
    return Value(
        elements={"valueQuantity": {"value": value}},
        words=f"{value:.0f} % ({_plain(upper)} of {_plain(lower)} {unit})",
    )


def with_parts(value: Value, resource: Mapping[str, Any], table: Mapping[str, Any]) -> Value:
    """Return a single value together with the optional components its input may carry."""
    if not table.get("components") or table["types"] == ["components"]:
        return value
    parts = _components(resource, table)
    words = ", ".join(text for text in (value.words, parts.words) if text)
    return Value(elements={**value.elements, **parts.elements}, words=words, positive=value.positive)


def _decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""The values of CQL in both engines' forms, brought into one that can be compared.

https://hl7.org/fhir/uv/cql/using-cql.html#parameters-and-data-requirements
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from playing import Json

from pathways import cql

EMPTY = "http://hl7.org/fhir/StructureDefinition/cqf-isEmptyList"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


class NotAnswered(Exception):
    """The other engine had no answer."""


def theirs(answer: Json, types: dict[str, str | None]) -> dict[str, Any]:
    """Return what the other engine answered, by definition.

    Args:
        answer: the Parameters that `$evaluate` gave.
        types: of the definitions that were asked; a list of one looks like the one.

    Raises:
        NotAnswered: it erred.
    """
    found: dict[str, list[Json]] = {}
    for parameter in answer["parameter"]:
        if parameter.get("resource", {}).get("resourceType") == "OperationOutcome":
            raise NotAnswered(str(parameter["resource"]["issue"]))
        found.setdefault(parameter["name"], []).append(parameter)
    return {
        name: _listed(parameters) if str(types[name]).startswith("List") else _value(*parameters)
        for name, parameters in found.items()
    }


def _listed(parameters: list[Json]) -> Any:
    extensions = [e for p in parameters for e in p.get("_valueBoolean", {}).get("extension", ())]
    if len(parameters) == 1 and extensions:
        return [] if extensions[0]["url"] == EMPTY else None
    return [_value(parameter) for parameter in parameters]


def _value(parameter: Json) -> Any:
    if "part" in parameter:
        return {part["name"]: _value(part) for part in parameter["part"]}
    if "resource" in parameter:
        return "{resourceType}/{id}".format(**parameter["resource"])
    if "_valueBoolean" in parameter:
        assert [each["url"] for each in parameter["_valueBoolean"]["extension"]] == [ABSENT]
        return None
    ((kind, value),) = ((k, v) for k, v in parameter.items() if k.startswith("value"))
    match kind:
        case "valueDateTime":
            return datetime.fromisoformat(value)
        case "valueDate":
            return date.fromisoformat(value)
        case "valueDecimal":
            return Decimal(value)
        case "valueQuantity":
            return Decimal(value["value"]), value.get("code") or value.get("unit") or "1"
        case _:
            return value


def travels(value: Any) -> bool:
    """Return whether a Parameters resource can carry the value: it carries resources, not parts of one."""
    match value:
        case list():
            return all(travels(each) for each in value)
        case cql.Tuple():
            return all(travels(each) for each in value.values())
        case dict():
            return "resourceType" in value
        case _:
            return True


def ours(value: Any) -> Any:
    """Return one of our values in the same form."""
    match value:
        case [None]:
            # On the way a list of nothing but one null and no list look alike.
            return None
        case cql.DateTime():
            return value.python()
        case cql.Date():
            return date(*value.fields)
        case cql.Quantity():
            return value.value, value.unit or "1"
        case list():
            return [ours(each) for each in value]
        case {"resourceType": kind, "id": id}:
            return f"{kind}/{id}"
        case dict():
            # A part without a value is left out there.
            return {name: ours(each) for name, each in value.items()}
        case _:
            return value

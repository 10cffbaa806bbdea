"""Requests that read: resources, versions, histories, searches, operations."""

from fuzz import searches
from fuzz.grammar import DAY, TEXT, about
from fuzz.making import FORM, Asked, Making, fhir, quoted

_OF_A_READ: tuple[searches.Query, ...] = (
    *(
        [],
        [],
        [("_summary", "true")],
        [("_elements", "id,name,code")],
        [("_pretty", "true")],
        [("_count", "3")],
    ),
    *([("_since", DAY), ("_count", "5")], [("_at", "2026")], [("_format", "json")]),
)
_OF_EVERYTHING: tuple[searches.Query, ...] = (
    *([], [("_count", "3")], [("_since", DAY)], [("start", DAY), ("end", "2026")], [("_type", "Task")]),
)
APPLY = "PlanDefinition/gluteus-medius-tear/$apply"


def read(making: Making) -> Asked:
    """Read a resource, a version, or a history."""
    chance = making.chance
    type_ = searches.type_(chance)
    one = f"{type_}/{making.some(type_)}"
    history = f"{one}/_history"
    path = chance.choice(
        (one, one, history, f"{type_}/_history", "_history", "metadata", f"{history}/{chance.randrange(4)}")
    )
    query = chance.choice(_OF_A_READ)
    if chance.random() < 0.3:
        query = searches.spoilt(query, chance)
    headers = {"If-None-Match": 'W/"1"'} if chance.random() < 0.1 else {}
    return fhir(chance.choice(("GET", "GET", "GET", "HEAD")), path, query, headers)


def search(making: Making) -> Asked:
    """Search a type, by GET, by a form, or within a patient's compartment."""
    chance = making.chance
    type_ = searches.type_(chance)
    query = searches.query(type_, chance)
    if chance.random() < 0.35:
        query = searches.spoilt(query, chance)
    headers = {"Prefer": "handling=lenient"} if chance.random() < 0.1 else {}
    match chance.randrange(8):
        case 0:
            return Asked(
                method="POST",
                url=f"/fhir/{type_}/_search",
                headers={**headers, "Content-Type": FORM},
                body=quoted(query).encode(),
            )
        case 1:
            return fhir("GET", f"Patient/{making.patient()}/{type_}", query, headers)
        case _:
            return fhir("GET", type_, query, headers)


def operation(making: Making) -> Asked:
    """Ask an operation."""
    match making.chance.randrange(6):
        case 0:
            return fhir("GET", f"CarePlan/{making.some('CarePlan')}/$why")
        case 1:
            query = making.chance.choice(_OF_EVERYTHING)
            if making.chance.random() < 0.3:
                query = searches.spoilt(query, making.chance)
            return fhir("GET", f"Patient/{making.patient()}/$everything", query)
        case 2:
            return _apply(making)
        case _:
            return _validate(making)


def _apply(making: Making) -> Asked:
    given = [{"name": "subject", "valueString": f"Patient/{making.patient()}"}]
    if making.chance.random() < 0.6:
        types = ("Observation", "Task", "Condition")
        found = [about(making.it.resource(type_, id=making.it.id()), "f-1") for type_ in types]
        found.append(making.it.resource("Patient", id="f-1"))
        data = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": each} for each in found],
        }
        given = [{"name": "subject", "valueString": "Patient/f-1"}, {"name": "data", "resource": data}]
    return making.sent("POST", APPLY, making.maybe_spoilt({"resourceType": "Parameters", "parameter": given}))


def _validate(making: Making) -> Asked:
    chance = making.chance
    type_ = searches.type_(chance)
    resource = making.maybe_spoilt(about(making.it.resource(type_, id=making.it.id()), making.patient()))
    mode = chance.choice((None, "create", "update", "delete", TEXT))
    given = [{"name": "resource", "resource": resource}]
    if mode:
        given.append({"name": "mode", "valueCode": mode})
    where = f"{type_}/{making.some(type_)}" if mode in ("update", "delete") else type_
    body = chance.choice((resource, {"resourceType": "Parameters", "parameter": given}))
    return making.sent("POST", f"{where}/$validate", body)

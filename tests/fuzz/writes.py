"""Requests that store: single resources, Bundles, visits of stories, patches, and what removes."""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fuzz import searches, spoiling
from fuzz.grammar import NAME, TEXT, about
from fuzz.making import PATCH, Asked, Making, fhir, quoted

Json = dict[str, Any]

STORIES = Path(__file__).parents[1] / "stories"

#: they are about nobody
NOBODYS = ("Organization", "Practitioner", "Location", "Medication", "Device", "ValueSet", "CodeSystem")
#: they have one identifier, not a list of them
ONE_IDENTIFIER = ("Composition", "QuestionnaireResponse")

_PATHS = (
    *(
        "/text",
        "/language",
        "/id",
        "/status",
        "/name/0/family",
        "/identifier/-",
        "/active",
        "",
        "/",
        "/meta/tag",
    ),
    *("/a~1b", "/extension", "/code/coding/0/display", "/subject", "/note/0/text", f"/{NAME}", "/name/00"),
)
_OPERATIONS = ("add", "replace", "remove", "move", "copy", "test")


def put(making: Making) -> Asked:
    """Update a resource, or create it by that."""
    type_ = searches.type_(making.chance)
    id_ = making.some(type_)
    resource = about(making.it.resource(type_, id=id_), making.patient())
    headers = {}
    if making.chance.random() < 0.15:
        headers["If-Match"] = f'W/"{making.chance.randrange(1, 4)}"'
    return making.sent("PUT", f"{type_}/{id_}", making.maybe_spoilt(resource), headers)


def create(making: Making) -> Asked:
    """Create a resource, often under a condition, now and then with a key."""
    type_ = searches.type_(making.chance)
    identifier = {"system": making.it.uri(), "value": making.it.text()}
    resource = about(making.it.resource(type_), making.patient())
    headers = {}
    if making.chance.random() < 0.6:
        resource["identifier"] = identifier if type_ in ONE_IDENTIFIER else [identifier]
        headers["If-None-Exist"] = f"identifier={quote(identifier['system'])}|{quote(identifier['value'])}"
    if making.chance.random() < 0.2:
        headers["Idempotency-Key"] = f'"{TEXT}-{making.chance.randrange(50)}"'
    return making.sent("POST", type_, making.maybe_spoilt(resource), headers)


def update_by_identifier(making: Making) -> Asked:
    """Update what carries an identifier."""
    type_ = searches.type_(making.chance)
    system, value = making.it.uri(), f"{TEXT}{making.chance.randrange(9)}"
    resource = making.it.resource(type_, identifier=[{"system": system, "value": value}])
    url = f"{type_}?{urlencode({'identifier': f'{system}|{value}'})}"
    return making.sent("PUT", url, making.maybe_spoilt(about(resource, making.patient())))


def bundle(making: Making) -> Asked:
    """Send a transaction or a batch of everything there is."""
    kind = making.chance.choice(("transaction", "transaction", "batch"))
    patient = making.patient()
    entries = [_entry(making, patient, number) for number in range(making.chance.choice((1, 2, 3, 6)))]
    sent = {"resourceType": "Bundle", "type": kind, "entry": entries}
    return making.sent("POST", making.chance.choice(("", "", "/")), making.maybe_spoilt(sent), _key(making))


def visit(making: Making) -> Asked:
    """Send a visit of a story, which the rules of a pathway read, as another patient's."""
    text, who = making.chance.choice(_visits())
    sent = json.loads(text.replace(who, f"f-{making.chance.randrange(8)}"))
    return making.sent("POST", "", making.maybe_spoilt(sent), _key(making))


def patch(making: Making) -> Asked:
    """Change a part of a resource."""
    type_ = searches.type_(making.chance)
    steps = _steps(making)
    body = spoiling.spoil(steps, making.chance) if making.chance.random() < 0.3 else steps
    return making.sent("PATCH", f"{type_}/{making.some(type_)}", body, media=PATCH)


def delete(making: Making) -> Asked:
    """Remove a resource, by its id or by an identifier."""
    type_ = searches.type_(making.chance)
    if making.chance.random() < 0.25:
        token = f"{making.it.uri()}|{TEXT}1"
        return fhir("DELETE", f"{type_}?{urlencode({'identifier': token})}")
    return fhir("DELETE", f"{type_}/{making.it.id()}")


def _key(making: Making) -> dict[str, str]:
    if making.chance.random() < 0.1:
        return {"Idempotency-Key": f"{TEXT}-{making.chance.randrange(50)}"}
    return {}


def _entry(making: Making, patient: str, number: int) -> Json:
    type_ = making.chance.choice((*searches.OFTEN, *NOBODYS))
    id_ = patient if type_ == "Patient" else making.some(type_)
    resource = about(making.it.resource(type_, id=id_), patient)
    request = {"method": "PUT", "url": f"{type_}/{id_}"}
    match making.chance.randrange(10):
        case 0:
            del resource["id"]
            request = {"method": "POST", "url": type_}
        case 1:
            query = quoted(searches.query(type_, making.chance))
            return {
                "request": {
                    "method": "GET",
                    "url": making.chance.choice((request["url"], f"{type_}?{query}")),
                }
            }
        case 2:
            return {"request": {"method": "DELETE", "url": request["url"]}}
        case 3:
            data = base64.b64encode(json.dumps(_steps(making)).encode()).decode()
            resource = {"resourceType": "Binary", "contentType": PATCH, "data": data}
            request["method"] = "PATCH"
        case 4:
            system, value = making.it.uri(), f"{TEXT}{making.chance.randrange(9)}"
            resource["identifier"] = [{"system": system, "value": value}]
            del resource["id"]
            request["url"] = f"{type_}?identifier={system}|{value}"
    full_url = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
    return {"fullUrl": full_url, "resource": resource, "request": request}


def _steps(making: Making) -> list[Json]:
    it, chance = making.it, making.chance
    values = (it.text(), True, [{"url": it.uri(), "valueString": it.text()}], {"text": it.text()}, None, "de")
    made = []
    for _ in range(chance.choice((1, 1, 2, 4))):
        step = {"op": chance.choice(_OPERATIONS), "path": chance.choice(_PATHS)}
        if step["op"] in ("add", "replace", "test"):
            step["value"] = chance.choice(values)
        elif step["op"] in ("move", "copy"):
            step["from"] = chance.choice(_PATHS)
        made.append(step)
    return made


@cache
def _visits() -> list[tuple[str, str]]:
    """Return every visit of the stories as a transaction, with the id of the patient it is about."""
    found = []
    for file in sorted(STORIES.glob("*.json")):
        story = json.loads(file.read_bytes())
        for step in story["steps"]:
            entries = (step.get("bundle") or {}).get("entry", [])
            people = {e["resource"]["id"] for e in entries if e["resource"]["resourceType"] == "Patient"}
            for who in sorted(people)[:1]:
                put_all = [{"request": _by_id(e["resource"]), **e} for e in entries]
                sent = {"resourceType": "Bundle", "type": "transaction", "entry": put_all}
                found.append((json.dumps(sent), who))
    return found


def _by_id(resource: Json) -> Json:
    return {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}

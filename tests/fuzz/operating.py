"""Requests to operations beyond reads: labels, joined records, exports, Subscriptions, FHIRPath patches."""

import random
from typing import Any
from urllib.parse import urlencode

from fuzz import searches, spoiling
from fuzz.grammar import DAY, NAME, TEXT
from fuzz.making import FORM, PATIENTS, Asked, Making, fhir, quoted
from service.fhir import fhirpath_patch
from service.subscriptions import backport

Json = dict[str, Any]

TOPICS = "https://w3id.org/hipway/SubscriptionTopic"
HOOK = "/hospital/hook"

_PATHS = (
    *(
        "{type}",
        "{type}.identifier",
        "{type}.name[0].family",
        "{type}.meta.tag",
        "{type}.status",
        "{type}.id",
    ),
    *("{type}.extension.where(url = 'urn:x')", "{type}.name.where(use = 'official').first()", "{type}.code"),
    *(
        "{type}.code.coding.last().display",
        "({type}.value as Quantity).value",
        "{type}.note",
        "{type}.subject",
    ),
    *(
        "{type}.value.ofType(Period)",
        "{type}.contained[0]",
        "{type}.text.div",
        f"{{type}}.{NAME}",
        "%resource",
    ),
    *("Patient.name.given[1]", f"{{type}}.extension('{TEXT}')", "{type}.name.where(", "$this", ""),
)
_NAMES = (
    "language",
    "status",
    "use",
    "identifier",
    "extension",
    "tag",
    "note",
    "value",
    "resourceType",
    NAME,
)
_FILTERS = ("CarePlan?stage=imaging", f"CarePlan?patient=Patient/{TEXT}", f"Task?{NAME}=1", TEXT, "?", "")
#: operations that fit most resources, or what an operation before has left
_FITTING: tuple[tuple[str, Json], ...] = (
    (
        "add",
        {
            "path": {"valueString": "{type}"},
            "name": {"valueString": "language"},
            "value": {"valueCode": "en"},
        },
    ),
    ("replace", {"path": {"valueString": "{type}.language"}, "value": {"valueCode": "de"}}),
    ("delete", {"path": {"valueString": "{type}.language"}}),
    (
        "insert",
        {
            "path": {"valueString": "{type}.identifier"},
            "index": {"valueInteger": 0},
            "value": {"valueIdentifier": {"value": TEXT}},
        },
    ),
    (
        "move",
        {
            "path": {"valueString": "{type}.identifier"},
            "source": {"valueInteger": 0},
            "destination": {"valueInteger": 0},
        },
    ),
)


def labels(making: Making) -> Asked:
    """Ask which labels there are, or change those of a resource."""
    chance = making.chance
    type_ = _often_there(making)
    one = f"{type_}/{making.some(type_)}"
    if chance.random() < 0.4:
        where = chance.choice(("", f"{type_}/", f"{one}/", f"{one}/_history/{chance.randrange(3)}/"))
        return fhir(chance.choice(("GET", "GET", "HEAD")), f"{where}$meta")
    it = making.it
    meta = {
        "tag": [{"system": it.uri(), "code": it.text().split()[0], "display": it.text()}],
        "security": [{"system": it.uri(), "code": TEXT}],
        "profile": [it.uri()],
    }
    kept = chance.sample(sorted(meta), chance.choice((1, 1, 2)))
    given = [{"name": "meta", "valueMeta": {name: meta[name] for name in kept}}]
    return making.sent("POST", f"{one}/$meta-{chance.choice(('add', 'delete'))}", _parameters(making, given))


def joining(making: Making) -> Asked:
    """Join two records, or part them; half of the time only to see what would happen."""
    chance = making.chance
    source, target = making.patient(), making.patient()
    if chance.random() < 0.6:
        # Few pairs, so that what was joined is parted again.
        pair = chance.randrange(PATIENTS // 2)
        source, target = f"f-{2 * pair}", f"f-{2 * pair + 1}"
    given: list[Json] = [_patient("source-patient", source)]
    if chance.random() < 0.5:
        given.append({"name": "preview", "valueBoolean": True})
    if chance.random() < 0.3:
        if chance.random() < 0.7:
            given.append({"name": "rest-stays", "valueBoolean": chance.random() < 0.8})
        return making.sent("POST", f"Patient/{target}/$unmerge", _parameters(making, given))
    given.append(_patient("target-patient", target))
    if chance.random() < 0.2:
        token = {"system": making.it.uri(), "value": making.it.text()}
        given.append({"name": "target-patient-identifier", "valueIdentifier": token})
    if chance.random() < 0.2:
        given.append({"name": "result-patient", "resource": making.it.resource("Patient", id=target)})
    return making.sent("POST", "Patient/$merge", _parameters(making, given))


def export(making: Making) -> Asked:
    """Ask for an export, or for one that is not there."""
    chance = making.chance
    if chance.random() < 0.3:
        path = chance.choice(("_export/f-1", "_export/f-1/Patient.1.ndjson", f"_export/{TEXT}/{TEXT}"))
        return fhir(chance.choice(("GET", "GET", "DELETE")), path)
    query = [
        ("_type", chance.choice(("Patient", f"Patient,{searches.type_(chance)}", TEXT))),
        ("_since", chance.choice((DAY, f"{DAY}T10:00:00Z", "2026-01-01T00:00:00 01:00", TEXT))),
        ("_elements", chance.choice(("id", "Patient.name", f"Patient.{NAME}", TEXT))),
        ("_typeFilter", _type_filter(chance)),
        ("_outputFormat", chance.choice(("ndjson", "application/fhir+ndjson", TEXT))),
    ]
    query = chance.sample(query, chance.choice((0, 1, 2)))
    if chance.random() < 0.3:
        query = searches.spoilt(query, chance)
    path = chance.choice(("$export", "Patient/$export", f"Group/{making.some('Group')}/$export"))
    headers = {"Prefer": "respond-async"} if chance.random() < 0.9 else {}
    if chance.random() < 0.3:
        given = [_patient("patient", making.patient())]
        return making.sent("POST", path, _parameters(making, given), {"Prefer": "respond-async"})
    return fhir("GET", path, query, headers)


def _type_filter(chance: random.Random) -> str:
    type_ = searches.type_(chance)
    return f"{type_}?{urlencode(searches.query(type_, chance))}"


def subscription(making: Making) -> Asked:
    """Subscribe, read what was subscribed to, or ask how it stands."""
    chance = making.chance
    one = f"Subscription/{chance.choice(('f-1', making.it.id()))}"
    match chance.randrange(7):
        case 0 | 1 | 2:
            return making.sent("POST", "Subscription", making.maybe_spoilt(_subscription(making)))
        case 3:
            body = making.maybe_spoilt({**_subscription(making), "id": one.partition("/")[2]})
            return making.sent("PUT", one, body, {"If-Match": f'W/"{chance.randrange(1, 4)}"'})
        case 4:
            query = [
                (chance.choice(("status", "url", "type", "_id", "_count", "_page")), spoiling.word(chance))
            ]
            if chance.random() < 0.5:
                return fhir("GET", "Subscription", query)
            headers = {"Content-Type": FORM}
            body = quoted(query).encode()
            return Asked(method="POST", url="/fhir/Subscription/_search", headers=headers, body=body)
        case 5:
            query = [(chance.choice(("status", "id", "eventsSinceNumber", "content")), spoiling.word(chance))]
            path = chance.choice(("Subscription/$status", f"{one}/$status", f"{one}/$events"))
            return fhir("GET", path, query if chance.random() < 0.5 else [])
        case _:
            return fhir(chance.choice(("GET", "GET", "DELETE")), one)


def patch_by_paths(making: Making) -> Asked:
    """Change a part of a resource by FHIRPath."""
    type_ = _often_there(making)
    given = [_operation(making, type_) for _ in range(making.chance.choice((1, 1, 2, 4)))]
    return making.sent("PATCH", f"{type_}/{making.some(type_)}", _parameters(making, given))


def hook(making: Making) -> Asked:
    """Call as the hospital's server would."""
    chance = making.chance
    type_ = searches.type_(chance)
    method = chance.choice(("POST", "PUT", "DELETE"))
    path = f"{HOOK}/{type_}" if method == "POST" else f"{HOOK}/{type_}/{making.it.id()}"
    headers = {"X-Hipway-Hook": chance.choice((TEXT, "é", ""))} if chance.random() < 0.5 else {}
    return Asked(method=method, url=path, headers=headers)


def _often_there(making: Making) -> str:
    """Return a type: often the one of which there are few ids."""
    return "Patient" if making.chance.random() < 0.4 else searches.type_(making.chance)


def _parameters(making: Making, given: list[Json]) -> Any:
    return making.maybe_spoilt({"resourceType": "Parameters", "parameter": given})


def _patient(name: str, id_: str) -> Json:
    return {"name": name, "valueReference": {"reference": f"Patient/{id_}"}}


def _subscription(making: Making) -> Json:
    """Return a Subscription; two of three are taken."""
    chance = making.chance

    def odd(usual: Any, *others: Any) -> Any:
        return chance.choice(others) if chance.random() < 0.06 else usual

    topic = odd(chance.choice(("stage-entered", "task-overdue", "order-signed", "proposal-made")), TEXT)
    content = {"url": backport.CONTENT, "valueCode": odd(chance.choice(backport.CONTENTS), TEXT)}
    filters = [{"url": backport.FILTER, "valueString": chance.choice(_FILTERS)}]
    return {
        "resourceType": "Subscription",
        "status": odd("requested", "active", "off", "error", TEXT),
        "reason": making.it.text(),
        "criteria": f"{TOPICS}/{topic}",
        **({"_criteria": {"extension": filters}} if chance.random() < 0.2 else {}),
        "end": odd("2099-01-01T00:00:00+14:00", f"{DAY}T10:00:00Z", "9999-12-31T23:59:59-12:00"),
        "channel": {
            "type": "rest-hook",
            "endpoint": odd("https://93.184.215.14/hook", making.it.uri(), "http://[", "file:///x"),
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            "header": [odd(f"Authorization: {TEXT}", "Host: x", "é: ü", TEXT)],
            "extension": [{"url": backport.TIMEOUT, "valueUnsignedInt": odd(5, 0, 99)}],
        },
    }


def _operation(making: Making, type_: str) -> Json:
    it, chance = making.it, making.chance
    if chance.random() < 0.5:
        kind, parts = chance.choice(_FITTING)
        return _told(
            kind, {**parts, "path": {"valueString": parts["path"]["valueString"].format(type=type_)}}
        )
    kind = chance.choice(sorted(fhirpath_patch.NEEDED))
    values: tuple[Json, ...] = (
        {"valueString": it.text()},
        {"valueCode": "en"},
        {"valueBoolean": True},
        {"valueIdentifier": {"system": it.uri(), "value": it.text()}},
        {"valueHumanName": {"family": it.text()}},
        {"valueQuantity": {"value": 7351945.5, "unit": it.text()}},
        {"part": [{"name": "text", "valueString": it.text()}]},
        {"resource": {"resourceType": "Basic", "code": {"text": it.text()}}},
    )
    parts = {
        "path": {"valueString": chance.choice(_PATHS).replace("{type}", type_)},
        "name": {"valueString": chance.choice(_NAMES)},
        "value": chance.choice(values),
        **{name: {"valueInteger": chance.choice((0, 1, 7))} for name in ("index", "source", "destination")},
    }
    return _told(kind, {name: parts[name] for name in fhirpath_patch.NEEDED[kind]})


def _told(kind: str, parts: Json) -> Json:
    told = [{"name": "type", "valueCode": kind}, *({"name": name, **part} for name, part in parts.items())]
    return {"name": "operation", "part": told}

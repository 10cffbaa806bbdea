"""The CapabilityStatement says exactly what happens: each claim is tried, and each thing that is not claimed.

http://hl7.org/fhir/R4/capabilitystatement.html
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from urllib.parse import parse_qsl, urlsplit

import pytest
from fhir_visits import MRN, bundle, patient, practitioner, put

from fhir_profiles import canonical, definitions, gate
from service.fhir.searching import TYPES
from service.store.indexing import parameters

PATCH = "application/json-patch+json"
#: every interaction with a type that R4 has
OF_A_TYPE = {
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
}
OF_THE_SYSTEM = {"transaction", "batch", "search-system", "history-system"}


def batched(items: Sequence[object], size: int) -> Iterator[list[object]]:
    """Yield the items, so many at a time."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


@pytest.fixture
def rest(client):
    return client.get("/fhir/metadata").get_json()["rest"][0]


@pytest.fixture
def claimed(rest):
    return {one["type"]: {each["code"] for each in one["interaction"]} for one in rest["resource"]}


def requests(client, type_, id_) -> dict[str, Callable[[], object]]:
    """Return one request for each interaction, in an order in which all can succeed."""
    url = f"/fhir/{type_}/{id_}"
    body = {"resourceType": type_, "id": id_, "language": "de"}
    change = json.dumps([{"op": "add", "path": "/language", "value": "en"}])
    return {
        "create": lambda: client.post(f"/fhir/{type_}", json={"resourceType": type_}),
        "update": lambda: client.put(url, json=body),
        "read": lambda: client.get(url),
        "vread": lambda: client.get(f"{url}/_history/1"),
        "patch": lambda: client.patch(url, data=change, content_type=PATCH),
        "history-instance": lambda: client.get(f"{url}/_history"),
        "history-type": lambda: client.get(f"/fhir/{type_}/_history"),
        "search-type": lambda: client.get(f"/fhir/{type_}?_id={id_}"),
        "delete": lambda: client.delete(url),
    }


def test_every_type_that_is_kept_is_claimed_with_every_interaction_there_is(claimed):
    # Subscriptions are kept apart: tests/service/fhir/test_subscribing.py.
    assert set(claimed) == {*TYPES, "Subscription"}
    assert all(codes <= OF_A_TYPE for codes in claimed.values())


#: types of which a resource may have nothing but its type: each interaction can be carried out with it
BARE = [type_ for type_ in TYPES if gate.check({"resourceType": type_, "language": "de"}) == ()]


@pytest.mark.parametrize("type_", BARE)
def test_each_claim_of_a_type_succeeds_from_create_to_delete(type_, client, claimed):
    for code, ask in requests(client, type_, "walk").items():
        answer = ask()
        assert code in claimed[type_]
        assert answer.status_code in (200, 201, 204), (code, answer.get_json())


@pytest.mark.parametrize("type_", TYPES)
def test_each_type_answers_each_of_its_interactions_by_what_is_there(type_, client, claimed):
    """What is claimed finds nothing, or names a fault, and is never refused as not offered."""
    for code, ask in requests(client, type_, "nothing").items():
        if code in ("create", "update"):
            continue
        answer = ask()
        offered = answer.status_code not in (405, 415, 501)
        assert offered is (code in claimed[type_]), (code, answer.get_json())
        assert answer.status_code in (200, 204, 404), (code, answer.get_json())
    for ask in (
        lambda: client.post(f"/fhir/{type_}", json={"resourceType": type_, "colour": 1}),
        lambda: client.put(f"/fhir/{type_}/a", json={"resourceType": type_, "id": "a", "colour": 1}),
    ):
        answer = ask()
        assert answer.status_code == 422
        assert {issue["expression"][0] for issue in answer.get_json()["issue"]} >= {f"{type_}.colour"}


def test_the_system_does_what_is_claimed_of_it_and_refuses_the_rest(client, rest):
    claimed = {each["code"] for each in rest["interaction"]}
    ways = {
        "transaction": lambda: client.post("/fhir", json=bundle()),
        "batch": lambda: client.post("/fhir", json={**bundle(), "type": "batch"}),
        "history-system": lambda: client.get("/fhir/_history"),
        "search-system": lambda: client.get("/fhir?_id=a"),
    }

    assert claimed <= OF_THE_SYSTEM
    for code, ask in ways.items():
        answer = ask()
        assert (answer.status_code == 200) is (code in claimed), code
        if code not in claimed:
            assert answer.status_code in (405, 501)
            assert answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/fhir/Bundle/a"),
        ("POST", "/fhir/Parameters"),
        ("GET", "/fhir/OperationOutcome/a"),
        ("GET", "/fhir/Bundle/_history"),
    ],
)
def test_a_type_that_is_not_claimed_is_not_there(method, path, client, claimed):
    answer = client.open(path, method=method, json={})

    assert path.split("/")[2] not in claimed
    assert answer.status_code == 404
    assert answer.get_json()["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/fhir/Patient/a"),
        ("DELETE", "/fhir/Patient/a/_history"),
        ("DELETE", "/fhir/Patient/a/_history/1"),
        ("DELETE", "/fhir"),
        ("PUT", "/fhir"),
        ("POST", "/fhir/_history"),
    ],
)
def test_what_no_claim_names_is_refused_with_what_there_is(method, path, client):
    answer = client.open(path, method=method, json={})

    assert answer.status_code == 405
    assert "OPTIONS" in answer.headers["Allow"]
    assert answer.get_json()["issue"][0]["code"] == "not-supported"


def test_what_is_said_of_conditions_is_so(client, rest, send):
    said = rest["resource"][0]
    assert (said["conditionalCreate"], said["conditionalUpdate"]) == (True, True)
    assert (said["conditionalRead"], said["conditionalDelete"]) == ("full-support", "single")
    url = f"/fhir/Practitioner?identifier={MRN}|cond"
    body = practitioner(None, identifier=[{"system": MRN, "value": "cond"}])
    unless = {"If-None-Exist": f"identifier={MRN}|cond"}

    created = [client.post("/fhir/Practitioner", json=body, headers=unless) for _ in range(2)]
    updated = client.put(url, json={**body, "active": True})
    current = f"/fhir/Practitioner/{created[0].get_json()['id']}"
    known = client.get(current, headers={"If-None-Match": 'W/"2"'})
    later = client.get(current, headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"})
    removed = [client.delete(url), client.get(current)]

    assert [answer.status_code for answer in created] == [201, 200]
    assert (updated.status_code, updated.headers["ETag"]) == (200, 'W/"2"')
    assert (known.status_code, later.status_code) == (304, 304)
    assert [answer.status_code for answer in removed] == [204, 410]


#: a value that is understood, whatever the parameter, by its kind
VALUES = {
    "date": "2026",
    "number": "1",
    "quantity": "1",
    "reference": "a",
    "special": "50.9|6.9|5|km",
    "string": "a",
    "token": "a",
    "uri": "https://example.org",
}
#: criteria of one request: fewer requests, and each parameter is still named by the self link
AT_ONCE = 30


def value_of(type_, name, kind):
    if kind != "composite":
        return VALUES[kind]
    known = parameters.of(type_)
    return "$".join(VALUES[known[part].kind] for part, _ in known[name].components)


def test_each_search_parameter_is_understood_and_no_other(client, rest):
    for resource in rest["resource"]:
        type_ = resource["type"]
        asked = [(p["name"], value_of(type_, p["name"], p["type"])) for p in resource["searchParam"]]
        for part in batched(asked, AT_ONCE):
            answer = client.get(f"/fhir/{type_}", query_string=[*part, ("_count", "0")])
            assert answer.status_code == 200, (type_, answer.get_json())
            used = parse_qsl(urlsplit(answer.get_json()["link"][0]["url"]).query)
            assert used == [*part, ("_count", "0")]
        assert client.get(f"/fhir/{type_}?colour=red").status_code == 400


def test_each_include_that_is_claimed_is_understood_and_no_other(client, rest):
    for resource in rest["resource"]:
        type_ = resource["type"]
        along = [("_include", value) for value in resource.get("searchInclude", ())]
        along += [("_revinclude", value) for value in resource.get("searchRevInclude", ())]
        for part in batched(along, 20):
            answer = client.get(f"/fhir/{type_}", query_string=[*part, ("_id", "nobody")])
            assert answer.status_code == 200, (type_, answer.get_json())
    assert client.get("/fhir/Task?_include=Task:status").status_code == 400
    assert client.get("/fhir/Task?_revinclude=Task:nothing").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "Patient?name:above=a",
        "Patient?gender:exact=a",
        "Patient?birthdate:not=2000",
        "Observation?value-quantity:contains=1",
        "Observation?code:contains=a",
        "ValueSet?url:text=a",
        "Observation?code-value-quantity:not=a$1",
    ],
)
def test_a_modifier_that_is_not_claimed_is_refused_by_name(query, client):
    answer = client.get(f"/fhir/{query}")

    assert answer.status_code == 400
    assert "modifiers :missing" in answer.get_json()["issue"][0]["diagnostics"]


def test_every_modifier_that_is_claimed_is_understood(client, rest):
    said = rest["documentation"]
    assert re.search(r"_text takes [^.]*; it takes no modifier", said)
    asked = {
        "token": ("Patient", "identifier", "a|b|c"),
        "string": ("Patient", "name", "a"),
        "reference": ("Observation", "subject", "Patient/a"),
        "uri": ("ValueSet", "url", "urn:a"),
        "date": ("Patient", "birthdate", "2000"),
        "number": ("RiskAssessment", "probability", "1"),
        "quantity": ("Observation", "value-quantity", "1"),
        "special": ("Location", "near", "0|0"),
    }
    value_set, code = canonical.value_set("pathway-stage"), f"{canonical.STAGES}|imaging"
    of_codes = {":in": value_set, ":not-in": value_set, ":above": code, ":below": code}
    for kind, (type_, name, value) in asked.items():
        words = re.search(rf"of a {kind} ([^;.]*?)(;|, and)", said)[1].split(", ")
        for word in words:
            text = {":missing": "true", ":of-type": value}.get(word, "urn:a" if kind == "uri" else "a")
            if kind == "token" and word in of_codes:
                type_, name, text = "Flag", "code", of_codes[word]
            answer = client.get(f"/fhir/{type_}", query_string={f"{name}{word}": text})
            assert answer.status_code == 200, (name, word, answer.get_json())


def operations(rest):
    """Return each operation that is claimed: the type, its name and its definition; of the system no type."""
    ours = [each for each in definitions.resources() if each["resourceType"] == OPERATION]
    # What a guide defines is claimed by the guide's name; our definition of it says what of it there is.
    defined = {each["base"]: each for each in ours if "base" in each} | {each["url"]: each for each in ours}
    for resource in (*rest["resource"], {"type": None, "operation": rest["operation"]}):
        for claimed in resource["operation"]:
            yield resource["type"], claimed["name"], defined[claimed["definition"]]


OPERATION = "OperationDefinition"


def test_each_operation_is_offered_where_its_definition_says_and_nowhere_else(client, rest):
    for type_, name, definition in operations(rest):
        assert definition["code"] == name
        assert type_ is None or definition["resource"] == ["Resource"] or type_ in definition["resource"]
        levels = (("type", f"{type_}/${name}"), ("instance", f"{type_}/nothing/${name}"))
        for level, path in levels if type_ else (("system", f"${name}"),):
            answer = client.post(f"/fhir/{path}", json={"resourceType": "Parameters"})
            issue = answer.get_json().get("issue", [{"code": "none"}])[0]
            # What is offered answers, asks for a parameter, or finds no such resource.
            offered = answer.status_code in (200, 400, 404, 405) and issue["code"] != "not-supported"
            assert offered is definition[level], (path, issue)


def test_each_operation_there_is_is_claimed(client, rest):
    claimed = {(type_, name) for type_, name, _ in operations(rest)}
    for rule in client.application.url_map.iter_rules():
        if "$" in rule.rule:
            type_, name = rule.rule.split("/")[2], rule.rule.rpartition("$")[2]
            of = None if type_.startswith("$") else TYPES[0] if type_ == "<type_>" else type_
            assert (of, name) in claimed


def test_what_is_said_of_patches_and_forms_is_so(client, send):
    statement = client.get("/fhir/metadata").get_json()
    send(bundle(put(patient("forms"))))

    parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.active"}]
    patches = {
        PATCH: [{"op": "add", "path": "/active", "value": True}],
        "application/fhir+json": {
            "resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": parts}],
        },
    }
    assert list(patches) == statement["patchFormat"]
    for version, (form, patch) in enumerate(patches.items(), 2):
        answer = client.patch("/fhir/Patient/forms", data=json.dumps(patch), content_type=form)
        assert (answer.status_code, answer.headers["ETag"]) == (200, f'W/"{version}"')
    for form in statement["format"]:
        assert client.get("/fhir/Patient/forms", query_string={"_format": form}).status_code == 200
    assert gate.check(statement) == ()

"""The OpenAPI document says what the application has, no more and no less, and is one.

https://spec.openapis.org/oas/v3.1.0
"""

import json
import re

import pytest
from fhir_visits import patient
from openapi_spec_validator import OpenAPIV31SpecValidator

from service import errors
from service.app import create_app
from service.fhir.blueprint import NOTHING_THERE
from service.fhir.searching import TYPES, parameters_of
from service.openapi import answers, document, surface
from service.openapi.document import PAGES
from service.settings import Settings

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
MOST_BYTES = 1_000_000
#: what stands for each part of a path
PARTS = {"type": "Observation", "id": "a", "version": "1", "key": "1"}


@pytest.fixture
def found(client):
    return client.get("/openapi.json").get_json()


@pytest.fixture
def in_production(settings, database):
    """A client of the same service in production."""
    production = Settings(
        mode="production", database_url=settings.database_url, broker_url=settings.broker_url
    )
    return create_app(production, database).test_client()


def of_app(app):
    """Return each path that the application answers, by what stands between its slashes, with each method."""
    return {
        (re.sub("<[^>]*>", "{}", rule.rule).rstrip("/") or "/", method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods & METHODS
        if rule.endpoint not in NOTHING_THERE
    }


def of_document(found):
    return {
        (re.sub("{[^}]*}", "{}", path), method.upper())
        for path, methods in found["paths"].items()
        for method in methods
    }


def test_every_route_is_in_the_document_and_everything_in_the_document_is_a_route(client, found):
    assert of_document(found) == of_app(client.application)


@pytest.mark.parametrize("path", ["/health/new", "/fhir/<type_>/new", "/fhir/Patient/$new", "/sandbox/new"])
def test_a_route_that_nobody_has_described_is_noticed(path, settings, database):
    app = create_app(settings, database)
    part = path.split("/")[1]
    app.add_url_rule(path, f"{part}.new", lambda: "")

    with pytest.raises(KeyError, match="new"):
        document.of(app)


def test_the_document_is_openapi_3_1_and_small(client, found):
    OpenAPIV31SpecValidator(found).validate()

    assert found["openapi"].startswith("3.1")
    assert len(client.get("/openapi.json").data) < MOST_BYTES


def test_each_operation_has_a_name_of_its_own_and_says_what_it_takes_and_answers(found):
    operations = [(path, each) for path, methods in found["paths"].items() for each in methods.values()]
    names = [each["operationId"] for _, each in operations]

    assert len(names) == len(set(names))
    for path, each in operations:
        assert each["summary"], path
        assert each["responses"], path
        assert set(re.findall("{(.*?)}", path)) == {
            name for name, where in (named(found, one) for one in each["parameters"]) if where == "path"
        }, path


def named(found, parameter):
    if "$ref" in parameter:
        parameter = found["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return parameter["name"], parameter["in"]


def test_two_paths_of_one_function_have_two_names(settings, database):
    app = create_app(settings, database)

    def view():
        return ""

    for path in ("/twice", "/again"):
        app.add_url_rule(path, "web.twice", view, methods=["GET", "POST"])

    names = [route.id for route in surface.routes(app) if route.endpoint == "web.twice"]
    assert sorted(names) == ["web.twice.get", "web.twice.get.2", "web.twice.post", "web.twice.post.2"]


def test_each_documented_path_leads_to_what_it_says(client, found):
    """Not to another route that comes before it."""
    adapter = client.application.url_map.bind("127.0.0.1")
    for path, methods in found["paths"].items():
        for method, said in methods.items():
            url = re.sub("{(.*?)}", lambda part: PARTS.get(part[1], "a"), path)
            endpoint, _ = adapter.match(url, method.upper())
            assert re.fullmatch(rf"{endpoint}(\.{method}(\.\d)?)?", said["operationId"]), (path, method)


def test_each_search_parameter_of_each_type_is_listed_with_its_kind(found):
    listed = found["paths"]["/fhir/{type}"]["get"]["x-fhir-search-parameters"]

    assert set(listed) == {"Resource", *TYPES}
    for type_ in TYPES:
        assert {**listed["Resource"], **listed[type_]} == parameters_of(type_)


def test_the_words_of_a_narrative_take_no_modifier(found):
    modifiers = found["paths"]["/fhir/{type}"]["get"]["x-fhir-search-modifiers"]

    assert (modifiers["string"], modifiers["_text"]) == ([":missing", ":exact", ":contains"], [])


def test_each_way_to_refuse_is_described():
    assert set(answers.REFUSALS) == {*errors.ANSWERS.values(), 429, 500, 503}


def test_the_same_document_is_not_sent_twice(client):
    first = client.get("/openapi.json")
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.content_type) == (200, "application/json")
    assert (again.status_code, again.data) == (304, b"")


def test_production_has_no_sandbox_and_says_how_callers_show_who_they_are(in_production, found):
    there = in_production.get("/openapi.json").get_json()

    OpenAPIV31SpecValidator(there).validate()
    assert of_document(there) == {each for each in of_document(found) if not each[0].startswith("/sandbox")}
    assert "sandbox" not in json.dumps(there["components"]["schemas"])
    assert there["paths"]["/fhir/{type}"]["post"]["security"] == [
        {"token": []},
        {"sender": []},
        {"person": []},
    ]
    assert there["paths"]["/fhir/metadata"]["get"]["security"] == []
    assert there["paths"]["/hospital/hook/{type}"]["post"]["security"] == [{"hook": []}]
    assert "401" in there["paths"]["/fhir/{type}"]["get"]["responses"]
    assert "securitySchemes" not in found["components"]


#: what a path is filled with for its example; what asks a worker is tried in a running service
FILLED = {
    "/fhir/{type}": "/fhir/Observation",
    "/fhir/{type}/{id}": "/fhir/Observation/example-1",
    "/fhir/{type}/{id}/$meta-add": "/fhir/Observation/example-1/$meta-add",
    "/fhir/{type}/{id}/$meta-delete": "/fhir/Observation/example-1/$meta-delete",
    "/fhir/{type}/$validate": "/fhir/Observation/$validate",
    "/fhir/{type}/{id}/$validate": "/fhir/Observation/example-1/$validate",
    "/fhir/PlanDefinition/{id}/$apply": "/fhir/PlanDefinition/gluteus-medius-tear/$apply",
    "/cds-services/{id}": "/cds-services/hipway-patient-view",
    "/cds-services/{id}/feedback": "/cds-services/hipway-patient-view/feedback",
}
NOT_ALONE = {
    ("/fhir/{type}", "put"): "names an identifier in its query",
    ("/fhir/{type}", "patch"): "names an identifier in its query",
    ("/fhir/{type}/_search", "post"): "is a form",
    ("/fhir/Patient/{id}/{type}/_search", "post"): "is a form",
    ("/fhir/Subscription/_search", "post"): "is a form",
    ("/fhir/Subscription/{id}", "put"): "names a Subscription that is there",
    ("/sandbox/evaluate", "post"): "asks a worker",
}


def test_each_example_is_carried_out(client, found):
    first = ("/fhir", "post")
    examples = {
        (path, method, media): content
        for path, methods in found["paths"].items()
        for method, said in methods.items()
        if said["tags"] != [PAGES] and "requestBody" in said and (path, method) not in NOT_ALONE
        for media, content in said["requestBody"]["content"].items()
        if "example" in content
    }

    for path, method, media in sorted(examples, key=lambda each: each[:2] != first):
        url, sent = FILLED.get(path, path), json.dumps(examples[path, method, media]["example"])
        answer = client.open(url, method=method, data=sent, content_type=media)
        assert answer.status_code < 300, (url, media, answer.get_json())
        if "$validate" in path:
            assert {issue["severity"] for issue in answer.get_json()["issue"]} == {"information"}, url


def test_an_operation_answers_with_what_it_returns(found):
    """A resource as it is, everything else in Parameters."""

    def answered(path, method="get", status="200"):
        (content,) = found["paths"][path][method]["responses"][status]["content"].values()
        return content["schema"]["$ref"].rpartition("/")[2]

    assert answered("/fhir/Patient/{id}/$everything") == "Bundle"
    assert answered("/fhir/PlanDefinition/{id}/$apply") == "Resource"
    assert answered("/fhir/{type}/{id}/$meta") == "Parameters"
    assert answered("/fhir/Patient/$merge", "post") == "Parameters"
    assert answered("/fhir/$export", status="202") == "OperationOutcome"
    assert "200" not in found["paths"]["/fhir/$export"]["get"]["responses"]


def test_what_is_answered_has_the_shape_that_is_documented(client, found):
    from jsonschema_rs import validator_for

    client.put("/fhir/Patient/shape", json=patient("shape"))
    for url, path in (
        ("/fhir/Patient/shape", "/fhir/{type}/{id}"),
        ("/fhir/Patient?_id=shape", "/fhir/{type}"),
        ("/fhir/Patient/shape/_history", "/fhir/{type}/{id}/_history"),
        ("/fhir/Patient/shape/$meta", "/fhir/{type}/{id}/$meta"),
        ("/fhir/Subscription", "/fhir/Subscription"),
        ("/fhir/Subscription/$status", "/fhir/Subscription/$status"),
        ("/fhir/metadata", "/fhir/metadata"),
        ("/health/live", "/health/live"),
        ("/cds-services", "/cds-services"),
        ("/sandbox/clock", "/sandbox/clock"),
        ("/sandbox/parameters", "/sandbox/parameters"),
    ):
        answer = client.get(url)
        (content,) = found["paths"][path]["get"]["responses"]["200"]["content"].items()
        assert answer.content_type.partition(";")[0] == content[0], url
        schema = {**content[1]["schema"], "components": found["components"]}
        validator_for(schema).validate(answer.get_json())

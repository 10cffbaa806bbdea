"""HL7's examples of R4, sent to a running service one by one, are stored and come back as they were.

Each is a PUT to its own id. The Patients that they name are there before: whom a record is about is never
resolved by guessing. What R4 itself does not allow is refused, and what is not kept here says so.

The examples come from the repository FHIR/fhir-test-cases (`r4/examples`), found through HIPWAY_REFERENCE.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from nodes import one_node

from service.fhir import references

pytestmark = pytest.mark.requires("reference")

Json = dict[str, Any]

#: Examples that are not stored as they are: the status of the answer, and the rule it rests on.
NOT_STORED = {
    # They break R4 themselves.
    "bundle-questionnaire.json": (422, "Questionnaire.item.linkId is 1..1"),
    "devicemetric-example.json": (422, "DeviceMetric.parent is a Reference(Device), not DeviceDefinition"),
    "deviceusestatement-example.json": (422, "DeviceUseStatement.reasonReference names a type it may not"),
    "medicationrequest0301.json": (422, "dispenseRequest.performer is a Reference(Organization)"),
    # R4 has them exchanged, and leaves to a server which types it keeps (http.html#general).
    "diagnosticreport-example.json": (
        404,
        "a collection; what it holds is stored, see below",
    ),
    "operationoutcome-example.json": (404, "an answer, not a record"),
    "parameters-example.json": (404, "what an operation is given; it has no id"),
    # Rules of this service, each in DECISIONS.md or the CapabilityStatement.
    "observation-decimal.json": (422, "an Observation without a patient: with one it is stored, see below"),
    "questionnaireresponse-example-bluebook.json": (422, "its subject is a Patient of another server"),
    "subscription-example.json": (422, "its criteria is a search, not one of the topics there are"),
}


class Number(NamedTuple):
    """A number as it is written: 1.0 is not 1.00."""

    text: str


@pytest.fixture(scope="module")
def client(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[httpx.Client]:
    with (
        one_node(scratch / "examples", new_database_url(), ("web",)) as node,
        httpx.Client(
            base_url=f"{node.remote.url}/fhir",
            headers={"Content-Type": "application/fhir+json"},
            timeout=60,
            trust_env=False,
        ) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def examples(reference: Path) -> dict[str, bytes]:
    """The text of each example, by the name of its file."""
    return {path.name: path.read_bytes() for path in sorted((reference / "fhir-r4-examples").glob("*.json"))}


@pytest.fixture(scope="module")
def _people(client: httpx.Client, examples: dict[str, bytes]) -> None:
    """The Patients whom the examples name."""
    named = {
        identity[1]
        for text in examples.values()
        for found in references.literal(json.loads(text))
        if (identity := references.local(found.target)) and identity[0] == "Patient"
    }
    assert named
    for id_ in named:
        assert put(client, json.dumps({"resourceType": "Patient", "id": id_}).encode()).status_code == 201


def put(client: httpx.Client, text: bytes) -> httpx.Response:
    resource = json.loads(text)
    return client.put(f"{resource['resourceType']}/{resource.get('id')}", content=text)


def content(text: bytes) -> Json:
    """Return a resource with its numbers as they are written, without what each server sets anew."""
    resource: Json = json.loads(text, parse_float=Number, parse_int=Number)
    meta = resource.pop("meta", {})
    kept = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
    return {**resource, **({"meta": kept} if kept else {})}


def assert_kept(client: httpx.Client, text: bytes) -> None:
    """Store the resource, and find it as it was by a read, a search and in its history."""
    assert (answer := put(client, text)).status_code in (200, 201), answer.text
    resource = json.loads(text)
    type_, id_ = resource["resourceType"], resource["id"]

    assert content(client.get(f"{type_}/{id_}").content) == content(text)
    (entry,) = client.get(type_, params={"_id": id_}).json(parse_float=Number, parse_int=Number)["entry"]
    assert content(json.dumps(entry["resource"]).encode()) == content(json.dumps(again(text)).encode())
    assert client.get(f"{type_}/{id_}/_history").json()["total"] >= 1


def again(text: bytes) -> Json:
    resource: Json = json.loads(text, parse_float=Number, parse_int=Number)
    return resource


@pytest.mark.usefixtures("_people")
def test_every_example_is_stored_as_it_is_but_for_those_with_a_reason(
    client: httpx.Client, examples: dict[str, bytes]
) -> None:
    stored = [name for name in examples if name not in NOT_STORED]
    assert len(stored) >= 62

    for name in stored:
        assert_kept(client, examples[name])

    answers = {name: put(client, examples[name]) for name in NOT_STORED}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: status for name, (status, _) in NOT_STORED.items()
    }
    assert all(answer.json()["resourceType"] == "OperationOutcome" for answer in answers.values())


@pytest.mark.usefixtures("_people")
def test_what_the_bundle_of_a_report_holds_is_stored_one_by_one_and_as_a_transaction(
    client: httpx.Client, examples: dict[str, bytes]
) -> None:
    bundle = json.loads(examples["diagnosticreport-example.json"])
    held = [entry["resource"] for entry in bundle["entry"]]
    # Among HL7's examples this encounter is another patient's, and records of two are never mixed.
    put(client, examples["encounter-example.json"])
    assert put(client, json.dumps(held[0]).encode()).json()["issue"][0]["expression"] == [
        "DiagnosticReport.encounter"
    ]
    del held[0]["encounter"]

    for resource in held:
        assert_kept(client, json.dumps(resource).encode())
    for entry, resource in zip(bundle["entry"], held, strict=True):
        entry["request"] = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    answer = client.post("", json={**bundle, "type": "transaction"})

    # Unchanged: the same content is no new version.
    assert {entry["response"]["etag"] for entry in answer.json()["entry"]} == {'W/"1"'}


@pytest.mark.usefixtures("_people")
def test_decimals_keep_their_digits(client: httpx.Client, examples: dict[str, bytes]) -> None:
    text = examples["observation-decimal.json"].rstrip()
    whole = text.removesuffix(b"}") + b', "subject": {"reference": "Patient/example"}}'

    assert_kept(client, whole)

    written = client.get("Observation/decimal").content
    for digits in (b"1.00,", b"1E-22", b"1.000000000000000000E-245", b"-1.000000000000000000E+245"):
        assert digits.strip(b",") in written

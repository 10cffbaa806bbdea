"""A day with fhirpy, the client of beda.software for Python.

https://github.com/beda-software/fhir-py
"""

import pytest
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from clients.records import CODE, FACTS, PAGE, both_kinds, identified, person, visit

WHO = "fhirpy"


@pytest.fixture(scope="module")
def client(base):
    return SyncFHIRClient(base)


@pytest.fixture(scope="module")
def seen(client):
    """A visit was posted."""
    return client.execute("", data=visit(WHO))


def with_headers(client, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SyncFHIRClient(client.url, extra_headers=named)


def test_the_capability_statement_is_read(client):
    found = client.execute("metadata", method="get")

    assert (found.resourceType, found.fhirVersion) == ("CapabilityStatement", "4.0.1")


def test_a_resource_is_created_changed_read_in_each_version_and_deleted(client):
    made = client.resource(**renamed(person(f"{WHO}-life"))).create()
    assert made.meta["versionId"] == "1"

    made["active"] = True
    made.save()
    assert made.meta["versionId"] == "2"
    assert client.get("Patient", made.id).active is True
    assert "active" not in client.execute(f"Patient/{made.id}/_history/1", method="get")
    assert client.execute(f"Patient/{made.id}/_history", method="get").total == 2

    made.delete()
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", made.id).to_resource()


def test_a_resource_that_has_not_changed_is_not_sent_again(client, seen):
    known = client.get("Patient", WHO)
    fresh = client.resource(**renamed(known)).refresh()
    assert fresh.name == known.name

    client.resource(**renamed({**known, "active": True})).save()
    assert fresh.refresh().active is True


def test_a_condition_creates_once_and_updates_once(client):
    people = client.resources("Patient").search(identifier=identified(f"{WHO}-once"))
    made = client.resource(**renamed(person(f"{WHO}-once")))

    first, created = people.get_or_create(made)
    again, created_again = people.get_or_create(made)
    assert (created, created_again, again.id) == (True, False, first.id)

    made["active"] = False
    changed, created = people.update(made)
    assert (created, changed.id, changed.active) == (False, first.id, False)
    assert made.create(identifier=identified(f"{WHO}-once")).id == first.id

    people.delete()
    assert people.fetch() == []


def test_an_update_of_an_old_version_is_refused(client):
    made = client.resource(**renamed(person(f"{WHO}-lost"))).create()
    on_first = with_headers(client, If_Match='W/"1"')

    on_first.resource(**renamed({**made, "active": True})).save()
    with pytest.raises(MultipleResourcesFound, match="conflict"):
        on_first.resource(**renamed({**made, "active": False})).save()

    assert client.get("Patient", made.id).active is True


def test_a_json_patch_is_carried_out_and_a_merge_patch_is_refused(client, seen):
    changed = client.execute(
        f"Observation/{WHO}-0", method="patch", data=[{"op": "replace", "path": "/valueInteger", "value": 9}]
    )
    assert changed.valueInteger == 9

    with pytest.raises(OperationOutcome, match="json-patch"):
        client.patch("Observation", f"{WHO}-0", valueInteger=8)
    assert client.get("Observation", f"{WHO}-0").valueInteger == 9


def test_searches_chain_include_and_page(client, seen):
    facts = client.resources("Observation").search(patient__Patient__family="fhirpy-visit", code=CODE)

    assert facts.count() == FACTS
    assert {fact.id for fact in facts.limit(PAGE)} == {f"{WHO}-{n}" for n in range(FACTS)}
    assert facts.first().subject.to_resource().id == WHO
    assert [fact.valueInteger for fact in facts.search(date__lt="2026-01-05").fetch()] == []
    assert facts.search(_id=f"{WHO}-3").elements("value", "status").get().valueInteger == 3
    with pytest.raises(MultipleResourcesFound):
        facts.get()

    bundle = facts.include("Observation", "patient").include("Observation", "performer").fetch_raw()
    assert sum(entry.search.mode == "include" for entry in bundle.entry) == 2
    people = client.resources("Patient").has("Observation", "patient", performer=f"Practitioner/{WHO}-dr")
    assert [found.id for found in people.revinclude("Observation", "patient").fetch()] == [WHO]


def test_a_transaction_is_stored_once_and_a_batch_entry_by_entry(client, seen):
    assert {entry.response.status[:3] for entry in seen.entry} == {"201"}
    again = client.execute("", data=visit(WHO))
    assert len(again.entry) == FACTS + 2

    good, bad = client.execute("", data=both_kinds(WHO)).entry
    assert (good.response.status[:3], bad.response.status[:3]) == ("201", "422")
    assert bad.response.outcome.issue[0].code == "code-invalid"


def test_operations_answer(client, seen, plan_id):
    record = client.reference("Patient", WHO).execute("$everything", method="get")
    assert record.total == FACTS + 1

    for method in ("get", "post"):
        answer = client.reference("CarePlan", plan_id).execute("$why", method=method)
        assert {part.name for part in answer.parameter} >= {"stage", "way"}

    assert client.resource(**renamed(person(WHO))).is_valid()
    with pytest.raises(OperationOutcome, match="AdministrativeGender"):
        client.resource(**renamed(person(WHO, gender="m"))).is_valid(raise_exception=True)


def test_a_refusal_is_an_operation_outcome(client):
    with pytest.raises(OperationOutcome) as refused:
        client.resource(**renamed(person(WHO, gender="m"))).create()

    (issue,) = refused.value.resource["issue"]
    assert (issue["code"], issue["expression"]) == ("code-invalid", ["Patient.gender"])


def renamed(resource):
    """Return the resource as keyword arguments, among which the type has another name."""
    return {"resource_type" if name == "resourceType" else name: value for name, value in resource.items()}

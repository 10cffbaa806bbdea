"""The same client without waiting for each answer: fhirpy's asynchronous half.

https://github.com/beda-software/fhir-py
"""

import asyncio

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from clients.records import FACTS, PAGE, both_kinds, identified, person, visit
from clients.test_fhirpy import renamed

WHO = "fhirpy-async"
#: that create one Patient at the same time
SENDERS = 8


@pytest.fixture
def client(base):
    return AsyncFHIRClient(base)


def test_the_capability_statement_is_read(client):
    found = asyncio.run(client.execute("metadata", method="get"))

    assert (found.resourceType, found.fhirVersion) == ("CapabilityStatement", "4.0.1")


def test_a_resource_is_created_changed_read_and_deleted(client):
    async def life():
        made = await client.resource(**renamed(person(f"{WHO}-life"))).create()
        made["active"] = True
        await made.save()
        first = await client.execute(f"Patient/{made.id}/_history/1", method="get")
        versions = await client.execute(f"Patient/{made.id}/_history", method="get")
        assert (made.meta["versionId"], first.meta.versionId, versions.total) == ("2", "1", 2)
        assert (await client.reference("Patient", made.id).to_resource()).active is True
        await made.delete()
        with pytest.raises(ResourceNotFound):
            await client.get("Patient", made.id)

    asyncio.run(life())


def test_of_many_at_the_same_time_one_creates(client):
    people = client.resources("Patient").search(identifier=identified(f"{WHO}-once"))

    async def create():
        made = client.resource(**renamed(person(f"{WHO}-once")))
        return await asyncio.gather(*(people.get_or_create(made) for _ in range(SENDERS)))

    answers = asyncio.run(create())

    assert len({found.id for found, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1


def test_of_many_updates_of_one_version_one_is_stored(client, base):
    async def update():
        made = await client.resource(**renamed(person(f"{WHO}-lost"))).create()
        on_first = AsyncFHIRClient(base, extra_headers={"If-Match": 'W/"1"'})
        changed = [
            on_first.resource(**renamed({**made, "birthDate": f"19{year}-01-01"})).save()
            for year in range(60, 60 + SENDERS)
        ]
        answers = await asyncio.gather(*changed, return_exceptions=True)
        return answers, await client.get("Patient", made.id)

    answers, kept = asyncio.run(update())

    (winner,) = (found for found in answers if not isinstance(found, MultipleResourcesFound))
    assert (kept.meta.versionId, kept.birthDate) == ("2", winner.birthDate)


def test_searches_chain_include_and_page(client):
    async def search():
        stored = await client.execute("", data=visit(WHO))
        assert {entry.response.status[:3] for entry in stored.entry} == {"201"}
        facts = client.resources("Observation").search(patient__Patient__family=f"{WHO}-visit")
        assert await facts.count() == FACTS
        assert {fact.id async for fact in facts.limit(PAGE)} == {f"{WHO}-{n}" for n in range(FACTS)}
        bundle = await facts.include("Observation", "patient").fetch_raw()
        assert sum(entry.search.mode == "include" for entry in bundle.entry) == 1
        patched = await client.execute(
            f"Observation/{WHO}-0", "patch", data=[{"op": "remove", "path": "/effectiveDateTime"}]
        )
        assert "effectiveDateTime" not in patched

    asyncio.run(search())


def test_batches_operations_and_refusals_are_answered(client, plan_id):
    async def ask():
        good, bad = (await client.execute("", data=both_kinds(WHO))).entry
        assert (good.response.status[:3], bad.response.status[:3]) == ("201", "422")
        answer = await client.reference("CarePlan", plan_id).execute("$why")
        assert {part.name for part in answer.parameter} >= {"stage", "way"}
        assert await client.resource(**renamed(person(WHO))).is_valid()
        with pytest.raises(OperationOutcome) as refused:
            await client.resource(**renamed(person(WHO, gender="m"))).create()
        assert refused.value.resource["issue"][0]["expression"] == ["Patient.gender"]

    asyncio.run(ask())

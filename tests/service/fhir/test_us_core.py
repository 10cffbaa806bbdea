"""The searches that US Core 6.1 asks a server for, each against fixed records.

https://hl7.org/fhir/us/core/STU6.1/CapabilityStatement-us-core-server.html
"""

from datetime import date, timedelta

import pytest
from fhir_visits import MRN, bundle, encounter, put

from fhir_profiles import gate
from service.app import create_app

#: what SHALL and what SHOULD be possible together, by type
COMBINATIONS = {
    "Patient": (
        "_id", "identifier", "name", "birthdate+name", "gender+name",
        "birthdate+family", "family+gender", "death-date+family",
    ),
    "CarePlan": (
        "patient+category", "patient+category+status", "patient+category+date",
        "patient+category+status+date",
    ),
    "ServiceRequest": (
        "_id", "patient", "patient+category", "patient+code", "patient+category+authored",
        "patient+status", "patient+code+authored",
    ),
    "Observation": (
        "patient+category", "patient+code", "patient+category+date", "patient+category+status",
        "patient+code+date",
    ),
    "Condition": (
        "patient", "patient+category", "patient+clinical-status", "patient+category+clinical-status",
        "patient+category+encounter", "patient+code", "patient+onset-date", "patient+asserted-date",
        "patient+recorded-date", "patient+abatement-date",
    ),
}  # fmt: skip

TERMS = "http://terminology.hl7.org/CodeSystem/"
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


def concept(system, code):
    return {"coding": [{"system": system, "code": code}]}


def person(id_, family, given, gender, born, died=None):
    dead = {"deceasedDateTime": died} if died else {}
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": MRN, "value": id_.upper()}],
        "name": [{"family": family, "given": [given]}],
        "gender": gender,
        "birthDate": born,
        **dead,
    }


def about(type_, id_, **elements):
    """A resource about the patient that its id begins with."""
    subject = {"subject": {"reference": f"Patient/{id_.partition('-')[0]}"}}
    return {"resourceType": type_, "id": id_, **subject, **elements}


def plan(id_, status, start, category="assess-plan"):
    system = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
    shown = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A plan.</div>'}
    period = {"start": start, "end": f"{start[:4]}-12-31"}
    categories = [concept(system, category)]
    return about(
        "CarePlan", id_, text=shown, status=status, intent="plan", category=categories, period=period
    )


def request(id_, status, code, authored, category="409073007"):
    snomed = "http://snomed.info/sct"
    categories = [concept(snomed, category)]
    coded = concept(snomed, code)
    return about(
        "ServiceRequest",
        id_,
        status=status,
        intent="order",
        category=categories,
        code=coded,
        authoredOn=authored,
    )


def result(id_, status, code, at, category="laboratory"):
    categories = [concept(f"{TERMS}observation-category", category)]
    coded = concept("http://loinc.org", code)
    return about(
        "Observation",
        id_,
        status=status,
        category=categories,
        code=coded,
        effectiveDateTime=at,
        valueInteger=1,
    )


def problem(id_, clinical, code, onset, category="problem-list-item", **more):
    status = concept(f"{TERMS}condition-clinical", clinical)
    verified = concept(f"{TERMS}condition-ver-status", "confirmed")
    categories = [concept(f"{TERMS}condition-category", category)]
    coded = concept("http://snomed.info/sct", code)
    return about(
        "Condition", id_, clinicalStatus=status, verificationStatus=verified, category=categories, code=coded,
        onsetDateTime=onset, **more,
    )  # fmt: skip


def noted(recorded, asserted):
    """When a problem was written down and when it was first asserted, beside another extension."""
    other = {"url": "http://example.org/other", "valueDateTime": "1999-01-01"}
    return {"recordedDate": recorded, "extension": [other, {"url": ASSERTED, "valueDateTime": asserted}]}


VISIT = encounter("Patient/ada", id_="ada-v")
AT = {"encounter": {"reference": "Encounter/ada-v"}}

RECORDS = (
    person("ada", "Vega", "Ada", "female", "1960-02-29"),
    person("bo", "Vega", "Bo", "male", "1960-02-29", died="2025-11-03"),
    person("cy", "Lind", "Cy", "female", "1971-05-05", died="2026-01-07"),
    plan("ada-p1", "active", "2026-01-10"),
    plan("ada-p2", "completed", "2025-01-10"),
    plan("ada-p3", "active", "2025-06-10", category="other"),
    plan("bo-p1", "active", "2026-01-10"),
    request("ada-r1", "active", "91251008", "2026-02-01"),
    request("ada-r2", "completed", "91251008", "2025-02-01"),
    request("ada-r3", "draft", "113091000", "2026-02-03T10:00:00Z", category="363679005"),
    request("bo-r1", "active", "91251008", "2026-02-01"),
    result("ada-o1", "final", "718-7", "2026-01-05T08:00:00Z"),
    result("ada-o2", "amended", "718-7", "2026-02-05"),
    result("ada-o3", "final", "2093-3", "2026-02-06"),
    result("ada-o4", "final", "8867-4", "2026-02-06", category="vital-signs"),
    result("bo-o1", "final", "718-7", "2026-01-05T08:00:00Z"),
    VISIT,
    problem("ada-c1", "active", "202855006", "2025-03-01", **noted("2025-03-02", "2025-03-02")),
    problem("ada-c2", "resolved", "202855006", "2020-03-01", abatementDateTime="2021-01-01",
            **noted("2020-03-05", "2020-03-04")),
    problem("ada-c3", "active", "38341003", "2026-01-01", category="encounter-diagnosis", **AT),
    problem("bo-c1", "active", "202855006", "2025-03-01", **noted("2025-03-02", "2025-03-02")),
    {"resourceType": "Provenance", "id": "of-o1", "target": [{"reference": "Observation/ada-o1"}],
     "recorded": "2026-01-05T09:00:00Z", "agent": [{"who": {"reference": "Practitioner/dr"}}]},
)  # fmt: skip

ADA = "patient=ada"
PROBLEM = f"category={TERMS}condition-category|problem-list-item"
LAB = "category=laboratory"

TABLE = (
    ("Patient?_id=ada", "ada"),
    (f"Patient?identifier={MRN}|BO", "bo"),
    ("Patient?name=veg", "ada bo"),
    ("Patient?name=Ada", "ada"),
    ("Patient?birthdate=1960-02-29&name=Bo", "bo"),
    ("Patient?gender=female&name=vega", "ada"),
    ("Patient?birthdate=1960-02-29&family=Vega", "ada bo"),
    ("Patient?birthdate=1971-05-05&family=Vega", ""),
    ("Patient?family=Lind&gender=female", "cy"),
    ("Patient?death-date=2025-11-03&family=vega", "bo"),
    ("Patient?death-date=ge2025-11-03&family=lind", "cy"),
    (f"CarePlan?{ADA}&category=assess-plan", "ada-p1 ada-p2"),
    ("CarePlan?patient=Patient/bo&category=assess-plan", "bo-p1"),
    (f"CarePlan?{ADA}&category=assess-plan&status=active", "ada-p1"),
    (f"CarePlan?{ADA}&category=assess-plan&status=active,completed", "ada-p1 ada-p2"),
    (f"CarePlan?{ADA}&category=assess-plan&date=ge2026-01-01", "ada-p1"),
    (f"CarePlan?{ADA}&category=assess-plan&date=ge2025-01-10&date=lt2026-01-01", "ada-p2"),
    (f"CarePlan?{ADA}&category=assess-plan&status=completed,draft&date=le2025-06-01", "ada-p2"),
    (f"CarePlan?{ADA}&category=assess-plan&status=active&date=gt2027-01-01", ""),
    ("ServiceRequest?_id=ada-r1", "ada-r1"),
    (f"ServiceRequest?{ADA}", "ada-r1 ada-r2 ada-r3"),
    (f"ServiceRequest?{ADA}&category=http://snomed.info/sct|409073007", "ada-r1 ada-r2"),
    (f"ServiceRequest?{ADA}&code=http://snomed.info/sct|91251008", "ada-r1 ada-r2"),
    (f"ServiceRequest?{ADA}&code=91251008,113091000", "ada-r1 ada-r2 ada-r3"),
    (f"ServiceRequest?{ADA}&category=409073007&authored=ge2026-02-01", "ada-r1"),
    (f"ServiceRequest?{ADA}&category=409073007&authored=lt2026-02-01", "ada-r2"),
    (f"ServiceRequest?{ADA}&status=active,draft", "ada-r1 ada-r3"),
    (f"ServiceRequest?{ADA}&code=91251008&authored=le2025-02-01", "ada-r2"),
    (f"ServiceRequest?{ADA}&code=113091000&authored=gt2026-02-03T09:00:00Z", "ada-r3"),
    (f"Observation?{ADA}&{LAB}", "ada-o1 ada-o2 ada-o3"),
    (f"Observation?{ADA}&category={TERMS}observation-category|vital-signs", "ada-o4"),
    (f"Observation?{ADA}&code=http://loinc.org|718-7", "ada-o1 ada-o2"),
    (f"Observation?{ADA}&code=718-7,2093-3", "ada-o1 ada-o2 ada-o3"),
    (f"Observation?{ADA}&{LAB}&date=gt2026-01-05T08:00:00Z", "ada-o2 ada-o3"),
    (f"Observation?{ADA}&{LAB}&date=ge2026-02-05&date=le2026-02-05", "ada-o2"),
    (f"Observation?{ADA}&{LAB}&status=final", "ada-o1 ada-o3"),
    (f"Observation?{ADA}&{LAB}&status=final,amended", "ada-o1 ada-o2 ada-o3"),
    (f"Observation?{ADA}&code=718-7&date=lt2026-02-01", "ada-o1"),
    (f"Observation?{ADA}&code=718-7&date=2026-02", "ada-o2"),
    (f"Condition?{ADA}", "ada-c1 ada-c2 ada-c3"),
    (f"Condition?{ADA}&{PROBLEM}", "ada-c1 ada-c2"),
    (f"Condition?{ADA}&clinical-status=active", "ada-c1 ada-c3"),
    (f"Condition?{ADA}&{PROBLEM}&clinical-status={TERMS}condition-clinical|active,inactive", "ada-c1"),
    (f"Condition?{ADA}&category=encounter-diagnosis&encounter=Encounter/ada-v", "ada-c3"),
    (f"Condition?{ADA}&code=http://snomed.info/sct|202855006", "ada-c1 ada-c2"),
    (f"Condition?{ADA}&onset-date=ge2025-03-01", "ada-c1 ada-c3"),
    (f"Condition?{ADA}&onset-date=lt2025-03-01", "ada-c2"),
    (f"Condition?{ADA}&asserted-date=2025-03-02", "ada-c1"),
    (f"Condition?{ADA}&asserted-date=le2020-03-04", "ada-c2"),
    (f"Condition?{ADA}&asserted-date=gt1999-01-01", "ada-c1 ada-c2"),
    (f"Condition?{ADA}&recorded-date=gt2020-03-05", "ada-c1"),
    (f"Condition?{ADA}&recorded-date=le2020-03-05", "ada-c2"),
    (f"Condition?{ADA}&abatement-date=ge2021-01-01", "ada-c2"),
    (f"Condition?{ADA}&abatement-date=lt2021-01-01", ""),
)


@pytest.fixture(scope="module")
def _records(settings, database):
    client = create_app(settings, database).test_client()
    groups = {"ada": [], "bo": [], "cy": []}
    for record in RECORDS:
        whom = record["id"].partition("-")[0]
        groups["ada" if whom == "of" else whom].append(put(record))
    for entries in groups.values():
        answer = client.post("/fhir", json=bundle(*entries), content_type="application/fhir+json")
        assert answer.status_code == 200, answer.get_json()


def found(answer, mode="match"):
    assert answer.status_code == 200, answer.get_json()
    entries = answer.get_json().get("entry", ())
    return sorted(entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == mode)


def combination(query):
    type_, _, asked = query.partition("?")
    return type_, frozenset(pair.partition("=")[0] for pair in asked.split("&"))


def test_every_combination_is_in_the_table_and_the_records_are_valid():
    wanted = {(type_, frozenset(each.split("+"))) for type_, rows in COMBINATIONS.items() for each in rows}

    assert {combination(query) for query, _ in TABLE} == wanted
    assert [record["id"] for record in RECORDS if gate.check(record)] == []


@pytest.mark.usefixtures("_records")
@pytest.mark.parametrize(("query", "ids"), [pytest.param(*row, id=row[0]) for row in TABLE])
def test_a_search_of_us_core_finds_what_it_means_by_get_and_by_post(query, ids, client):
    type_, _, asked = query.partition("?")
    form = [tuple(pair.split("=", 1)) for pair in asked.split("&")]

    by_get = client.get(f"/fhir/{query}")
    by_post = client.post(f"/fhir/{type_}/_search", data=_multiple(form))

    assert found(by_get) == found(by_post) == ids.split()
    assert by_get.get_json()["total"] == len(ids.split())


@pytest.mark.usefixtures("_records")
@pytest.mark.parametrize("type_", COMBINATIONS)
def test_the_parameters_are_claimed_and_provenance_comes_along(type_, client):
    rest = client.get("/fhir/metadata").get_json()["rest"][0]
    claimed = next(each for each in rest["resource"] if each["type"] == type_)
    names = {name for row in COMBINATIONS[type_] for name in row.split("+")}

    assert names <= {each["name"] for each in claimed["searchParam"]}
    assert "Provenance:target" in claimed["searchRevInclude"]


@pytest.mark.usefixtures("_records")
def test_a_result_brings_its_provenance(client):
    answer = client.get(f"/fhir/Observation?{ADA}&{LAB}&_revinclude=Provenance:target")

    assert found(answer, "include") == ["of-o1"]


@pytest.mark.usefixtures("_records")
def test_what_was_received_today_is_found_by_when(client):
    today = date.today()  # noqa: DTZ011 - a day before and a day after, whatever the zone

    recent = client.get(f"/fhir/Condition?{ADA}&_lastUpdated=gt{today - timedelta(days=2)}")
    later = client.get(f"/fhir/Condition?{ADA}&_lastUpdated=gt{today + timedelta(days=2)}")

    assert (len(found(recent)), found(later)) == (3, [])


def _multiple(form):
    named = {}
    for name, value in form:
        named.setdefault(name, []).append(value)
    return named

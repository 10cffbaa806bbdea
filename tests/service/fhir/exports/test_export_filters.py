"""`$export` with `_typeFilter`: what is written of a type is limited by searches.

http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from exporting import ASYNC, EVERYTHING, OBSERVATIONS, begin, finish, id_of, let_leases_run_out, lines, names
from fhir_visits import observation
from sqlalchemy import text

from service.store import as_at, leased
from worker import export

OF_A = {"Observation/a-1", "Observation/a-2"}


@pytest.mark.parametrize(
    ("path", "types", "filters", "expected"),
    [
        ("$export", "Observation", "Observation?patient=a", OF_A),
        ("$export", "Observation", "Observation?_id=a-1,b-1", {"Observation/a-1", "Observation/b-1"}),
        ("$export", "Observation", "Observation?code=http://loinc.org|1", set()),
        ("$export", "Observation", "Observation?code=http://loinc.org|72514-3&patient=a", OF_A),
        ("$export", "Observation", "Observation?date=lt2026-01-05T09:40:00%2B01:00", set()),
        ("$export", "Observation", "Observation?subject=http://127.0.0.1:8000/fhir/Patient/a", OF_A),
        ("$export", "Observation", "Observation?patient:Patient._has:Observation:patient:_id=a-1", OF_A),
        # several of a type: one must be fulfilled
        (
            "$export",
            "Observation",
            ["Observation?_id=a-1", "Observation?_id=b-2&status=final", "Observation?status=amended"],
            {"Observation/a-1", "Observation/b-2"},
        ),
        (
            "$export",
            "Observation",
            "Observation?_id=a-1,b-1,Observation?patient=a",
            OF_A | {"Observation/b-1"},
        ),
        # a type without one is written whole
        (
            "$export",
            "Observation,Patient",
            "Observation?_id=b-1",
            {"Observation/b-1", "Patient/a", "Patient/b", "Patient/c"},
        ),
        (
            "$export",
            None,
            ["Observation?_id=b-1"],
            EVERYTHING - OBSERVATIONS | {"Observation/b-1", "Group/some"},
        ),
        ("Patient/$export", "Observation", "Observation?_id=b-1", {"Observation/b-1"}),
        (
            "Patient/$export",
            "Patient,Observation",
            ["Patient?_id=a", "Observation?patient=a"],
            OF_A | {"Patient/a"},
        ),
        ("Group/some/$export", "Observation", "Observation?status=final", OF_A),
        ("Group/some/$export", "Observation", "Observation?patient=b", set()),
        (
            "Group/some/$export",
            "Observation",
            ["Observation?_id=a-1", "Observation?_id=b-1"],
            {"Observation/a-1"},
        ),
        ("$export", "Observation", "Observation?", OBSERVATIONS),
    ],
)
def test_a_type_filter_limits_what_is_written_of_its_type(
    path, types, filters, expected, client, database, visits
):
    """http://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters"""
    group = {"resourceType": "Group", "id": "some", "type": "person", "actual": True}
    client.put("/fhir/Group/some", json={**group, "member": [{"entity": {"reference": "Patient/a"}}]})
    query = {"_typeFilter": filters} | ({"_type": types} if types else {})

    manifest = finish(client, database, begin(client, path, **query))

    assert names(lines(client, manifest)) == expected
    assert "_typeFilter=" in manifest["request"]
    assert manifest["error"] == []


def test_a_type_filter_in_a_body_is_no_part_of_an_address(client, database, visits):
    parts = [{"name": "_typeFilter", "valueString": f"Patient?_id={id_}"} for id_ in "ab"]
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}, *parts]}

    answer = client.post("/fhir/$export", json=body, headers=ASYNC)

    manifest = finish(client, database, urlsplit(answer.headers["Content-Location"]).path)
    assert names(lines(client, manifest)) == {"Patient/a", "Patient/b"}
    assert manifest["request"] == "http://127.0.0.1:8000/fhir/$export"


def test_a_zero_character_of_a_filter_in_a_body_is_refused(client, database):
    filter_ = {"name": "_typeFilter", "valueString": "Observation?code=%00"}

    answer = client.post(
        "/fhir/$export", json={"resourceType": "Parameters", "parameter": [filter_]}, headers=ASYNC
    )

    assert answer.status_code == 400
    with database.transaction() as tx:
        assert leased.due(tx, "export", 1) == []


def test_what_a_filter_may_not_hold_is_passed_over_where_that_is_asked_for(client, database, visits):
    filters = ["Patient?_id=a&_sort=family&colour=red", "Task?status=requested"]
    headers = {"Prefer": "respond-async, handling=lenient"}

    answer = client.get(
        "/fhir/$export", query_string={"_type": "Patient", "_typeFilter": filters}, headers=headers
    )

    manifest = finish(client, database, urlsplit(answer.headers["Content-Location"]).path)
    assert names(lines(client, manifest)) == {"Patient/a"}
    (line,) = lines(client, manifest, "error")["OperationOutcome"]
    assert "3 of what is in _typeFilter" in json.loads(line)["issue"][0]["diagnostics"]


@pytest.mark.parametrize("step_s", [0, 60])
def test_a_filter_is_asked_of_the_record_as_it_was_whoever_dies_meanwhile(client, database, visits, step_s):
    """What was final when the files were asked for is in them, though it was amended or removed since."""
    client.put("/fhir/Observation/c-2", json=observation("c-2", "Patient/c", status="amended"))
    div = '<div xmlns="http://www.w3.org/1999/xhtml">as told</div>'
    told = {"text": {"status": "generated", "div": div}}
    client.put("/fhir/Observation/b-2", json=observation("b-2", "Patient/b", **told))
    filters = [
        "Observation?status=final&code=http://loinc.org|72514-3&patient:Patient._id=a",
        "Observation?status=final&date=2026-01-05&_id=b-1,c-1,c-2,new",
        "Observation?_text=told",
    ]
    status = begin(client, _type="Observation", _typeFilter=filters)
    expected = {
        n: client.get(f"/fhir/{n}").text
        for n in (*OF_A, *(f"Observation/{each}" for each in ("b-1", "b-2", "c-1")))
    }
    if not step_s:
        # The worker that dies has written the first page before.
        with pytest.MonkeyPatch.context() as patching:
            patching.setattr(export, "PAGE", 1)
            for _ in ("the counts", "the page"):
                assert export.run(database, 0, id_of(status), for_s=0, step_s=0)
    client.put("/fhir/Observation/a-1", json=observation("a-1", "Patient/a", status="amended"))
    client.put("/fhir/Observation/a-2", json=observation("a-2", "Patient/a", status="amended"))
    client.put("/fhir/Observation/b-1", json=observation("b-1", "Patient/b", status="amended"))
    client.put("/fhir/Observation/b-2", json=observation("b-2", "Patient/b"))
    client.put("/fhir/Observation/c-2", json=observation("c-2", "Patient/c", **told))
    client.put("/fhir/Observation/new", json=observation("new", "Patient/c"))
    assert client.delete("/fhir/Observation/c-1").status_code == 204
    with database.transaction() as tx:
        assert leased.claim(tx, "export", id_of(status), tenant=0)
    let_leases_run_out(database)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(export, "PAGE", 1)
        manifest = finish(client, database, status, for_s=0, step_s=step_s)

    found = lines(client, manifest)["Observation"]
    assert sorted(found) == sorted(expected.values())


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("has-member:Observation.status=final", []),
        ("has-member:Observation.status=amended", ["Observation/a-1"]),
        ("_has:Observation:has-member:status=final", []),
        ("_has:Observation:has-member:status=amended", ["Observation/a-2"]),
    ],
)
def test_what_a_filter_asks_of_others_is_asked_of_them_as_they_are(
    search, expected, client, database, visits
):
    """Also where they are of the type that is written, and their own versions of then stand beside."""
    member = {"hasMember": [{"reference": "Observation/a-2"}]}
    client.put("/fhir/Observation/a-1", json=observation("a-1", "Patient/a", **member))
    status = begin(client, _type="Observation", _typeFilter=f"Observation?{search}")
    client.put("/fhir/Observation/a-1", json=observation("a-1", "Patient/a", status="amended", **member))
    client.put("/fhir/Observation/a-2", json=observation("a-2", "Patient/a", status="amended"))

    manifest = finish(client, database, status)

    assert sorted(names(lines(client, manifest))) == expected


def test_what_was_removed_is_told_whatever_the_filter_says(client, database, visits):
    """Of what is gone nobody knows any more whether it was meant."""
    first = finish(client, database, begin(client))
    client.delete("/fhir/Observation/a-2")
    client.put("/fhir/Observation/b-1", json=observation("b-1", "Patient/b", status="amended"))

    manifest = finish(
        client,
        database,
        begin(client, _since=first["transactionTime"], _typeFilter="Observation?status=amended"),
    )

    assert names(lines(client, manifest)) >= {"Observation/b-1"}
    (removed,) = lines(client, manifest, "deleted")["Bundle"]
    assert json.loads(removed)["entry"] == [{"request": {"method": "DELETE", "url": "Observation/a-2"}}]


def index_is(owner, *, complete):
    with owner.transaction() as tx:
        tx.execute(text("UPDATE reindexing SET complete = :complete"), {"complete": complete})


@pytest.mark.parametrize("search", ["code=a", "patient=a", "_id=a-1", ""])
def test_a_filtered_export_is_refused_until_the_index_is_complete(search, client, owner, visits):
    query = {"_typeFilter": f"Observation?{search}"}
    index_is(owner, complete=False)
    try:
        assert client.get("/fhir/$export", query_string=query, headers=ASYNC).status_code == 503
        assert client.get("/fhir/$export", headers=ASYNC).status_code == 202
    finally:
        index_is(owner, complete=True)

    assert client.get("/fhir/$export", query_string=query, headers=ASYNC).status_code == 202


def test_a_filtered_export_that_was_begun_waits_for_the_index(client, database, owner, visits):
    """An upgrade to a release with other rows comes between the kick-off and the worker."""
    status = begin(client, _typeFilter="Observation?patient=a", _type="Observation")
    index_is(owner, complete=False)
    try:
        for _ in range(leased.MOST_ATTEMPTS + 1):
            assert not export.run(database, 0, id_of(status))
            assert client.get(status).status_code == 202
            with database.transaction() as tx:
                tx.execute(text("UPDATE export SET retry_at = NULL"))
    finally:
        index_is(owner, complete=True)

    assert names(lines(client, finish(client, database, status))) == OF_A


@pytest.fixture
def slow(monkeypatch):
    """Every statement that asks a filter takes 25 s by the worker's clock; return how many there were."""
    asked = {"names": 0, "counts": 0}
    monkeypatch.setattr(export, "time", SimpleNamespace(monotonic=lambda: 25.0 * sum(asked.values())))
    for name, found in (("names", as_at.names), ("counts", as_at.counts)):

        def taking_long(*args, name=name, found=found, **more):
            asked[name] += 1
            return found(*args, **more)

        monkeypatch.setattr(as_at, name, taking_long)
    return asked


def test_a_step_whose_filters_are_slow_ends_after_one_of_them(client, database, visits, slow):
    types = ("Observation", "Patient", "Practitioner")
    status = begin(client, _type=types, _typeFilter=[f"{type_}?_id=nobody" for type_ in types])

    def step():
        before = sum(slow.values())
        assert export.run(database, 0, id_of(status), for_s=0)
        return sum(slow.values()) - before

    # That of types without a filter is one of them.
    assert [step() for _ in range(4)] == [1, 1, 1, 1]
    assert slow == {"names": 3, "counts": 1}
    assert client.get(status).get_json()["output"] == []


def test_what_a_slow_filter_found_is_written_at_once(client, database, visits, slow, monkeypatch):
    monkeypatch.setattr(export, "PAGE", 1)
    monkeypatch.setattr(as_at, "FETCHED", 4)
    status = begin(client, _type="Observation", _typeFilter="Observation?status=final")

    manifest = finish(client, database, status, for_s=0)

    assert names(lines(client, manifest)) == OBSERVATIONS
    assert slow["names"] == 2

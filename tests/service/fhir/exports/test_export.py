"""`$export`: the files are the record as it was when they were asked for, whatever happens meanwhile.

http://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from exporting import ASYNC, EVERYTHING, NDJSON, begin, finish, id_of, let_leases_run_out, lines, names
from fhir_visits import bundle, observation, patient, practitioner, put
from sqlalchemy import text

from fhir_profiles import gate, reading
from service import clock
from service.app import create_app
from service.fhir import transaction
from service.store import export_files, exports, horizon, leased, promises, resources
from service.store.database import Database
from service.store.resources import Write
from worker import export


def test_an_export_is_begun_asked_about_read_and_removed(client, database, visits):
    status = begin(client)

    waiting = client.get(status)
    assert (waiting.status_code, waiting.headers["X-Progress"]) == (202, "0 % done")
    assert int(waiting.headers["Retry-After"]) >= 1
    manifest = finish(client, database, status)
    assert client.get(status).content_type == "application/json"
    kept_s = (client.get(status).expires - datetime.now(UTC)).total_seconds()
    assert kept_s == pytest.approx(leased.KEPT["export"].total_seconds(), abs=60)
    assert manifest["request"] == "http://127.0.0.1:8000/fhir/$export"
    assert (manifest["requiresAccessToken"], manifest["error"]) == (False, [])
    assert "deleted" not in manifest
    found = lines(client, manifest)
    assert names(found) == EVERYTHING
    for read in found.values():
        for line in read:
            body = json.loads(line)
            assert line == client.get(f"/fhir/{body['resourceType']}/{body['id']}").text
    file = urlsplit(manifest["output"][0]["url"]).path
    assert client.delete(status).status_code == 202
    assert [client.open(path, method=m).status_code for path, m in
            ((status, "GET"), (file, "GET"), (status, "DELETE"))] == [404, 404, 404]  # fmt: skip
    assert database.run(exports.purge) > 0
    with database.transaction() as tx:
        assert (
            tx.execute(
                text("SELECT (SELECT count(*) FROM export) + (SELECT count(*) FROM export_chunk)")
            ).scalar_one()
            == 0
        )


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("Patient/$export", {}, EVERYTHING - {"Practitioner/dr"}),
        ("$export", {"_type": "Patient,Practitioner"}, {n for n in EVERYTHING if n.startswith("P")}),
        ("Patient/$export", {"_type": ["Patient", "Practitioner"]}, {"Patient/a", "Patient/b", "Patient/c"}),
        ("Group/some/$export", {}, {f"{n}" for n in EVERYTHING if n[-1] in "ac" or "/a-" in n or "/c-" in n}),
        ("$export", {"_since": "2999-01-01T00:00:00+01:00"}, set()),
    ],
)  # fmt: skip
def test_each_level_and_filter_writes_what_it_says(path, query, expected, client, database, visits):
    members = [{"entity": {"reference": f"Patient/{who}"}} for who in "ac"]
    members.append({"entity": {"reference": "Patient/b"}, "inactive": True})
    group = {"resourceType": "Group", "id": "some", "type": "person", "actual": True, "member": members}
    assert client.put("/fhir/Group/some", json=group).status_code == 201
    unknown = {**group, "member": [{"entity": {"reference": "Patient/nobody"}}]}
    assert client.put("/fhir/Group/some", json=unknown).status_code == 422
    expected = expected | ({"Group/some"} if path == "$export" and not query else set())

    manifest = finish(client, database, begin(client, path, **query))

    assert names(lines(client, manifest)) == expected
    assert all(file["count"] for file in manifest["output"])


def test_patients_are_named_in_a_body(client, database, visits):
    def ask(path, *who):
        parts = [{"name": "patient", "valueReference": {"reference": f"Patient/{each}"}} for each in who]
        body = {"resourceType": "Parameters", "parameter": parts}
        return client.post(f"/fhir/{path}", json=body, headers=ASYNC)

    group = {"resourceType": "Group", "id": "one", "type": "person", "actual": True}
    client.put("/fhir/Group/one", json={**group, "member": [{"entity": {"reference": "Patient/a"}}]})
    answer = ask("Patient/$export", "b", "a")
    manifest = finish(client, database, urlsplit(answer.headers["Content-Location"]).path)

    assert names(lines(client, manifest)) == {n for n in EVERYTHING if re.search("/[ab]", n)}
    assert "Patient" in manifest["request"]
    assert "?" not in manifest["request"]
    assert ask("Patient/$export", "nobody").status_code == 400
    assert ask("Group/one/$export", "b").status_code == 400
    assert ask("Group/one/$export", "a").status_code == 202
    assert client.get("/fhir/Patient/$export?patient=Patient/a", headers=ASYNC).status_code == 400


def test_elements_leave_out_the_rest_and_say_so(client, database, visits):
    manifest = finish(
        client, database, begin(client, _type="Patient,Observation", _elements="Patient.name,status")
    )
    found = lines(client, manifest)

    for body in map(json.loads, found["Observation"]):
        assert set(body) == {"resourceType", "id", "meta", "status", "code"}
        assert body["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert all(set(json.loads(line)) == {"resourceType", "id", "meta"} for line in found["Patient"])


def test_what_was_removed_since_is_told_to_whoever_asks_what_changed(client, database, visits):
    first = finish(client, database, begin(client))
    client.delete("/fhir/Observation/a-2")
    client.put("/fhir/Practitioner/dr", json=practitioner(active=True))

    manifest = finish(client, database, begin(client, _since=first["transactionTime"]))
    anew = finish(client, database, begin(client))

    # The moment itself is included, so what was stored in it may come twice.
    assert "Practitioner/dr" in names(lines(client, manifest))
    removed = [json.loads(line) for line in lines(client, manifest, "deleted")["Bundle"]]
    assert [each["entry"] for each in removed] == [
        [{"request": {"method": "DELETE", "url": "Observation/a-2"}}]
    ]
    assert gate.check(reading.read(json.dumps(removed[0]).encode())) == ()
    assert "Observation/a-2" not in names(lines(client, manifest)) | names(lines(client, anew))


REFUSED = {
    "no preference": ("$export", {}, {}, 400),
    "a form that is not written": ("$export", {"_outputFormat": "text/csv"}, ASYNC, 400),
    "a type there is not": ("$export", {"_type": "Bundle"}, ASYNC, 400),
    "types of nobody": ("Patient/$export", {"_type": "ValueSet"}, ASYNC, 400),
    "no instant": ("$export", {"_since": "yesterday"}, ASYNC, 400),
    "an element there is not": ("$export", {"_elements": "colour"}, ASYNC, 400),
    "an element of another type": ("$export", {"_type": "Patient", "_elements": "Task.status"}, ASYNC, 400),
    "an element inside one": (
        "$export",
        {"_type": "Patient", "_elements": "Patient.name.family"},
        ASYNC,
        400,
    ),
    "what is not known": ("$export", {"_organizeOutputBy": "Patient"}, ASYNC, 400),
    "a filter of a type that is not written": (
        "$export",
        {"_type": "Patient", "_typeFilter": "Task?status=requested"},
        ASYNC,
        400,
    ),
    "a filter of a type there is not": ("$export", {"_typeFilter": "Bundle?type=batch"}, ASYNC, 400),
    "a filter without a type": ("$export", {"_typeFilter": "status=final"}, ASYNC, 400),
    "a filter by what is not known": ("$export", {"_typeFilter": "Patient?colour=red"}, ASYNC, 400),
    "a filter by a set that is not known": ("$export", {"_typeFilter": "Task?code:in=urn:a"}, ASYNC, 400),
    "a filter that sends something along": (
        "$export",
        {"_typeFilter": "Patient?_id=a&_revinclude=Task:patient"},
        ASYNC,
        400,
    ),
    "a filter that sorts": ("$export", {"_typeFilter": "Patient?_sort=family"}, ASYNC, 400),
    "a filter that counts": ("$export", {"_typeFilter": "Patient?_count=1"}, ASYNC, 400),
    "a zero character": ("$export", {"_typeFilter": "Observation?code=%00"}, ASYNC, 400),
    "one in a name": ("$export", {"_typeFilter": "Observation?co%00de=a"}, ASYNC, 400),
    "many filters": ("$export", {"_typeFilter": ["Patient?_id=a"] * 21}, ASYNC, 400),
    "no Group": ("Group/none/$export", {}, ASYNC, 404),
}


@pytest.mark.parametrize(("path", "query", "headers", "status"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_refused_at_once(path, query, headers, status, client, database):
    answer = client.get(f"/fhir/{path}", query_string=query, headers=headers)

    assert answer.status_code == status
    assert answer.get_json()["issue"][0]["diagnostics"]
    with database.transaction() as tx:
        assert leased.due(tx, "export", 1) == []


def test_a_client_that_asks_to_pass_over_what_is_not_known_gets_the_rest_and_is_told(
    client, database, visits
):
    headers = {"Prefer": "respond-async, handling=lenient"}

    answer = client.get("/fhir/$export?_type=Patient&_organizeOutputBy=Patient", headers=headers)

    assert answer.status_code == 202
    manifest = finish(client, database, urlsplit(answer.headers["Content-Location"]).path)
    assert names(lines(client, manifest)) == {"Patient/a", "Patient/b", "Patient/c"}
    (line,) = lines(client, manifest, "error")["OperationOutcome"]
    assert "1 of the parameters" in json.loads(line)["issue"][0]["diagnostics"]


@pytest.mark.parametrize("path", ["$export", "Patient/$export"])
def test_whoever_asks_for_auditevents_is_told_where_those_of_accesses_are(path, client, database, visits):
    client.get("/fhir/Patient/a")

    named = finish(client, database, begin(client, path, _type="AuditEvent"))
    everything = finish(client, database, begin(client, path))

    assert (named["output"], everything["error"]) == ([], [])
    (line,) = lines(client, named, "error")["OperationOutcome"]
    assert "AuditEvent?type=rest" in json.loads(line)["issue"][0]["diagnostics"]


def test_a_head_begins_nothing(client, database):
    assert client.head("/fhir/$export", headers=ASYNC).status_code == 400
    with database.transaction() as tx:
        assert leased.due(tx, "export", 1) == []


@pytest.mark.parametrize("form", ["application/fhir+ndjson", "application/ndjson", "ndjson"])
def test_each_name_of_the_form_is_understood(form, client):
    assert client.get("/fhir/$export", query_string={"_outputFormat": form}, headers=ASYNC).status_code == 202


def test_a_file_is_read_with_its_own_media_type_and_in_no_other(client, database, visits):
    manifest = finish(client, database, begin(client, _type="Patient"))
    path = urlsplit(manifest["output"][0]["url"]).path

    assert client.get(path, headers={"Accept": NDJSON}).status_code == 200
    assert client.get(path, headers={"Accept": "application/xml"}).status_code == 406
    assert client.get(f"{path}?_pretty=true").data == client.get(path).data
    other = path.replace("Patient.1", "Patient.2")
    assert client.get(other).status_code == client.get(path.replace("Patient", "Group")).status_code == 404


def test_files_show_the_record_as_it_was_when_they_were_asked_for(client, database, send, visits):
    for value in (7, 8):
        client.put("/fhir/Observation/a-1", json=observation("a-1", "Patient/a", valueInteger=value))
    before = {n: client.get(f"/fhir/{n}").text for n in EVERYTHING}
    status = begin(client, _type="Observation,Patient,Practitioner")
    # One version at a time, and between any two of them something is changed, removed and made.
    changes = [
        lambda: client.put("/fhir/Observation/a-1", json=observation("a-1", "Patient/a", valueInteger=1)),
        lambda: client.delete("/fhir/Observation/c-2"),
        lambda: client.put("/fhir/Observation/c-1", json=observation("c-1", "Patient/c", valueInteger=1)),
        lambda: client.put("/fhir/Observation/c-1", json=observation("c-1", "Patient/c", valueInteger=2)),
        lambda: send(bundle(put(patient("new")), put(observation("new-1", "Patient/new")))),
        lambda: client.put("/fhir/Patient/b", json=patient("b", active=True)),
        lambda: client.put("/fhir/Practitioner/dr", json=practitioner(active=True)),
    ]
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(export, "PAGE", 1)
        for change in changes:
            assert change().status_code in (200, 201, 204)
            export.run(database, 0, id_of(status), for_s=0, step_s=0)
        manifest = finish(client, database, status, for_s=0, step_s=0)

    found = [line for read in lines(client, manifest).values() for line in read]
    assert sorted(found) == sorted(before.values())


def test_nothing_is_missing_whose_writer_committed_late(client, database, visits, settings):
    """Behind a writer that has read the clock and not yet committed nothing is said to be complete."""
    late, may_commit = threading.Event(), threading.Event()

    def write():
        with database.transaction() as tx:
            horizon.announce(tx)
            now = clock.now(tx)
            body = {"resourceType": "Basic", "id": "late", "code": {"text": "x"}}
            resources.save(tx, [Write(type="Basic", id="late", body=body)], tenant=0, now=now)
            late.set()
            may_commit.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    assert late.wait(20)
    status = begin(client)
    may_commit.set()
    writer.join()
    first = finish(client, database, status)
    second = finish(client, database, begin(client, _since=first["transactionTime"]))

    assert names(lines(client, first)) == EVERYTHING
    assert "Basic/late" in names(lines(client, second))


def test_a_large_record_is_written_in_pages_steps_and_files(client, database, monkeypatch):
    bodies = [{"resourceType": "Basic", "id": f"b{n}", "code": {"text": "x" * (n % 50)}} for n in range(700)]
    with database.transaction() as tx:
        now = clock.now(tx).replace(microsecond=0)
        writes = [Write(type="Basic", id=body["id"], body=body, fresh=True) for body in bodies]
        resources.save(tx, writes, tenant=0, now=now)
    monkeypatch.setattr(export, "FILE", 300)
    monkeypatch.setattr(export, "PAGE", 100)
    held = []
    versions = resources.versions

    def watched(tx, wanted, **more):
        held.append(len(wanted))
        return versions(tx, wanted, **more)

    monkeypatch.setattr(resources, "versions", watched)
    status, seen = begin(client, _type="Basic"), []
    while export.run(database, 0, id_of(status), for_s=0, step_s=0):
        if (answer := client.get(status)).status_code == 202:
            seen.append(int(answer.headers["X-Progress"].split()[0]))
    manifest = client.get(status).get_json()

    assert [file["count"] for file in manifest["output"]] == [300, 300, 100]
    assert names(lines(client, manifest)) == {f"Basic/{body['id']}" for body in bodies}
    assert held == [100] * 7
    assert seen == sorted(seen)
    assert seen[0] == 14
    assert max(seen) == 99


def test_a_step_that_dies_is_done_again_and_nothing_is_written_twice(client, database, visits):
    status = begin(client)
    id_ = id_of(status)
    with database.transaction() as tx:
        lost = leased.claim(tx, "export", id_, tenant=0)
    # Whoever has the lease is at work, as far as others can tell.
    assert not export.run(database, 0, id_)
    let_leases_run_out(database)
    manifest = finish(client, database, status)
    with pytest.raises(leased.LeaseLost), database.transaction() as tx:
        leased.finished(tx, lost)

    assert names(lines(client, manifest)) == EVERYTHING
    assert sum(file["count"] for file in manifest["output"]) == len(EVERYTHING)


def test_two_workers_never_write_the_same_export_at_once(client, database_url, visits):
    status = begin(client)
    busy = Database(database_url, pool_size=8)
    barrier, wrote = threading.Barrier(4), []

    def work():
        barrier.wait()
        while export.run(busy, 0, id_of(status), for_s=0, step_s=0):
            wrote.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manifest = finish(client, busy, status)
    busy.close()

    assert names(lines(client, manifest)) == EVERYTHING
    assert sum(file["count"] for file in manifest["output"]) == len(EVERYTHING)


def test_an_export_whose_workers_are_lost_again_and_again_fails_and_says_so(client, database, visits):
    status = begin(client)
    for _ in range(leased.MOST_ATTEMPTS):
        with database.transaction() as tx:
            assert leased.claim(tx, "export", id_of(status), tenant=0)
        let_leases_run_out(database)

    assert not export.run(database, 0, id_of(status))
    answer = client.get(status)
    assert answer.status_code == 500
    assert "workers were lost" in answer.get_json()["issue"][0]["diagnostics"]
    assert client.delete(status).status_code == 202


def test_an_error_is_tried_again_and_ends_the_export_without_a_value(
    client, database, visits, monkeypatch, capsys
):
    status = begin(client)

    def broken(*_, **__):
        raise ValueError("Rossi 1970-04-04")

    monkeypatch.setattr(resources, "versions", broken)
    for _ in range(leased.MOST_ATTEMPTS):
        assert not export.run(database, 0, id_of(status))
        with database.transaction() as tx:
            tx.execute(text("UPDATE export SET retry_at = NULL"))
    answer = client.get(status)

    assert answer.status_code == 500
    assert "ValueError" in answer.text
    assert "Rossi" not in answer.text


def test_a_cancelled_export_ends_whoever_writes_it(client, database, visits):
    status = begin(client)
    with database.transaction() as tx:
        claim = leased.claim(tx, "export", id_of(status), tenant=0)
    assert client.delete(status).status_code == 202
    with pytest.raises(leased.LeaseLost), database.transaction() as tx:
        exports.reached(tx, claim, {}, place=1, after=None, gone=0)
    assert not export.run(database, 0, id_of(status))


def test_a_worker_lets_go_when_a_patient_waits_to_be_evaluated(client, database, visits):
    with database.transaction() as tx:
        promises.want(tx, "a", tenant=0, due_at=clock.now(tx))
    status = begin(client)

    assert export.run(database, 0, id_of(status), step_s=0)

    assert client.get(status).status_code == 202


def test_a_download_that_is_cancelled_breaks_and_is_not_taken_for_the_whole(
    client, database, visits, monkeypatch
):
    monkeypatch.setattr(export, "PAGE", 1)
    status = begin(client, _type="Patient")
    manifest = finish(client, database, status)

    answer = client.get(urlsplit(manifest["output"][0]["url"]).path)
    client.delete(status)
    database.run(exports.purge)

    with pytest.raises(ConnectionAbortedError):
        answer.get_data()


def test_reading_a_file_is_an_access_to_everybody_in_it(client, database, visits):
    manifest = finish(client, database, begin(client))

    def read():
        with database.transaction() as tx:
            statement = "SELECT place, action, patients, status FROM access ORDER BY key"
            return [tuple(row) for row in tx.execute(text(statement))]

    assert read() == []
    lines(client, manifest)
    place = "/fhir/_export/<id_>/<name>"
    found = {
        tuple(patients)
        for where, action, patients, status in read()
        if (where, action, status) == (place, "R", 200)
    }
    # The Practitioner is nobody's.
    assert found == {("a", "b", "c")}
    assert len(read()) == 2


def test_what_has_expired_is_gone_and_is_removed_after_a_grace(client, database, visits):
    status = begin(client, _type="Patient")
    manifest = finish(client, database, status)
    waiting = begin(client)

    def age(by):
        with database.transaction() as tx:
            tx.execute(text("UPDATE export SET expires_at = clock_timestamp() - :by"), {"by": by})

    age(timedelta(seconds=1))
    assert (
        client.get(status).status_code
        == client.get(urlsplit(manifest["output"][0]["url"]).path).status_code
        == 404
    )
    assert not export.run(database, 0, id_of(waiting))
    with database.transaction() as tx:
        assert leased.due(tx, "export", 5) == []
    assert database.run(exports.purge) == 0
    age(exports.GRACE + timedelta(seconds=1))
    assert database.run(exports.purge) == 1
    with database.transaction() as tx:
        assert export_files.of(tx, id_of(status), tenant=0) == []


def test_a_caller_has_so_many_and_no_more_whoever_asks_at_once(client, settings, database_url):
    busy = Database(database_url, pool_size=10)
    app, barrier, statuses = create_app(settings, busy), threading.Barrier(14), []

    def ask():
        barrier.wait()
        answer = app.test_client().get("/fhir/$export", headers=ASYNC)
        statuses.append(answer.status_code)
        assert (answer.status_code == 429) is ("Retry-After" in answer.headers)

    threads = [threading.Thread(target=ask) for _ in range(14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy.close()

    assert sorted(statuses) == [202] * 10 + [429] * 4


def test_a_set_clock_does_not_keep_an_export_from_being_written(client, database, visits):
    with database.transaction() as tx:
        clock.set_(tx, datetime(2026, 6, 1, tzinfo=UTC), held=True)
    try:
        transaction.accept(database, bundle(put(patient("d"))), sender="test")
        manifest = finish(client, database, begin(client, _type="Patient", _since="2026-06-01T00:00:00Z"))
        assert manifest["transactionTime"] == "2026-06-01T00:00:00.000Z"
        assert "Patient/d" in names(lines(client, manifest))
    finally:
        with database.transaction() as tx:
            clock.unset(tx)


def test_a_sandbox_that_forgets_forgets_exports(client, database, visits):
    status = begin(client)
    finish(client, database, status)

    assert client.delete("/sandbox/data").status_code == 204

    assert client.get(status).status_code == 404
    with database.transaction() as tx:
        assert export_files.of(tx, id_of(status), tenant=0) == []

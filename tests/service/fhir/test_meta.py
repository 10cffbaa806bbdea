"""`$meta`, `$meta-add` and `$meta-delete`: labels are sets, and what changes them is a version.

http://hl7.org/fhir/R4/resource-operation-meta.html
"""

import threading
from datetime import UTC, datetime

import pytest
from fhir_visits import bundle, patient, practitioner, put
from sqlalchemy import text

from fhir_profiles import gate
from service.app import create_app
from service.store import labels, resources
from service.store.database import Database
from service.store.resources import Write

PROFILE = "http://example.org/StructureDefinition/p"
ONE = {"system": "urn:tags", "code": "one", "display": "One"}
TWO = {"code": "two"}
SECRET = {"system": "urn:labels", "code": "R"}
META = {"profile": [PROFILE], "tag": [ONE], "security": [SECRET]}


@pytest.fixture(autouse=True)
def nothing_there(owner):
    with owner.transaction() as tx:
        tx.execute(
            text("TRUNCATE resource, history, search_value, search_text, search_date, access, seal, sealed")
        )


@pytest.fixture
def who(send):
    assert send(bundle(put(patient("a", meta=META)))).status_code == 200
    return "Patient/a"


def change(client, who, name, **meta):
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
    return client.post(f"/fhir/{who}/${name}", json=body)


def meta(answer):
    """Return the meta that is answered, without version and time."""
    assert answer.status_code == 200, answer.get_json()
    assert gate.check(answer.get_json()) == ()
    (part,) = answer.get_json().get("parameter", [{"name": "return", "valueMeta": {}}])
    assert part["name"] == "return"
    return {k: v for k, v in part["valueMeta"].items() if k not in ("versionId", "lastUpdated")}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_meta_of_one_and_of_each_of_its_versions_is_read(client, who, method):
    client.put(f"/fhir/{who}", json=patient("a"))

    assert meta(client.open(f"/fhir/{who}/$meta", method=method)) == {}
    assert meta(client.open(f"/fhir/{who}/_history/1/$meta", method=method)) == META
    answer = client.open(f"/fhir/{who}/$meta", method=method)
    assert answer.headers["ETag"] == 'W/"2"'
    assert answer.get_json()["parameter"][0]["valueMeta"]["versionId"] == "2"


def test_what_is_added_is_added_once_and_is_a_version(client, who):
    added = change(
        client, who, "meta-add", tag=[TWO, {**ONE, "display": "Another word"}, TWO], profile=[PROFILE]
    )
    again = change(client, who, "meta-add", tag=[TWO])

    assert meta(added) == {**META, "tag": [ONE, TWO]}
    assert (added.headers["ETag"], again.headers["ETag"]) == ('W/"2"', 'W/"2"')
    assert "Evaluation-Due" in added.headers
    assert meta(client.get(f"/fhir/{who}/_history/1/$meta")) == META
    assert client.get(f"/fhir/{who}").get_json()["meta"]["tag"] == [ONE, TWO]
    assert client.get("/fhir/Patient?_tag=two").get_json()["total"] == 1


def test_what_is_removed_is_removed_and_what_is_not_there_is_passed_over(client, who):
    removed = change(
        client, who, "meta-delete", tag=[{"system": "urn:tags", "code": "one"}, TWO], profile=["urn:x"]
    )
    again = change(client, who, "meta-delete", tag=[ONE])
    rest = change(client, who, "meta-delete", profile=[PROFILE], security=[SECRET])

    assert meta(removed) == {"profile": [PROFILE], "security": [SECRET]}
    assert (removed.headers["ETag"], again.headers["ETag"], rest.headers["ETag"]) == (
        'W/"2"',
        'W/"2"',
        'W/"3"',
    )
    assert meta(rest) == {}


def test_a_tag_without_its_system_is_another_one(client, who):
    assert meta(change(client, who, "meta-delete", tag=[{"code": "one"}])) == META


def test_extensions_of_profiles_stay_with_their_profile(client):
    more = {"extension": [{"url": "urn:e", "valueBoolean": True}]}
    body = patient("e", meta={"profile": ["urn:a", "urn:b"], "_profile": [None, more]})
    client.put("/fhir/Patient/e", json=body)

    assert meta(change(client, "Patient/e", "meta-add", profile=["urn:c"])) == {
        "profile": ["urn:a", "urn:b", "urn:c"],
        "_profile": [None, more, None],
    }
    found = meta(change(client, "Patient/e", "meta-delete", profile=["urn:a"]))
    assert found == {"profile": ["urn:b", "urn:c"], "_profile": [more, None]}


def test_the_rest_of_the_resource_and_of_its_meta_stays(client):
    body = patient("s", mrn="7", meta={"source": "urn:src", "tag": [ONE]}, multipleBirthInteger=2)
    client.put("/fhir/Patient/s", json=body)

    change(client, "Patient/s", "meta-add", tag=[TWO], source="urn:other", versionId="99")

    found = client.get("/fhir/Patient/s").get_json()
    assert found["meta"].pop("lastUpdated")
    assert found == {**body, "meta": {"versionId": "2", "source": "urn:src", "tag": [ONE, TWO]}}


def test_what_there_is_of_a_type_and_of_all_is_each_told_once(client, who, send):
    send(
        bundle(put(patient("b", meta={"tag": [ONE, TWO]})), put(practitioner(meta={"tag": [{"code": "z"}]})))
    )
    client.put("/fhir/Organization/gone", json={"resourceType": "Organization", "id": "gone", "name": "x",
               "meta": {"tag": [{"code": "gone"}]}})  # fmt: skip
    client.delete("/fhir/Organization/gone")
    one = {"system": "urn:tags", "code": "one"}

    assert meta(client.get("/fhir/Patient/$meta")) == {
        "profile": [PROFILE],
        "security": [SECRET],
        "tag": [TWO, one],
    }
    every = meta(client.get("/fhir/$meta"))
    assert every["tag"] == [TWO, {"code": "z"}, one]
    assert meta(client.get("/fhir/Organization/$meta")) == {}


def test_too_many_labels_are_no_list(client, database, monkeypatch):
    monkeypatch.setattr(labels, "MOST", 5)
    for number in range(7):
        body = patient(f"m{number}", meta={"tag": [{"code": str(number)}]})
        assert client.put(f"/fhir/Patient/m{number}", json=body).status_code == 201
        status = client.get("/fhir/Patient/$meta").status_code
        assert status == (200 if number < 5 else 400)


@pytest.mark.parametrize("name", ["meta-add", "meta-delete"])
def test_what_the_pathway_keeps_is_not_labelled_from_outside(client, database, name, nothing_stored_after):
    with database.transaction() as tx:
        body = {"resourceType": "Device", "id": "kept", "meta": {"tag": [ONE]}}
        write = Write(type="Device", id="kept", body=body, owned=True)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC))
    check = nothing_stored_after()

    answer = change(client, "Device/kept", name, tag=[ONE, TWO])

    check()
    assert answer.status_code == 403
    assert answer.get_json()["issue"][0]["expression"] == ["Device.meta"]


def test_what_is_not_there_or_not_said_is_refused(client, who, nothing_stored_after):
    client.put("/fhir/Patient/gone", json=patient("gone"))
    client.delete("/fhir/Patient/gone")
    check = nothing_stored_after()
    bare = {"resourceType": "Parameters"}
    twice = [{"name": "meta", "valueMeta": {"tag": [TWO]}}] * 2

    assert client.get("/fhir/Patient/nobody/$meta").status_code == 404
    assert client.get("/fhir/Patient/gone/$meta").status_code == 410
    assert client.get(f"/fhir/{who}/_history/7/$meta").status_code == 404
    assert change(client, "Patient/nobody", "meta-add", tag=[TWO]).status_code == 404
    assert change(client, "Patient/gone", "meta-delete", tag=[TWO]).status_code == 410
    assert client.post(f"/fhir/{who}/$meta-add", json=bare).status_code == 400
    assert client.post(f"/fhir/{who}/$meta-add", json={**bare, "parameter": twice}).status_code == 400
    assert client.get(f"/fhir/{who}/$meta-add").status_code == 405
    wrong = change(client, who, "meta-add", tag=[{"codes": "x"}])
    assert (wrong.status_code, wrong.get_json()["issue"][0]["expression"][0][:25]) == (
        400,
        "Parameters.parameter[0].v",
    )
    check()


def test_labels_added_at_the_same_moment_are_all_there(client, who, settings, database_url):
    busy = Database(database_url, pool_size=10)
    app, barrier, statuses = create_app(settings, busy), threading.Barrier(8), []

    def add(number):
        barrier.wait()
        statuses.append(change(app.test_client(), who, "meta-add", tag=[{"code": f"t{number}"}]).status_code)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy.close()

    assert statuses == [200] * 8
    codes = {tag["code"] for tag in meta(client.get(f"/fhir/{who}/$meta"))["tag"]}
    assert codes == {"one", *(f"t{number}" for number in range(8))}


def test_an_access_has_a_meta_without_labels_and_takes_none(client, who, database):
    client.get(f"/fhir/{who}")
    (entry,) = client.get("/fhir/AuditEvent?type=rest").get_json()["entry"]
    event = f"AuditEvent/{entry['resource']['id']}"

    answers = [client.open(f"/fhir/{event}/$meta", method=method) for method in ("GET", "POST")]

    assert [meta(answer) for answer in answers] == [{}, {}]
    assert client.get("/fhir/AuditEvent/access-999999999/$meta").status_code == 404
    refused = change(client, event, "meta-add", tag=[TWO])
    assert (refused.status_code, refused.get_json()["issue"][0]["expression"]) == (403, ["AuditEvent.id"])
    with database.transaction() as tx:
        seen = tx.execute(text("SELECT patients FROM access WHERE reference = :it"), {"it": event}).all()
    assert [tuple(row) for row in seen] == [(["a"],), (["a"],)]


def test_reading_a_meta_and_changing_one_is_on_record(client, who, database):
    client.get(f"/fhir/{who}/$meta")
    change(client, who, "meta-add", tag=[TWO])

    with database.transaction() as tx:
        rows = tx.execute(text("SELECT action, place, reference, patients FROM access ORDER BY key")).all()
        sent = tx.execute(text("SELECT interaction, stored FROM sending ORDER BY key DESC LIMIT 1")).one()
    assert [tuple(row) for row in rows] == [
        ("R", "/fhir/<type_>/<id_>/$meta", who, ["a"]),
        ("E", "/fhir/<type_>/<id_>/$meta-add", who, ["a"]),
    ]
    assert tuple(sent) == ("add_meta", [f"{who}/_history/2"])

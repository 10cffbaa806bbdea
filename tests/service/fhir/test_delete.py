"""Deletes: a version more, never something less; and what is not removed.

http://hl7.org/fhir/R4/http.html#delete
"""

import threading
from collections import Counter
from datetime import UTC, datetime

import psycopg
import pytest
from fhir_visits import MRN, UNSAID, bundle, observation, patient, post, practitioner, put
from sqlalchemy import text

from fhir_profiles import gate
from service import record
from service.app import create_app
from service.fhir import transaction
from service.store import promises, resources, standings
from service.store.database import Database
from worker.advance import advance


def arrivals(database, who):
    with database.transaction() as tx:
        return tx.execute(
            text("SELECT count(*) FROM arrival WHERE patient = :who"), {"who": who}
        ).scalar_one()


def remove(url, **request):
    return {"request": {"method": "DELETE", "url": url, **request}}


def story(client, url):
    """Return the requests in the history, oldest first."""
    entries = client.get(f"/fhir/{url}/_history").get_json()["entry"]
    return [entry["request"]["method"] for entry in reversed(entries)]


@pytest.fixture
def fact(send, request):
    """Store a patient with one finding of the test's own, and return the finding's URL."""
    who = f"d{abs(hash(request.node.name)) % 10**9}"
    send(bundle(put(patient(who)), put(observation(f"{who}-1", f"Patient/{who}"))))
    return f"Observation/{who}-1"


def test_what_is_removed_is_gone_and_its_versions_stay(client, fact, database):
    who = fact.partition("/")[2].removesuffix("-1")
    before = arrivals(database, who)

    answer = client.delete(f"/fhir/{fact}")

    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (204, b"", 'W/"2"')
    assert "Evaluation-Due" in answer.headers
    assert arrivals(database, who) == before + 1
    assert client.get(f"/fhir/{fact}").status_code == 410
    assert client.head(f"/fhir/{fact}").status_code == 410
    assert client.get(f"/fhir/{fact}/_history/2").status_code == 410
    assert client.get(f"/fhir/{fact}/_history/1").get_json()["status"] == "final"
    assert client.get(f"/fhir/Observation?patient={who}").get_json()["total"] == 0
    assert client.get(f"/fhir/Observation?_id={who}-1").get_json()["total"] == 0
    assert story(client, fact) == ["PUT", "DELETE"]
    history = client.get(f"/fhir/{fact}/_history").get_json()
    assert "resource" not in history["entry"][0]
    assert gate.check(history) == ()
    of_type = client.get("/fhir/Observation/_history?_count=1").get_json()["entry"][0]
    assert of_type["request"] == {"method": "DELETE", "url": fact}
    # Its last content is read by the rules alone.
    assert "entered-in-error" not in client.get(f"/fhir/{fact}/_history").text


def test_to_remove_what_is_not_there_changes_nothing(client, fact, database):
    who = fact.partition("/")[2].removesuffix("-1")
    client.delete(f"/fhir/{fact}")
    before = arrivals(database, who)

    again, never = client.delete(f"/fhir/{fact}"), client.delete("/fhir/Observation/never-there")

    assert [answer.status_code for answer in (again, never)] == [204, 204]
    assert client.get("/fhir/Observation/never-there").status_code == 404
    assert story(client, fact) == ["PUT", "DELETE"]
    assert arrivals(database, who) == before


def test_a_put_brings_it_back_as_the_next_version(client, fact):
    body = client.get(f"/fhir/{fact}").get_json()
    client.delete(f"/fhir/{fact}")

    back = client.put(f"/fhir/{fact}", json=body)

    assert (back.status_code, back.headers["ETag"]) == (201, 'W/"3"')
    assert client.get(f"/fhir/{fact}").get_json()["valueInteger"] == 6
    assert client.get(f"/fhir/{fact}/_history/2").status_code == 410
    assert story(client, fact) == ["PUT", "DELETE", "PUT"]
    assert client.get(f"/fhir/Observation?_id={body['id']}").get_json()["total"] == 1


@pytest.mark.parametrize(("etag", "status"), [('W/"1"', 412), ('W/"2"', 204), ("2", 400)])
def test_a_removal_may_name_the_version_it_means(etag, status, client, fact):
    body = client.get(f"/fhir/{fact}").get_json()
    client.put(f"/fhir/{fact}", json={**body, "valueInteger": 3})

    answer = client.delete(f"/fhir/{fact}", headers={"If-Match": etag})

    assert answer.status_code == status
    if status != 204:
        assert answer.get_json()["issue"][0]["expression"] == ["request.ifMatch"]
    assert (client.get(f"/fhir/{fact}").status_code == 410) is (status == 204)


def test_what_never_was_has_no_version_to_match(client):
    answer = client.delete("/fhir/Observation/never-was", headers={"If-Match": 'W/"1"'})

    assert answer.status_code == 412


@pytest.mark.parametrize(("carriers", "status"), [(0, 204), (1, 204), (2, 412)])
def test_a_removal_by_identifier_means_one(carriers, status, client):
    name = f"by-{carriers}"
    for place in range(carriers):
        body = practitioner(f"{name}-{place}", identifier=[{"system": MRN, "value": name}])
        client.put(f"/fhir/Practitioner/{name}-{place}", json=body)

    answer = client.delete(f"/fhir/Practitioner?identifier={MRN}|{name}")

    assert answer.status_code == status
    left = client.get(f"/fhir/Practitioner?identifier={MRN}|{name}").get_json()["total"]
    assert left == (0 if status == 204 else carriers)


@pytest.mark.parametrize("query", ["", "?", "?identifier=", "?name=Berg", "?_id=a", "?identifier=a|b&_id=c"])
def test_a_removal_without_one_name_is_refused(query, client, nothing_stored):
    answer = client.delete(f"/fhir/Practitioner{query}")

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["expression"] == ["request.url"]


def test_what_is_referred_to_is_not_removed_and_one_referrer_is_named(client, fact, nothing_stored_after):
    who = fact.partition("/")[2].removesuffix("-1")
    client.put("/fhir/Practitioner/needed", json=practitioner("needed"))
    body = {**client.get(f"/fhir/{fact}").get_json(), "performer": [{"reference": "Practitioner/needed"}]}
    client.put(f"/fhir/{fact}", json=body)
    report = {
        "resourceType": "DiagnosticReport",
        "id": f"{who}-report",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{who}"},
        "result": [{"reference": fact}],
    }
    assert client.put(f"/fhir/DiagnosticReport/{who}-report", json=report).status_code == 201
    check = nothing_stored_after()

    refused = {
        url: client.delete(f"/fhir/{url}").get_json()["issue"][0]
        for url in (fact, f"Patient/{who}", "Practitioner/needed")
    }

    check()
    assert {issue["code"] for issue in refused.values()} == {"conflict"}
    assert f"DiagnosticReport/{who}-report" in refused[fact]["diagnostics"]
    assert fact in refused[f"Patient/{who}"]["diagnostics"]
    assert fact in refused["Practitioner/needed"]["diagnostics"]
    assert client.delete(f"/fhir/{fact}").status_code == 409


def test_what_refers_may_go_with_it(client, send, fact, database):
    who = fact.partition("/")[2].removesuffix("-1")

    answer = send(bundle(remove(f"Patient/{who}"), remove(fact)))

    assert answer.status_code == 200, answer.get_json()
    statuses = [entry["response"]["status"] for entry in answer.get_json()["entry"]]
    assert statuses == ["204 No Content"] * 2
    assert client.get(f"/fhir/Patient/{who}").status_code == 410
    # Nothing is decided about somebody who is not there, and nothing fails.
    with database.transaction() as tx:
        promises.want(tx, who, tenant=0, due_at=datetime.now(UTC), forced=True)
    assert advance(database, 0, who)
    with database.transaction() as tx:
        assert standings.of_patient(tx, who, tenant=0).failed_reason is None
    refused = client.put(f"/fhir/{fact}", json=observation(fact.partition("/")[2], f"Patient/{who}"))
    assert refused.status_code == 422
    assert refused.get_json()["issue"][0]["expression"] == ["Observation.subject"]


def test_a_name_that_only_looks_like_a_reference_holds_nothing(client, send):
    organization = {"resourceType": "Organization", "id": "says", "name": "Practitioner/alike"}
    send(bundle(put(practitioner("alike")), put(organization)))

    assert client.delete("/fhir/Practitioner/alike").status_code == 204


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        pytest.param([remove("Observation/a"), put(observation("a", "Patient/twice"))], 422, id="and put"),
        pytest.param([put(observation("a", "Patient/twice")), remove("Observation/a")], 422, id="reversed"),
        pytest.param([{**remove("Observation/a"), "resource": patient("a")}], 422, id="with a resource"),
        pytest.param([remove("Observation")], 400, id="a whole type"),
        pytest.param([remove("Observation?code=a")], 400, id="by something else"),
        pytest.param([remove("Observation/a?identifier=a|b")], 400, id="by id and identifier"),
    ],
)
def test_removals_in_a_transaction_are_whole_or_not_at_all(entries, status, send):
    send(bundle(put(patient("twice"))))

    answer = send(bundle(*entries))

    assert answer.status_code == status
    assert answer.get_json()["issue"][0]["expression"][0].startswith("Bundle.entry[")


def test_what_the_engine_made_is_not_removed_and_the_answer_says_how_it_ends(client, send, database):
    with database.transaction() as tx:
        body = {"resourceType": "ServiceRequest", "status": "draft", "intent": "proposal"}
        write = resources.Write(type="ServiceRequest", id="ours", body=body, owned=True)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC))

    alone, inside = client.delete("/fhir/ServiceRequest/ours"), send(bundle(remove("ServiceRequest/ours")))

    for answer in (alone, inside):
        assert answer.status_code == 403
        assert "clinician-decision" in answer.get_json()["issue"][0]["diagnostics"]


def test_a_client_may_ask_what_became_of_it(client, fact):
    answer = client.delete(f"/fhir/{fact}", headers={"Prefer": "return=OperationOutcome"})

    assert answer.status_code == 200
    assert gate.check(answer.get_json()) == ()


def at_once(works):
    """Do all of it at the same moment; return what each gives, an error's name where there is one."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def run(place, work):
        barrier.wait()
        results[place] = work()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("round_", range(5))
def test_of_removals_and_changes_of_one_version_one_wins(round_, client, settings, database_url):
    busy = Database(database_url, pool_size=10)
    app = create_app(settings, busy)
    name = f"race-{round_}"
    client.put(f"/fhir/Practitioner/{name}", json=practitioner(name))
    match = {"If-Match": 'W/"1"'}

    def change(number):
        body = {"resourceType": "Practitioner", "id": name, "name": [{"family": f"N{number}"}]}
        return lambda: (
            app.test_client().put(f"/fhir/Practitioner/{name}", json=body, headers=match).status_code
        )

    def gone():
        return app.test_client().delete(f"/fhir/Practitioner/{name}", headers=match).status_code

    statuses = Counter(at_once([*(change(number) for number in range(4)), *[gone] * 4]))

    busy.close()
    assert statuses[412] == 7, statuses
    assert statuses[200] + statuses[204] == 1
    assert len(story(client, f"Practitioner/{name}")) == 2


@pytest.mark.parametrize("round_", range(8))
def test_no_fact_is_left_of_a_patient_that_is_removed_at_the_same_moment(round_, database_url):
    busy = Database(database_url, pool_size=10)
    who = f"left-{round_}"
    transaction.accept(busy, bundle(put(patient(who))), sender="test")

    def send(*entries):
        def work():
            try:
                transaction.accept(busy, bundle(*entries), sender="test")
            except Exception as error:  # noqa: BLE001 - which one is the result
                return type(error).__name__
            return "stored"

        return work

    facts = [send(put(observation(f"{who}-{n}", f"Patient/{who}"))) for n in range(7)]
    *told, removed = at_once([*facts, send(remove(f"Patient/{who}"))])

    with busy.transaction() as tx:
        there = not resources.current(tx, "Patient", who, tenant=0).deleted
        left = resources.of_patient(tx, who, tenant=0, types=["Observation"])
    busy.close()
    assert removed == ("Referred" if there else "stored")
    assert there or left == []
    assert set(told) <= {"stored", "NotValid"}


def test_a_removed_report_withdraws_its_results(client, send, fact, database):
    who = fact.partition("/")[2].removesuffix("-1")
    report = {
        "resourceType": "DiagnosticReport",
        "id": f"{who}-report",
        "status": "final",
        "code": {"text": "of no code that is read"},
        "subject": {"reference": f"Patient/{who}"},
        "result": [{"reference": fact}],
    }
    client.put(f"/fhir/DiagnosticReport/{who}-report", json=report)
    assert client.delete(f"/fhir/DiagnosticReport/{who}-report").status_code == 204

    with database.transaction() as tx:
        read = resources.of_patient(
            tx,
            who,
            tenant=0,
            types=record.FACTS,
            codes=[("http://loinc.org", "72514-3")],
            withdrawn=record.FACTS,
        )

    assert [(each.type, each.resource["status"]) for each in read] == [
        ("Observation", "final"),
        ("DiagnosticReport", "entered-in-error"),
    ]


def test_an_evaluation_that_would_write_about_a_removed_patient_is_made_again(client, send, database):
    send(bundle(put(patient("evaluated"))))
    with database.transaction("REPEATABLE READ") as tx:
        # As an evaluation does: it has read its snapshot, and writes at its end.
        assert resources.current(tx, "Patient", "evaluated", tenant=0)
        assert client.delete("/fhir/Patient/evaluated").status_code == 204

        with pytest.raises(psycopg.errors.SerializationFailure):
            resources.keep(tx, ("Patient", "evaluated"), tenant=0)


def test_a_patient_about_whom_an_evaluation_is_writing_is_not_removed(client, send, database, settings):
    send(bundle(put(patient("written"))))
    answers = []
    app = create_app(settings, database)
    thread = threading.Thread(
        target=lambda: answers.append(app.test_client().delete("/fhir/Patient/written").status_code)
    )
    with database.transaction("REPEATABLE READ") as tx:
        resources.keep(tx, ("Patient", "written"), tenant=0)
        thread.start()
        body = {"resourceType": "CarePlan", "status": "active", "intent": "plan"}
        write = resources.Write(type="CarePlan", id="of-written", body=body, patient="written", owned=True)
        resources.save(tx, [write], tenant=0, now=datetime.now(UTC))
        thread.join(0.3)
        assert answers == []
    thread.join()

    assert answers == [409]


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_post_finds_is_not_removed_beside_it(order, client, send):
    carried = practitioner("found", identifier=[{"system": MRN, "value": "found"}])
    client.put("/fhir/Practitioner/found", json=carried)
    del carried["id"]
    entries = [remove("Practitioner/found"), post(carried, unless=f"{MRN}|found")]

    answer = send(bundle(*entries[::order]))

    assert answer.status_code == 422
    assert client.get("/fhir/Practitioner/found").status_code == 200


def test_a_fact_whose_status_is_an_extension_alone_is_withdrawn_when_it_is_removed(client, send, database):
    fact = {**observation("unsaid-1", "Patient/unsaid"), "_status": UNSAID}
    del fact["status"]
    assert send(bundle(put(patient("unsaid")), put(fact))).status_code == 200

    assert client.delete("/fhir/Observation/unsaid-1").status_code == 204

    with database.transaction() as tx:
        removed = resources.current(tx, "Observation", "unsaid-1", tenant=0)
    assert removed.deleted
    assert removed.resource["status"] == "entered-in-error"
    assert "_status" not in removed.resource

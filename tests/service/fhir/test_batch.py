"""Batches: each entry by itself; and a GET in a batch and in a transaction.

http://hl7.org/fhir/R4/http.html#transaction
"""

import threading
from contextlib import contextmanager

import pytest
from fhir_visits import MRN, URN, bundle, observation, patient, post, practitioner, put
from sqlalchemy import text

from fhir_profiles import gate, reading
from service.app import create_app
from service.fhir.admission import Throttled


def get(url, **request):
    return {"request": {"method": "GET", "url": url, **request}}


def remove(url):
    return {"request": {"method": "DELETE", "url": url}}


def batch(*entries):
    return {**bundle(*entries), "type": "batch"}


def lines(answer):
    return [entry["response"] for entry in answer.get_json().get("entry", [])]


def statuses(answer):
    return [int(line["status"][:3]) for line in lines(answer)]


def wrong(of):
    return put(observation(f"{of}-wrong", f"Patient/{of}", status="nonsense"))


def test_what_is_wrong_with_one_entry_harms_no_other(client, send):
    answer = send(
        batch(
            put(patient("b1")),
            wrong("b1"),
            put(patient("b2", mrn="b2")),
            put(observation("b2-1", "Patient/b2")),
            put(observation("lost", "Patient/nobody")),
            {"request": {"method": "HEAD", "url": "Patient/b1"}},
            "no entry at all",
            get("Patient/b1"),
            get("Patient/nobody"),
        )
    )

    assert answer.status_code == 200
    assert answer.get_json()["type"] == "batch-response"
    assert statuses(answer) == [201, 422, 201, 201, 422, 400, 422, 200, 404]
    for place, line in enumerate(lines(answer)):
        assert ("outcome" in line) is (int(line["status"][:3]) >= 400)
        for issue in line.get("outcome", {}).get("issue", ()):
            assert issue["expression"][0].startswith(f"Bundle.entry[{place}]")
    assert answer.get_json()["entry"][7]["resource"]["id"] == "b1"
    assert gate.check(answer.get_json()) == ()
    assert client.get("/fhir/Observation/b2-1").status_code == 200
    assert client.get("/fhir/Observation/b1-wrong").status_code == 404


def test_each_patient_of_a_batch_is_evaluated(send, database):
    send(batch(*(put(patient(f"each-{n}")) for n in range(3))))

    with database.transaction() as tx:
        statement = "SELECT patient FROM arrival WHERE patient LIKE 'each-%' ORDER BY patient"
        assert list(tx.execute(text(statement)).scalars()) == ["each-0", "each-1", "each-2"]


def test_entries_are_carried_out_in_the_order_of_their_verbs_and_answered_in_their_own(client, send):
    send(bundle(put(practitioner("order", identifier=[{"system": MRN, "value": "order"}]))))
    again = practitioner(None, identifier=[{"system": MRN, "value": "order"}])

    answer = send(
        batch(
            get(f"Practitioner?identifier={MRN}|order"),
            put(practitioner("order-2")),
            post(again, unless=f"{MRN}|order"),
            remove("Practitioner/order"),
        )
    )

    # Removed first, so that the condition finds nothing; read last, so that the search finds the new one.
    assert statuses(answer) == [200, 201, 201, 204]
    found = answer.get_json()["entry"][0]["resource"]
    assert found["type"] == "searchset"
    assert [f"Practitioner/{e['resource']['id']}" for e in found["entry"]] == [
        lines(answer)[2]["location"].partition("/_history")[0]
    ]


def test_entries_do_not_refer_to_one_another(send):
    answer = send(
        batch(
            post(patient(mrn="urn"), full_url=URN.format(1)),
            post(observation(None, URN.format(1))),
        )
    )

    assert statuses(answer) == [201, 422]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_an_empty_one_is_answered_empty(kind, send):
    answer = send({"resourceType": "Bundle", "type": kind})

    assert answer.get_json() == {"resourceType": "Bundle", "type": f"{kind}-response"}


@pytest.mark.parametrize("kind", ["collection", "history", "message", None])
def test_other_kinds_are_refused(kind, send, nothing_stored):
    answer = send({"resourceType": "Bundle", "type": kind, "entry": []})

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["expression"] == ["Bundle.type"]


def test_an_entry_without_a_place_is_throttled_alone(settings, database):
    app = create_app(settings, database)
    intake = app.extensions["hipway"].intake
    turns = iter([True, True, False, True])
    given = intake.turn

    @contextmanager
    def turn(sender):
        if not next(turns):
            raise Throttled(7)
        with given(sender):
            yield

    intake.turn = turn
    sent = batch(*(put(practitioner(f"turn-{n}")) for n in range(3)))
    answer = app.test_client().post("/fhir", json=sent)

    assert statuses(answer) == [201, 429, 201]
    assert lines(answer)[1]["outcome"]["issue"][0]["code"] == "throttled"


KEY = {"Idempotency-Key": "batch"}


def test_a_batch_that_is_sent_again_with_its_key_stores_nothing(client, stored):
    sent = batch(post(practitioner(None)), post(patient(mrn="k")), get("Practitioner?_count=0"))
    first = client.post("/fhir", json=sent, headers=KEY)
    before = stored()

    again = client.post("/fhir", json=sent, headers=KEY)

    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    assert stored() == before
    other = client.post("/fhir", json=batch(post(practitioner(None))), headers=KEY)
    assert other.status_code == 422
    assert stored() == before


def test_a_batch_that_was_refused_in_part_is_corrected_with_its_key(client, stored):
    key = {"Idempotency-Key": "part"}
    fine = post(practitioner(None))
    first = client.post("/fhir", json=batch(fine, wrong("part")), headers=key)
    before = stored()

    again = client.post("/fhir", json=batch(fine, post(practitioner("x"))), headers=key)

    assert (statuses(first), statuses(again)) == ([201, 422], [201, 201])
    assert lines(again)[0] == lines(first)[0]
    assert stored() == before + 1


def test_a_batch_that_is_sent_by_many_at_once_with_a_key_is_stored_once(settings, database, stored):
    app = create_app(settings, database)
    sent = batch(*(post(practitioner(None)) for _ in range(3)))
    before, answers = stored(), []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        answers.append(app.test_client().post("/fhir", json=sent, headers={"Idempotency-Key": "at-once"}))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stored() == before + 3
    assert len({tuple(line["location"] for line in lines(answer)) for answer in answers}) == 1


def test_a_get_in_a_transaction_sees_what_it_stored(client, send):
    answer = send(
        bundle(
            get("Observation?patient=seen&_elements=value"),
            put(patient("seen")),
            put(observation("seen-1", "Patient/seen")),
            get("Observation/seen-1/_history/1"),
            get("Observation/seen-1", ifNoneMatch='W/"1"'),
        )
    )

    assert statuses(answer) == [200, 201, 201, 200, 304]
    entries = answer.get_json()["entry"]
    assert entries[0]["resource"]["total"] == 1
    assert entries[3]["resource"]["valueInteger"] == 6
    assert "resource" not in entries[4]
    assert gate.check(answer.get_json()) == ()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Patient/nobody", 404),
        ("Nonsense", 404),
        ("Observation?colour=red", 400),
        ("Observation?_id=", 400),
        ("CarePlan/a/$why", 400),
        ("Patient/a/_history/x", 400),
        ("metadata", 404),
        ("Patient/%00", 400),
    ],
)
def test_a_get_that_fails_fails_its_transaction_and_is_named(url, status, send, nothing_stored):
    answer = send(bundle(put(patient("whole")), get(url)))

    assert answer.status_code == status
    assert answer.get_json()["issue"][0]["expression"][0].startswith("Bundle.entry[1].request")


def test_numbers_of_what_is_read_stay_as_they_were_sent(client, send):
    text_ = reading.write(bundle(put(patient("num")), put(observation("num-1", "Patient/num")))).decode()
    text_ = text_.replace('"valueInteger":6', '"valueQuantity":{"value":7.10}')
    client.post("/fhir", data=text_, content_type="application/fhir+json")

    assert b'"value":7.10' in send(batch(get("Observation/num-1"))).data
    assert b'"value":7.10' in send(batch(get("Observation?_id=num-1"))).data


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_bundle_that_asks_for_too_much_is_refused_as_a_whole(send, kind):
    many = {"resourceType": "Bundle", "type": kind, "entry": [get("Observation")] * 101}

    answer = send(many)

    assert answer.status_code == 413
    assert "at most 100 reads" in answer.text


def test_a_search_in_a_bundle_returns_at_most_a_hundred(client, send):
    send(bundle(put(patient("wide")), *(put(observation(f"w{n}", "Patient/wide")) for n in range(120))))

    (line,) = send(batch(get("Observation?patient=wide&_count=1000"))).get_json()["entry"]

    assert len(line["resource"]["entry"]) == 100
    assert line["resource"]["total"] == 120
    assert any(link["relation"] == "next" for link in line["resource"]["link"])

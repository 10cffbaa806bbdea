"""A ConceptMap that changes reaches what was stored before it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest
from fhir_visits import LOCAL, bundle, concept, concept_map, observation, patient, put, translated
from sqlalchemy import text

from service.fhir import retranslation
from service.settings import Settings
from service.store import accesses, promises, resources, seals, site
from service.store.resources import Write
from worker.sweep import Sweep

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty(owner):
    with owner.transaction() as tx:
        for table in ("arrival", "promise", "resource", "history", "retranslation"):
            tx.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
def work(database):
    """Do what is to be done at once, and return in how many steps."""

    def work(**more):
        step, steps = partial(retranslation.step, tenant=0, **more), 1
        while database.run(step):
            steps += 1
        return steps

    return work


@pytest.fixture
def code_of(client):
    return lambda id: client.get(f"/fhir/Observation/{id}").get_json()["code"]


@pytest.fixture
def version_of(client):
    return lambda id: client.get(f"/fhir/Observation/{id}").get_json()["meta"]["versionId"]


@pytest.fixture
def progress(database):
    def progress():
        with database.transaction() as tx:
            return retranslation.progress(tx, tenant=0)

    return progress


@pytest.fixture
def arrivals(database):
    def arrivals(who):
        with database.transaction() as tx:
            return len(promises.wanted(tx, who, tenant=0))

    return arrivals


def sent(send, id, code, who="p"):
    answer = send(bundle(put(patient(who)), put(observation(id, f"Patient/{who}", code=concept(code)))))
    assert answer.status_code == 200


def test_what_came_before_a_map_is_translated_and_its_patient_evaluated(
    send, work, code_of, version_of, arrivals, client
):
    sent(send, "known", "A")
    sent(send, "unknown", "X", who="other")
    send(bundle(put(concept_map(("A", "a")))))
    before = arrivals("p"), arrivals("other")

    work()

    assert code_of("known") == translated("A", "a")
    assert code_of("unknown") == concept("X")
    assert (version_of("known"), version_of("unknown")) == ("2", "1")
    assert client.get("/fhir/Observation/known/_history/1").get_json()["code"] == concept("A")
    assert (arrivals("p"), arrivals("other")) == (before[0] + 1, before[1])


def test_whose_data_it_is_stays(database, send, work):
    sent(send, "o", "A")
    senders = "SELECT sender FROM resource WHERE id = 'o' UNION ALL SELECT sender FROM history WHERE id = 'o'"
    send(bundle(put(concept_map(("A", "a")))))

    work()

    with database.transaction() as tx:
        now, before = tx.execute(text(senders)).scalars()
    assert now == before


def test_a_second_time_changes_nothing_and_the_sender_repeats_without_a_new_version(
    send, work, version_of, arrivals
):
    sent(send, "o", "A")
    send(bundle(put(concept_map(("A", "a")))))
    work()
    before = arrivals("p")

    work(grace_s=0)
    work(grace_s=0)
    sent(send, "o", "A")

    assert version_of("o") == "2"
    assert arrivals("p") == before


@pytest.mark.parametrize("way", ["retired", "deleted"])
def test_a_map_that_is_gone_takes_back_what_it_gave(client, send, work, code_of, version_of, arrivals, way):
    send(bundle(put(concept_map(("A", "a")))))
    sent(send, "o", "A")
    work()
    assert code_of("o") == translated("A", "a")
    before = arrivals("p")

    if way == "retired":
        send(bundle(put(concept_map(("A", "a"), status="retired"))))
    else:
        assert client.delete("/fhir/ConceptMap/map").status_code in (200, 204)
    work()

    assert code_of("o") == concept("A")
    assert version_of("o") == "2"
    assert arrivals("p") == before + 1


def test_codes_are_found_whatever_characters_they_are_made_of(send, work, code_of):
    odd = 'A.*|"(1) ü\\'
    sent(send, "odd", odd)
    sent(send, "plain", "A")
    send(bundle(put(concept_map((odd, "a")))))

    work()

    assert code_of("odd") == translated(odd, "a")
    assert code_of("plain") == concept("A")


def test_what_was_stored_under_the_old_maps_meanwhile_is_found_by_the_second_look(
    database, send, work, code_of, progress
):
    send(bundle(put(patient("p"))))
    send(bundle(put(concept_map(("A", "a")))))
    work()
    # As a Bundle does that read the state of the maps before they changed and ends after the first look.
    body = observation("late", "Patient/p", code=concept("A"))
    with database.transaction() as tx:
        resources.save(tx, [Write(type="Observation", id="late", body=body, patient="p")], tenant=0, now=NOW)

    work()
    assert code_of("late") == concept("A"), "the second look has not begun"
    assert progress().looks == 1
    work(grace_s=0)

    assert code_of("late") == translated("A", "a")
    assert progress().looks == retranslation.LOOKS


def test_many_are_translated_in_parts_each_once(monkeypatch, send, work, version_of, progress):
    monkeypatch.setattr(retranslation, "AT_ONCE", 4)
    monkeypatch.setattr(retranslation, "WINDOW", 15)
    for number in range(20):
        sent(send, f"o{number}", "A", who=f"p{number % 3}")
    send(bundle(put(concept_map(("A", "a")))))

    steps = work()

    assert steps >= 5
    assert {version_of(f"o{number}") for number in range(20)} == {"2"}
    assert (progress().changed, progress().percent) == (20, 100)


def test_a_map_that_changes_while_one_is_carried_out_begins_anew(monkeypatch, database, send, work, code_of):
    monkeypatch.setattr(retranslation, "AT_ONCE", 1)
    for number in range(3):
        sent(send, f"o{number}", "A")
    send(bundle(put(concept_map(("A", "a")))))
    assert database.run(partial(retranslation.step, tenant=0))

    send(bundle(put(concept_map(("A", "other")))))
    work()

    assert [code_of(f"o{number}") for number in range(3)] == [translated("A", "other")] * 3


def test_of_several_at_work_one_does_it(send, database, version_of, arrivals):
    for number in range(30):
        sent(send, f"o{number}", "A")
    before = arrivals("p")
    send(bundle(put(concept_map(("A", "a")))))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: database.run(partial(retranslation.step, tenant=0)), range(8)))

    assert {version_of(f"o{number}") for number in range(30)} == {"2"}
    assert arrivals("p") == before + 1


def test_without_maps_there_is_nothing_to_do(send, work, progress):
    sent(send, "o", "A")

    assert work() == 1
    assert progress() is None


def test_values_sites_and_components_are_translated_too(send, work, client):
    body = observation(
        "o",
        "Patient/p",
        code=concept("X"),
        bodySite=concept("A"),
        component=[{"code": concept("B"), "valueCodeableConcept": concept("A")}],
    )
    assert send(bundle(put(patient("p")), put(body))).status_code == 200
    send(bundle(put(concept_map(("A", "a"), ("B", "b")))))

    work()

    stored = client.get("/fhir/Observation/o").get_json()
    assert stored["code"] == {"coding": [{"system": LOCAL, "code": "X"}]}
    assert stored["bodySite"] == translated("A", "a")
    assert stored["component"] == [
        {"code": translated("B", "b"), "valueCodeableConcept": translated("A", "a")}
    ]


def test_more_codes_than_are_searched_for_are_translated_all_the_same(monkeypatch, send, work, code_of):
    monkeypatch.setattr(retranslation, "SEARCHED", 1)
    sent(send, "o", "A")
    sent(send, "other", "X")
    send(bundle(put(concept_map(("A", "a"), ("B", "b")))))

    work()

    assert code_of("o") == translated("A", "a")
    assert code_of("other") == concept("X")


def test_a_map_that_is_committed_after_one_with_a_higher_number_is_noticed(database, send):
    send(bundle(put(concept_map(("A", "a"), id="first"))))
    send(bundle(put(concept_map(("B", "b"), id="second"))))

    def state():
        with database.transaction() as tx:
            return site.read(tx, tenant=0).concept_maps

    def change(tx, id):
        body = concept_map(("A", "other"), id=id)
        resources.save(tx, [Write(type="ConceptMap", id=id, body=body)], tenant=0, now=NOW)

    with database.transaction() as early:
        change(early, "first")
        with database.transaction() as late:
            change(late, "second")
        between = state()

    assert state() != between


def test_a_part_that_fails_does_not_stop_the_rest_of_the_sweep(
    monkeypatch, database, database_url, broker_url
):
    def fails(tx, **_):
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(retranslation, "step", fails)
    with database.transaction() as tx:
        accesses.add(tx, tenant=0, who="", action="R", place="/", reference=None, patients=["p"], status=200)
    sweep = Sweep(Settings(database_url=database_url, broker_url=broker_url), database)

    sweep.round(0.0)
    sweep.close()

    assert database.run(lambda tx: seals.seal(tx, tenant=0)) == 0, "it was sealed already"

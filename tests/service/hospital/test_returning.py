"""Orders that come back: what the hospital may change is stored here, everything else is a person's matter.

Design, promise 3; safety SP-02, SP-38.
"""

import pytest
from hospital_server import answering

from service.fhir import transaction
from service.hospital import comparing
from service.hospital.answers import Kind
from service.store import resources

MRN = {"system": "urn:oid:1.2.3", "value": "M-1"}
PRACTITIONER = {"resourceType": "Practitioner", "id": "dr-new", "name": [{"family": "Berg"}]}


@pytest.fixture
def task(deliverer):
    """One Task that the hospital has."""
    assert deliverer.go()
    return next(reference for reference in deliverer.owned() if reference.startswith("Task/"))


def here(deliverer, reference):
    with deliverer.database.transaction() as tx:
        return resources.current(tx, *reference.split("/"), tenant=0)


def send(database, *entries):
    """Send entries as the hospital does; return what they became."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
    answer = transaction.accept(database, bundle, sender="hospital")
    return [f"{one.type}/{one.id}" for one in answer.stored]


def put(database, resource):
    url = f"{resource['resourceType']}/{resource['id']}"
    return send(database, {"resource": resource, "request": {"method": "PUT", "url": url}})


def at_hospital(deliverer, reference, **elements):
    """Change a resource as somebody at the hospital does."""
    deliverer.server.put({**deliverer.server.current(reference), **elements})


def test_nothing_changed_and_nothing_comes_back(deliverer, task):
    asked = len(deliverer.server.asked)

    assert deliverer.ask().taken

    searches = deliverer.server.asked[asked:]
    assert {asked.path for asked in searches} == {"/fhir/Task/_search", "/fhir/ServiceRequest/_search"}
    assert all("?" not in asked.path for asked in searches)
    assert {asked.headers["Cache-Control"] for asked in searches} == {"no-cache"}
    assert deliverer.acknowledged() == deliverer.owned()


def test_what_the_hospital_did_with_a_task_comes_back_and_is_evaluated(deliverer, task):
    at_hospital(deliverer, task, status="in-progress", businessStatus={"text": "booked"})

    assert deliverer.ask().taken

    stored = here(deliverer, task)
    assert (stored.version, stored.owned) == (2, True)
    assert stored.resource["status"] == "in-progress"
    assert stored.resource["businessStatus"] == {"text": "booked"}
    # Both sides have it now, so nothing is sent.
    assert deliverer.acknowledged()[task] == 2
    assert not deliverer.go()
    assert deliverer.rows("arrival", "patient")[0].patient == "gmt-v03"
    # The second time there is nothing new.
    assert deliverer.ask().taken
    assert here(deliverer, task).version == 2


def test_what_both_sides_changed_in_different_places_is_put_together(deliverer, task, change):
    at_hospital(deliverer, task, status="accepted")
    change(task, priority="urgent")

    assert deliverer.go()

    assert here(deliverer, task).resource["status"] == "accepted"
    merged = deliverer.server.current(task)
    assert (merged["status"], merged["priority"]) == ("accepted", "urgent")
    assert deliverer.acknowledged() == deliverer.owned()
    assert deliverer.state()[1:4] == ("taken", False, False)


def test_what_both_sides_changed_in_the_same_place_is_parked_with_the_difference(deliverer, task, change):
    at_hospital(deliverer, task, status="accepted")
    change(task, status="cancelled")

    assert deliverer.go()

    assert deliverer.state() == (1, Kind.DIFFERENT, False, True, f"{task}: status")
    assert deliverer.server.current(task)["status"] == "accepted"
    assert here(deliverer, task).resource["status"] == "cancelled"

    # Put right at the hospital, it goes through.
    at_hospital(deliverer, task, status="requested")
    deliverer.do("UPDATE delivery SET parked_at = NULL")
    assert deliverer.at_once()
    assert deliverer.server.current(task)["status"] == "cancelled"


def test_what_a_hospital_may_not_change_is_parked_by_its_name_and_kept_on_both_sides(deliverer, task, change):
    at_hospital(deliverer, task, description="Something else")
    change(task, priority="urgent")

    assert deliverer.go()

    assert deliverer.state() == (1, Kind.DIFFERENT, False, True, f"{task}: description")
    assert deliverer.server.current(task)["description"] == "Something else"
    assert here(deliverer, task).resource["description"] != "Something else"


def test_a_new_version_that_says_the_same_is_none(deliverer, task, change):
    at_hospital(deliverer, task)
    change(task, priority="urgent")

    assert deliverer.go()

    assert deliverer.state()[1:4] == ("taken", False, False)
    assert deliverer.server.current(task)["priority"] == "urgent"
    assert here(deliverer, task).version == 2


def test_what_the_hospital_deleted_is_not_made_anew(deliverer, task, change):
    deliverer.server.record[task].append(None)
    change(task, priority="urgent")

    assert deliverer.go()

    assert deliverer.state() == (1, Kind.GONE, False, True, task)
    assert deliverer.server.current(task) is None


def test_a_resource_of_another_patient_in_a_search_result_is_not_stored(deliverer, task):
    at_hospital(deliverer, task, status="accepted", **{"for": {"reference": "Patient/other"}})

    answer = deliverer.ask()

    assert (answer.kind, answer.said) == (Kind.MIXED_UP, task)
    assert here(deliverer, task).version == 1


def test_what_was_not_asked_for_in_a_search_result_is_not_stored_and_the_rest_is(deliverer, task):
    def mixing(asked):
        if "Task" not in asked.path:
            return deliverer.server.do
        other = {
            "resourceType": "Task",
            "id": "other",
            "status": "completed",
            "for": {"reference": "Patient/gmt-v03"},
        }
        found = [{"resource": other}, {"resource": deliverer.server.current(task)}]
        return asked.answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": found})

    at_hospital(deliverer, task, status="accepted")
    deliverer.server.moods = [None, mixing]

    answer = deliverer.ask()

    assert answer.kind is Kind.MIXED_UP
    assert here(deliverer, task).resource["status"] == "accepted"
    assert here(deliverer, "Task/other") is None


@pytest.mark.parametrize("value", ["bogus", "received "])
def test_what_is_not_valid_does_not_come_back(deliverer, task, value):
    at_hospital(deliverer, task, status=value)

    answer = deliverer.ask()

    assert (answer.kind, answer.said) == (Kind.NOT_TAKEN_BACK, f"{task}: status")
    assert here(deliverer, task).version == 1


def test_a_server_that_does_not_answer_is_asked_no_more_in_this_round(deliverer, task):
    asked = len(deliverer.server.asked)
    deliverer.server.mood = answering(500)

    assert deliverer.ask().kind is Kind.SERVER_ERROR
    assert len(deliverer.server.asked) == asked + 1


def test_a_missing_resource_behind_a_wrong_address_is_not_taken_for_deleted(deliverer, task, change):
    change(task, priority="urgent")
    deliverer.server.moods = [answering(409), answering(404, b"<html>not here</html>")]

    assert deliverer.go()

    assert deliverer.state()[1] == Kind.NOT_FOUND
    assert set(deliverer.acknowledged()) == set(deliverer.owned())


def test_what_servers_do_to_what_they_store_is_no_difference():
    base = "https://fhir.example.org/r4"
    ours = {
        "resourceType": "Task",
        "for": {"reference": "Patient/p1"},
        "focus": {"reference": "ServiceRequest/s1"},
        "status": "requested",
    }
    theirs = {
        **ours,
        "meta": {"versionId": "7", "lastUpdated": "2026-01-05T09:15:00Z"},
        "text": {"status": "generated", "div": "<div>made there</div>"},
        "for": {"reference": f"{base}/Patient/p1"},
        "focus": {"reference": "ServiceRequest/s1/_history/3"},
    }
    other = {**theirs, "for": {"reference": "Patient/p2", "identifier": MRN}}
    assert not comparing.difference(ours, theirs, base=base, meant={})
    assert comparing.difference(ours, {**theirs, "status": "ready"}, base=base, meant={}) == {"status"}
    assert not comparing.about_another(ours, theirs, base=base, meant={})
    assert comparing.about_another(ours, other, base=base, meant={})


def test_a_reference_means_its_address_and_without_one_what_its_identifier_meant():
    def differ(one, other, meant):
        return bool(comparing.difference({"owner": one}, {"owner": other}, base="", meant=meant))

    plain = {"reference": "Patient/p1"}
    hinted = {**plain, "type": "Patient", "identifier": MRN, "display": "Berg"}
    now, then = ({"type": "Patient", "identifier": {**MRN, "value": v}} for v in ("M-2", "M-1"))
    meant = {("Patient", MRN["system"], value): "Patient/made-here" for value in ("M-1", "M-2")}
    assert not differ(plain, hinted, {})
    assert differ(hinted, {**hinted, "reference": "Patient/p2"}, {})
    assert differ(now, then, {})
    assert not differ(now, then, meant)
    assert differ(now, {**then, "identifier": {**MRN, "value": "M-3"}}, meant)


def test_orders_come_back_after_the_patient_got_another_identifier(deliverer, task, database):
    with database.transaction() as tx:
        patient = resources.current(tx, "Patient", "gmt-v03", tenant=0).resource
    renamed = {**patient, "identifier": [MRN, *patient["identifier"]]}
    put(database, renamed)
    at_hospital(deliverer, task, status="in-progress")

    assert deliverer.ask().kind is Kind.TAKEN

    assert here(deliverer, task).resource["status"] == "in-progress"
    assert deliverer.acknowledged()[task] == 2


def test_orders_come_back_after_whoever_has_an_id_of_ours_got_another_identifier(
    deliverer, task, change, database
):
    person = {"resourceType": "Practitioner", "name": [{"family": "Berg"}], "identifier": [MRN]}
    (made,) = send(database, {"resource": person, "request": {"method": "POST", "url": "Practitioner"}})
    change(task, owner={"reference": made})
    assert deliverer.go()
    assert deliverer.server.current(task)["owner"] == {"type": "Practitioner", "identifier": MRN}
    id_ = made.partition("/")[2]
    put(database, {**person, "id": id_, "identifier": [{**MRN, "value": "M-2"}]})
    at_hospital(deliverer, task, status="in-progress")

    assert deliverer.ask().kind is Kind.TAKEN

    came = here(deliverer, task).resource
    assert (came["status"], came["owner"]) == ("in-progress", {"reference": made})


def test_an_order_that_is_filled_there_is_completed_here(deliverer, database):
    """A signed order: its status is the hospital's to change."""
    from worker.advance import advance

    proposal = next(reference for reference in deliverer.owned() if reference.startswith("ServiceRequest/"))
    sign = {
        "resourceType": "Task",
        "id": "sign-1",
        "status": "completed",
        "intent": "order",
        "code": {
            "coding": [{"system": "https://w3id.org/hipway/CodeSystem/clinician-decision", "code": "sign"}]
        },
        "focus": {"reference": proposal},
        "for": {"reference": "Patient/gmt-v03"},
        "owner": {"reference": "Practitioner/dr-new"},
        "requester": {"reference": "Practitioner/dr-new"},
        "lastModified": "2026-01-05T09:15:00Z",
    }
    entries = [
        {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
        for r in (PRACTITIONER, sign)
    ]
    transaction.accept(
        database, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, sender="hospital"
    )
    assert advance(database, 0, "gmt-v03")
    assert deliverer.go()
    (order,) = [
        resource for resource in deliverer.server.of_type("ServiceRequest") if resource["intent"] == "order"
    ]
    reference = f"ServiceRequest/{order['id']}"
    assert order["status"] == "active"

    at_hospital(deliverer, reference, status="completed")
    assert deliverer.ask().taken

    assert here(deliverer, reference).resource["status"] == "completed"
    assert deliverer.acknowledged()[reference] == here(deliverer, reference).version

"""Plans of two records that are one, and parted again: in each stage, and in both directions.

Safety: SP-16, with SP-12 (no order twice), SP-14 (one subject) and SP-24 (corrections go on).
"""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from fhir_visits import patient, unusable
from merging import PATHWAY, decided, kept, look_at, memory, merge, said, told, unmerge

from fhir_profiles import reading
from pathways import catalogue
from pathways.joining import JOINED, PARTED
from service import clock
from service.fhir import transaction
from service.sandbox import erasing
from worker.replay import Verdict, replay

NOW = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
OPEN = {stage.code for stage in catalogue.pathways()[0].stages.values() if stage.open}

#: each stage, reached by a story in so many steps
STAGES = [
    pytest.param("V01", 2, "conservative-therapy", id="therapy"),
    pytest.param("V09", 1, "imaging", id="imaging, proposed"),
    pytest.param("V40", 2, "imaging", id="imaging, signed"),
    pytest.param("V40", 4, "surgical-referral", id="referral"),
    pytest.param("V40", 7, "post-operative", id="after an operation"),
    pytest.param("V01", 6, "discharged", id="discharged"),
    pytest.param("V08", 2, "diverted", id="diverted"),
]


@pytest.fixture(autouse=True)
def _empty(database):
    with database.transaction() as tx:
        erasing.erase(tx)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


@pytest.fixture
def other(client):
    """A record of the same person, of whom nothing else is known."""
    assert client.put("/fhir/Patient/other", json=patient("other", mrn="O")).status_code == 201
    return "other"


def orders(memory_):
    return {(order.id, order.state) for order in memory_.orders}


def work(memory_):
    return {(task.code, task.id, task.state) for task in memory_.tasks if task.code != "confirm-record"}


def asked(memory_):
    return [task for task in memory_.tasks if task.code == "confirm-record" and task.state == "open"]


def holds(memory_):
    return [hold.code for hold in memory_.holds if hold.code in (JOINED, PARTED)]


def remembered(memory_):
    """Return what is remembered besides the work; of holds and of what was raised there may be more since."""
    return memory_.values, memory_.accepted_pairs, memory_.opened


def facts(resources_):
    return {r: body for r, body in resources_.items() if r.partition("/")[0] in ("Observation", "Procedure")}


def decide(database, who, focus, code, *, reason="looked at"):
    """Have a clinician decide, and the decision applied."""
    with database.transaction() as tx:
        at = clock.now(tx) + timedelta(minutes=1)
        clock.set_(tx, at, held=False)
    task = {
        "resourceType": "Task",
        "status": "completed",
        "intent": "order",
        "code": {
            "coding": [{"system": "https://w3id.org/hipway/CodeSystem/clinician-decision", "code": code}]
        },
        "focus": {"reference": focus},
        "for": {"reference": f"Patient/{who}"},
        "owner": {"reference": "Practitioner/example-physio"},
        "lastModified": at.isoformat(),
        "reasonCode": {"text": reason},
    }
    sent = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": task, "request": {"method": "POST", "url": "Task"}}],
    }
    transaction.accept(database, sent, sender="test")
    look_at(database, who)


def plan_of(resources_):
    """Return the one plan that goes on."""
    (found,) = [
        body
        for reference, body in resources_.items()
        if reference.startswith("CarePlan/") and body["status"] != "revoked"
    ]
    return found


def assert_about_one(resources_, who, others):
    """Nothing of the record names another patient, but the Patient itself."""
    for reference, body in resources_.items():
        if not reference.startswith(("Patient/", "Provenance/joining-")):
            text = json.dumps(body, default=str)
            assert not [other for other in others if f'"Patient/{other}"' in text], reference
            subject = body.get("subject") or body.get("for") or body.get("patient")
            assert subject is None or subject["reference"] == f"Patient/{who}", reference


@pytest.mark.parametrize(("story", "steps", "stage"), STAGES)
def test_a_plan_goes_on_where_it_was_waits_for_a_person_and_goes_back(
    client, database, other, story, steps, stage
):
    record = told(database, "one", story, steps)
    source = record.patient
    before, was = kept(database, source), memory(database, source)
    assert was.stage == stage

    assert merge(client, source, other).status_code == 200

    now, joined = memory(database, other), kept(database, other)
    assert now.stage == stage
    assert orders(now) == orders(was)
    assert work(now) == work(was)
    assert (holds(now), len(asked(now))) == (([JOINED], 1) if stage in OPEN else ([], 0))
    assert set(before) - {f"Patient/{source}"} < set(joined)
    assert_about_one(joined, other, [source])
    assert plan_of(joined)["replaces"] == [{"reference": r} for r in before if r.startswith("CarePlan/")]
    # There is nothing new in it: to look again decides nothing, of either.
    count = decided(database, other), decided(database, source)
    look_at(database, other, source)
    assert (decided(database, other), decided(database, source)) == count
    assert orders(memory(database, other)) == orders(was)

    assert unmerge(client, source, other).status_code == 200

    back, after = memory(database, source), kept(database, source)
    assert (back.stage, orders(back), work(back)) == (stage, orders(was), work(was))
    assert (holds(back), len(asked(back))) == (([PARTED], 1) if stage in OPEN else ([], 0))
    assert facts(after) == facts(before)
    assert remembered(back) == remembered(was)
    assert after[f"Patient/{source}"] == before[f"Patient/{source}"]
    assert_about_one(after, source, [other])
    assert_about_one(kept(database, other), other, [source])
    assert memory(database, other).stage is None
    look_at(database, other, source)
    assert (memory(database, source).stage, orders(memory(database, source))) == (stage, orders(was))
    assert memory(database, other).stage is None


def test_a_person_resolves_the_hold_and_the_plan_goes_on_by_its_old_name_too(client, database, other):
    record = told(database, "one", "V09", 1)
    old = plan_of(kept(database, record.patient))["id"]
    merge(client, record.patient, other)

    decide(database, other, f"CarePlan/{old}", "resolve-hold")

    now = memory(database, other)
    assert (holds(now), asked(now)) == ([], [])
    assert now.stage == "imaging"


def test_who_asks_about_the_old_record_is_answered_from_the_one_that_holds_it(client, database, other):
    source = told(database, "one", "V09", 1).patient
    merge(client, source, other)

    old, new = (
        client.get(f"/fhir/PlanDefinition/{PATHWAY}/$apply?subject=Patient/{who}") for who in (source, other)
    )

    assert (old.status_code, new.status_code) == (200, 200)
    assert old.get_json()["subject"] == {"reference": f"Patient/{other}"}
    assert old.get_json() == new.get_json()


def test_what_a_plan_rests_on_can_still_be_corrected(client, database, other, send):
    record = told(database, "one", "V09", 1)
    merge(client, record.patient, other)
    decide(database, other, f"CarePlan/{plan_of(kept(database, other))['id']}", "resolve-hold")
    for reference, body in facts(kept(database, other)).items():
        if "72514-3" not in str(body):
            entry = {"resource": {**body, "status": "entered-in-error"}}
            url = {"method": "PUT", "url": reference}
            transaction.accept(
                database,
                {"resourceType": "Bundle", "type": "transaction", "entry": [{**entry, "request": url}]},
                sender="test",
            )

    look_at(database, other)

    now = memory(database, other)
    assert now.stage == "assessment"
    assert {order.state for order in now.orders} == {"revoked"}


#: what each of the two has of one side; the first goes into the second
BOTH = [
    pytest.param(("V02", 2), ("V09", 1), "imaging", id="therapy into imaging"),
    pytest.param(("V09", 1), ("V02", 2), "conservative-therapy", id="imaging into therapy"),
    pytest.param(("V40", 2), ("V09", 1), "imaging", id="signed into proposed"),
    pytest.param(("V09", 1), ("V09", 1), "imaging", id="proposed into proposed"),
    pytest.param(("V08", 2), ("V02", 2), "diverted", id="diverted into therapy"),
    pytest.param(("V02", 2), ("V08", 2), "diverted", id="therapy into diverted"),
    pytest.param(("V09", 1), ("V01", 6), "imaging", id="imaging into discharged"),
    pytest.param(("V01", 6), ("V09", 1), "imaging", id="discharged into imaging"),
]


@pytest.mark.parametrize(("one", "two", "stage"), BOTH)
def test_two_plans_of_one_side_become_one_that_a_person_decides_on(client, database, one, two, stage):
    source, target = told(database, "one", *one).patient, told(database, "two", *two).patient
    had = {who: (kept(database, who), memory(database, who)) for who in (source, target)}

    answer = merge(client, source, target)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    now, joined = memory(database, target), kept(database, target)
    assert now.stage == stage
    assert (holds(now), len(asked(now))) == (([JOINED], 1) if stage in OPEN else ([], 0))
    assert_about_one(joined, target, [source])
    plan_of(joined)
    # What was signed stands, in whichever record; what the plan that was folded had proposed is revoked.
    signed = {o.order for _, m in had.values() for o in m.orders if o.order}
    assert {o.order for o in now.orders if o.order} == signed
    open_codes = [(task.code, task.qualifiers) for task in now.tasks if task.state == "open"]
    assert len(open_codes) == len(set(open_codes))
    proposals = {who: [o.id for o in m.orders if o.unsigned] for who, (_, m) in had.items()}
    assert sum(any(now.order(id_).unsigned for id_ in ids) for ids in proposals.values()) <= 1
    assert {now.order(id_).state for ids in proposals.values() for id_ in ids} <= {
        "draft",
        "on-hold",
        "revoked",
    }
    for order in now.orders:
        status = joined[f"ServiceRequest/{order.id}"]["status"]
        assert status == {"active": "completed"}.get(order.state, order.state)
    # While it is held the rules take no step by themselves.
    look_at(database, target, source)
    assert memory(database, target).stage in (stage, "diverted")

    assert unmerge(client, source, target).status_code == 200

    for who, other in ((source, target), (target, source)):
        before, was = had[who]
        back, after = memory(database, who), kept(database, who)
        assert back.stage == was.stage
        assert orders(back) == orders(was)
        # What was raised since, as an overdue signature, is there besides.
        assert work(was) <= work(back)
        assert remembered(back) == remembered(was)
        assert facts(after) == facts(before)
        assert_about_one(after, who, [other])
        for order in back.orders:
            status = after[f"ServiceRequest/{order.id}"]["status"]
            assert status == before[f"ServiceRequest/{order.id}"]["status"]
        assert holds(back) == ([PARTED] if was.stage in OPEN else [])


def test_a_red_flag_is_not_kept_waiting_by_the_hold(client, database, other, send):
    source = told(database, "one", "V09", 1).patient
    flagged = told(database, "two", "V08", 1).patient

    merge(client, flagged, source)
    look_at(database, source)

    now = memory(database, source)
    assert now.stage == "diverted"
    assert {order.state for order in now.orders if order.unsigned} <= {"on-hold"}


def test_what_became_of_a_plan_since_goes_back_with_it(client, database, other):
    source = told(database, "one", "V09", 1).patient
    merge(client, source, other)
    plan = plan_of(kept(database, other))["id"]
    decide(database, other, f"CarePlan/{plan}", "resolve-hold")
    decide(database, other, f"CarePlan/{plan}", "discharge")
    assert memory(database, other).stage == "discharged"

    answer = unmerge(client, source, other)

    assert answer.status_code == 200, said(answer)
    back = memory(database, source)
    assert back.stage == "discharged"
    assert not [order for order in back.orders if order.unsigned]
    assert_about_one(kept(database, source), source, [other])
    assert_about_one(kept(database, other), other, [source])
    look_at(database, source, other)
    assert memory(database, source).stage == "discharged"


def test_a_decision_that_was_read_is_not_applied_once_more_where_it_goes_back(client, database, other):
    source = told(database, "one", "V09", 1).patient
    merge(client, source, other)
    decide(database, other, f"CarePlan/{plan_of(kept(database, other))['id']}", "resolve-hold")

    assert unmerge(client, source, other).status_code == 200
    look_at(database, source, other)

    # It resolved the hold of the joining; that of the parting is another one.
    assert holds(memory(database, source)) == [PARTED]
    rejected = [body for body in kept(database, source).values() if "decision-rejected" in str(body)]
    assert not rejected


def test_through_two_joinings_and_back(client, database, other):
    source = told(database, "one", "V40", 2).patient
    was = memory(database, source)
    client.put("/fhir/Patient/third", json=patient("third", mrn="3"))
    assert merge(client, source, other).status_code == 200
    assert merge(client, other, "third").status_code == 200
    look_at(database, "third", other, source)
    now = memory(database, "third")
    assert (now.stage, orders(now), work(now)) == (was.stage, orders(was), work(was))

    assert unmerge(client, other, "third").status_code == 200
    assert unmerge(client, source, other).status_code == 200

    look_at(database, "third", other, source)
    back = memory(database, source)
    assert (back.stage, orders(back), work(back)) == (was.stage, orders(was), work(was))
    for who, others in ((source, [other, "third"]), (other, [source, "third"]), ("third", [other, source])):
        assert_about_one(kept(database, who), who, others)


def test_what_was_set_aside_is_not_said_again(client, database, other):
    transaction.accept(database, reading.read(reading.write(unusable("aside"))), sender="test")
    look_at(database, "aside")

    def said_of(who):
        return sorted(r for r in kept(database, who) if r.startswith("DetectedIssue/"))

    issues = said_of("aside")
    assert issues
    merge(client, "aside", other)
    look_at(database, other, "aside")
    assert said_of(other) == issues
    unmerge(client, "aside", other)
    look_at(database, other, "aside")
    assert (said_of("aside"), said_of(other)) == (issues, [])


def test_again_and_again(client, database, other):
    source = told(database, "one", "V40", 2).patient
    was = memory(database, source)
    for _ in range(3):
        assert merge(client, source, other).status_code == 200
        look_at(database, source, other)
        assert unmerge(client, source, other).status_code == 200
        look_at(database, source, other)

    back = memory(database, source)
    assert (back.stage, orders(back), work(back)) == (was.stage, orders(was), work(was))


def test_no_decision_of_the_log_comes_out_differently(client, database):
    source, target = told(database, "one", "V40", 2).patient, told(database, "two", "V02", 2).patient
    merge(client, source, target)
    look_at(database, target, source)
    plan = plan_of(kept(database, target))["id"]
    decide(database, target, f"CarePlan/{plan}", "resolve-hold")
    unmerge(client, source, target)
    look_at(database, target, source)

    with database.transaction("REPEATABLE READ") as tx:
        found = list(
            itertools.chain(*(replay(tx, who, catalogue.pathways(), tenant=0) for who in (source, target)))
        )
    assert {each.verdict for each in found} == {Verdict.SAME, Verdict.CARRIED}
    assert PATHWAY in {each.row.pathway for each in found}

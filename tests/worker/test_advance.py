"""Advancing a patient on the real database: once, whole, and never silently.

Promises: design, section 1; decisions on time and leases; safety SP-03, SP-05, SP-12, SP-13.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import playing
import pytest
import structlog
from sqlalchemy import text

from pathways import catalogue, cql
from service import clock, log
from service.fhir import transaction
from service.store import decisions, promises, resources, standings
from service.store.database import Database
from worker import advance as advancing
from worker.advance import advance

STORY = playing.read(Path(__file__).parents[1] / "stories" / "V09.json")
FIRST = STORY["steps"][0]
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
PATIENT = "gmt-v09"


@pytest.fixture(autouse=True)
def _logged_as_in_production():
    log.configure("test")
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _empty(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def post(database, bundle=FIRST["bundle"]):
    return transaction.accept(database, bundle, sender="hospital")


def owned(database, patient=PATIENT):
    types = ("CarePlan", "ServiceRequest", "Task", "CommunicationRequest", "Provenance", "Condition")
    with database.transaction() as tx:
        return resources.of_patient(tx, patient, tenant=0, types=types, owned=True)


def standing(database, patient=PATIENT):
    with database.transaction() as tx:
        return standings.of_patient(tx, patient, tenant=0)


def rows(database, patient=PATIENT):
    with database.transaction() as tx:
        return decisions.of_instance(tx, patient, "gluteus-medius-tear", "right", tenant=0)


class Erring:
    """A library in which one guard errs, as a wrong rule would."""

    def __init__(self, library):
        self._library = library

    def __getattr__(self, name):
        return getattr(self._library, name)

    def at(self, *args):
        raise cql.EvaluationFailed("Marked weakness", "a rule erred")


@pytest.fixture
def a_guard_errs(monkeypatch):
    (pathway,) = catalogue.pathways()
    broken = replace(pathway, library=Erring(pathway.library))
    monkeypatch.setattr(advancing.catalogue, "pathways", lambda: (broken,))


def test_a_visit_becomes_a_plan_proposals_and_reasons(database):
    post(database)

    assert advance(database, 0, PATIENT)

    kinds = {stored.type for stored in owned(database)}
    assert {"CarePlan", "ServiceRequest", "Task", "Provenance", "Condition"} <= kinds
    assert [row.rule for row in rows(database)] == ["T05", "open-hip"]


@pytest.mark.parametrize(
    ("status", "counts"), [("preliminary", False), ("entered-in-error", False), ("final", True)]
)
def test_a_report_with_a_code_of_the_hospital_s_own_lends_its_status_to_its_results(database, status, counts):
    post(database, with_a_report(status))
    advance(database, 0, PATIENT)

    used = {part["reference"] for row in rows(database) for part in row.basis["inputs"]}
    assert any(reference.startswith(f"Observation/{RESULT}/") for reference in used) is counts


RESULT = "v09-s1-08"


def with_a_report(status):
    """Return the first visit, with a report that a finding is a result of."""
    report = {
        "resourceType": "DiagnosticReport",
        "id": "v09-report",
        "status": status,
        "code": {"coding": [{"system": "https://hospital.example.org/codes", "code": "EXAM-7"}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": "2026-01-05T08:40:00Z",
        "result": [{"reference": f"Observation/{RESULT}"}],
    }
    request = {"method": "PUT", "url": f"DiagnosticReport/{report['id']}"}
    return {**FIRST["bundle"], "entry": [*FIRST["bundle"]["entry"], {"resource": report, "request": request}]}


def test_a_second_task_for_the_same_patient_does_nothing(database):
    post(database)
    advance(database, 0, PATIENT)
    before = [(stored.reference, stored.version) for stored in owned(database)]

    assert not advance(database, 0, PATIENT)

    assert [(stored.reference, stored.version) for stored in owned(database)] == before


def test_four_workers_with_one_message_write_once(database):
    post(database)
    threads = [threading.Thread(target=advance, args=(database, 0, PATIENT)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [row.number for row in rows(database)] == [2, 1]
    assert sum(stored.type == "ServiceRequest" for stored in owned(database)) == 1


def test_a_guard_that_errs_never_reads_as_no_and_parks_after_three_attempts(database, a_guard_errs):
    post(database)
    for attempt in range(1, 4):
        with database.transaction() as tx:
            tx.execute(text("UPDATE promise SET retry_at = NULL"))
        assert not advance(database, 0, PATIENT), attempt

    assert standing(database).parked_at is not None
    assert "EvaluationFailed" in standing(database).failed_reason
    assert owned(database) == []


def test_a_failure_is_logged_with_ids_and_places_only(database, a_guard_errs, capsys):
    log.configure("test")
    post(database)
    advance(database, 0, PATIENT)

    line = capsys.readouterr().err
    assert "evaluation_failed" in line
    assert "advance.py" in line
    assert "Ivanova" not in line
    assert "1955" not in line


def test_others_go_on_while_one_is_parked(database, a_guard_errs, monkeypatch):
    post(database)
    for _ in range(3):
        with database.transaction() as tx:
            tx.execute(text("UPDATE promise SET retry_at = NULL"))
        advance(database, 0, PATIENT)
    monkeypatch.undo()
    post(database, playing.renamed(FIRST["bundle"], {"v09": "w1", "GMT-1009": "w1"}))

    assert advance(database, 0, "gmt-w1")
    assert not advance(database, 0, PATIENT)
    assert standing(database).parked_at is not None


def test_new_data_wake_a_parked_patient(database, a_guard_errs, monkeypatch):
    post(database)
    for _ in range(3):
        with database.transaction() as tx:
            tx.execute(text("UPDATE promise SET retry_at = NULL"))
        advance(database, 0, PATIENT)
    monkeypatch.undo()
    with database.transaction() as tx:
        promises.want(tx, PATIENT, tenant=0, due_at=NOW)
        tx.execute(text("UPDATE promise SET retry_at = NULL"))  # the pause is over

    assert advance(database, 0, PATIENT)
    assert owned(database)


def test_work_whose_lease_was_lost_is_not_kept(database, monkeypatch):
    post(database)
    preparing = resources.preparing

    def lose(tx, writes, **more):
        with database.transaction() as other:
            other.execute(text("UPDATE promise SET leased_by = NULL"))
        return preparing(tx, writes, **more)

    monkeypatch.setattr(advancing.resources, "preparing", lose)

    assert not advance(database, 0, PATIENT)
    assert owned(database) == []


def test_slow_work_is_kept_although_its_lease_was_renewed_meanwhile(database, monkeypatch):
    """A renewal changes the row that the work changes at its end: the database has the work repeated."""
    post(database)
    monkeypatch.setattr(advancing.promises, "ask_to_claim", partial(promises.ask_to_claim, lease_s=1.2))
    begun = []

    def slow(*args):
        begun.append(standing(database).lease_until)
        time.sleep(0.6)
        return decide(*args)

    decide = advancing.decide
    monkeypatch.setattr(advancing, "decide", slow)

    assert advance(database, 0, PATIENT)

    assert begun == sorted(set(begun))
    assert len(begun) > 1
    assert owned(database)
    assert standing(database).attempts == 0


def test_a_clock_that_is_set_back_takes_nothing_back(database):
    """SP-10: what is decided later is never dated before what was decided."""
    later = NOW + timedelta(days=15)
    with database.transaction() as tx:
        clock.set_(tx, later, held=False)
    post(database)
    assert advance(database, 0, PATIENT)
    with database.transaction() as tx:
        clock.set_(tx, later - timedelta(hours=3), held=False)
    post(database, STORY["steps"][2]["bundle"])

    assert advance(database, 0, PATIENT)

    with database.transaction() as tx:
        rows = decisions.of_instance(tx, PATIENT, catalogue.pathways()[0].name, "right", tenant=0)
    assert rows[0].rule == "T09"
    assert {row.at for row in rows} == {later}


def test_a_decision_keeps_when_it_was_due(database):
    post(database)
    with database.transaction() as tx:
        clock.set_(tx, NOW + timedelta(days=30), held=False)

    assert advance(database, 0, PATIENT)

    with database.transaction() as tx:
        row = next(iter(decisions.latest(tx, PATIENT, tenant=0).values()))
    assert row.at == NOW + timedelta(days=30)
    assert datetime.fromisoformat(row.basis["due"]) < NOW + timedelta(hours=1)


def test_an_open_plan_is_looked_at_again_within_a_day(database):
    post(database)
    advance(database, 0, PATIENT)

    due = standing(database).due_at
    assert due is not None
    assert NOW < due <= datetime(2026, 1, 6, 9, 15, tzinfo=UTC)


def test_every_input_of_a_step_is_named_with_its_version(database):
    post(database)
    advance(database, 0, PATIENT)
    (step, _) = rows(database)

    assert step.basis["inputs"]
    assert all("/_history/" in given["reference"] for given in step.basis["inputs"])
    assert step.basis["elm"] == catalogue.pathways()[0].elm_hash


def test_a_resource_of_somebody_else_is_never_written_over(database):
    post(database)
    advance(database, 0, PATIENT)
    (proposal,) = [s for s in owned(database) if s.type == "ServiceRequest"]
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))
        theirs = {"resourceType": "ServiceRequest", "id": proposal.id, "status": "active", "intent": "order"}
        resources.save(
            tx,
            [resources.Write(type="ServiceRequest", id=proposal.id, body=theirs, patient="zz")],
            tenant=0,
            now=NOW,
        )
    post(database)

    assert not advance(database, 0, PATIENT)

    assert "IdTaken" in standing(database).failed_reason
    with database.transaction() as tx:
        kept = resources.current(tx, "ServiceRequest", proposal.id, tenant=0)
    assert (kept.version, kept.patient, kept.owned) == (1, "zz", False)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"owner": {"reference": "Practitioner/ghost"}}, "not known here", id="nobody known"),
        pytest.param(
            {"owner": {"display": "Dr"}, "requester": {}}, "names no Practitioner", id="nobody named"
        ),
        pytest.param({"code": "explode"}, "no decision of this pathway", id="not a decision"),
        pytest.param({"code": "decline"}, "needs a reason", id="without its reason"),
        pytest.param(
            {"focus": {"reference": "ServiceRequest/elsewhere"}}, "nothing this pathway", id="no focus"
        ),
    ],
)
def test_a_decision_that_cannot_be_applied_is_answered_with_the_reason(database, change, why):
    post(database)
    advance(database, 0, PATIENT)
    (proposal,) = [s for s in owned(database) if s.type == "ServiceRequest"]
    clinician = {"reference": "Practitioner/example-physio"}
    task = {
        "resourceType": "Task",
        "id": "t1",
        "status": "completed",
        "intent": "order",
        "focus": {"reference": proposal.reference},
        "for": {"reference": f"Patient/{PATIENT}"},
        "lastModified": "2026-01-05T09:15:00Z",
        "owner": clinician,
        "requester": change.get("owner", clinician),
        **change,
    }
    system = "https://w3id.org/hipway/CodeSystem/clinician-decision"
    task["code"] = {"coding": [{"system": system, "code": change.get("code", "sign")}]}
    task = {name: value for name, value in task.items() if value != {}}
    entry = {"resource": task, "request": {"method": "PUT", "url": "Task/t1"}}
    post(database, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    assert advance(database, 0, PATIENT)

    with database.transaction() as tx:
        (event,) = resources.of_patient(tx, PATIENT, tenant=0, types=("AuditEvent",), owned=True)
        order = resources.current(tx, "ServiceRequest", proposal.id, tenant=0)
    assert event.resource["outcome"] == "4"
    assert why in event.resource["outcomeDesc"]
    assert order.resource["status"] == "draft"

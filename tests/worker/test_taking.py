"""Taking in what the hospital's server has: nothing is doubled or misfiled, and nobody waits for another.

http://hl7.org/fhir/R4/search.html, http://hl7.org/fhir/R4/references.html
"""

import fhir_visits
import hospital_server
import pytest
from fhir_visits import MRN, bundle, observation, patient, post, practitioner, put

from service import clock
from service.fhir import transaction
from service.joining import join
from service.store import resources
from service.store.resources import Write

OF = "Patient/p1"


def fact(id_: str, of: str = OF, **more: object) -> dict:
    return observation(id_, of, **more)


def numbered(value: str) -> dict:
    return {"identifier": [{"system": "https://lab.example.org/results", "value": value}]}


def person(id_: str, mrn: str | None, insurance: str | None = None) -> dict:
    numbers = ((MRN, mrn), ("https://insurance.example.org", insurance))
    return {
        **patient(id_),
        "identifier": [{"system": system, "value": value} for system, value in numbers if value],
    }


def test_a_fact_is_taken_in_with_whom_it_is_about_and_who_said_it(fed, source):
    source.put(patient("p1", mrn="1003"))
    source.put(practitioner("dr"))
    source.put(fact("o1", performer=[{"reference": "Practitioner/dr"}]))

    assert fed.whole().taken

    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1, "Practitioner/dr": 1}
    taken = fed.current("Observation/o1")
    assert taken["subject"] == {"reference": OF}
    assert taken["meta"]["source"] == f"{source.url}/Observation/o1"
    assert fed.rows("SELECT patient, count(*) FROM arrival GROUP BY patient") == [("p1", 2)]


def test_what_was_taken_in_is_not_taken_in_again(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    fed.whole()

    for feeding in (fed.feeding, fed.another()):
        assert fed.whole(feeding).taken

    assert set(fed.stored().values()) == {1}
    assert fed.rows("SELECT count(*) FROM sending") == [(2,)]


def test_a_change_there_is_a_version_here(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1", valueInteger=6))
    fed.whole()
    source.put(fact("o1", valueInteger=4, status="corrected"))

    fed.whole()

    assert fed.stored()["Observation/o1"] == 2
    assert fed.current("Observation/o1")["valueInteger"] == 4
    assert fed.rows("SELECT their_version, version FROM origin WHERE type = 'Observation' ORDER BY 1") == [
        ("1", 1),
        ("2", 2),
    ]


def test_an_older_version_that_a_search_still_shows_undoes_nothing(fed, source):
    source.put(patient("p1"))
    old = source.put(fact("o1", valueInteger=6))
    source.put(fact("o1", valueInteger=4))
    fed.whole()
    source.record["Observation/o1"] = [old]

    fed.whole()

    assert fed.current("Observation/o1")["valueInteger"] == 4


@pytest.mark.parametrize(
    "posted",
    [
        pytest.param(bundle(put(patient("p1", mrn="1")), put(fact("o1"))), id="under the hospital's ids"),
        pytest.param(
            bundle(
                post(patient(mrn="1"), unless=f"{MRN}|1", full_url=fhir_visits.URN.format(1)),
                post(fact(None, fhir_visits.URN.format(1), **numbered("7"))),
            ),
            id="without ids, by identifiers",
        ),
    ],
)
@pytest.mark.parametrize("first", ["posted", "read"])
def test_a_fact_that_is_also_posted_is_one_fact(fed, source, posted, first):
    source.put(patient("p1", mrn="1"))
    source.put(fact("o1", **({} if "PUT" in str(posted) else numbered("7"))))
    if first == "posted":
        transaction.accept(fed.database, posted, sender="hospital")
    fed.whole()
    if first == "read" and "PUT" in str(posted):
        transaction.accept(fed.database, posted, sender="hospital")

    stored = fed.stored()

    assert sorted(name.partition("/")[0] for name in stored) == ["Observation", "Patient"]
    assert fed.rows("SELECT count(DISTINCT patient) FROM resource") == [(1,)]
    if first == "posted":
        # What says the same makes no version, so nobody is evaluated for it.
        assert stored[next(name for name in stored if name.startswith("Observation"))] == 1


def test_a_correction_that_was_posted_is_not_undone_by_the_version_before_it(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1", valueInteger=6))
    of_the_server = patient("p1", meta={"source": f"{source.url}/Patient/p1"})
    transaction.accept(
        fed.database, bundle(put(of_the_server), put(fact("o1", valueInteger=6))), sender="hospital"
    )
    transaction.accept(fed.database, bundle(put(fact("o1", valueInteger=3))), sender="h")

    fed.whole()

    assert fed.current("Observation/o1")["valueInteger"] == 3


def test_a_patient_is_found_by_identifier_whatever_the_id(fed, source):
    transaction.accept(fed.database, bundle(put(patient("ours", mrn="1003"))), sender="hospital")
    source.put(patient("p1", mrn="1003", gender="female"))
    source.put(fact("o1"))

    fed.whole()

    assert fed.stored() == {"Observation/o1": 1, "Patient/ours": 2}
    assert fed.current("Observation/o1")["subject"] == {"reference": "Patient/ours"}
    assert fed.current("Patient/ours")["gender"] == "female"


def test_a_subject_that_is_named_by_identifier_alone_is_found_there(fed, source):
    source.put(patient("p1", mrn="1003"))
    source.put({**fact("o1"), "subject": {"identifier": {"system": MRN, "value": "1003"}}})

    fed.whole()

    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}
    assert fed.rows("SELECT patient FROM resource WHERE type = 'Observation'") == [("p1",)]


def test_an_id_that_somebody_else_has_here_is_not_taken_for_theirs(fed, source):
    other = bundle(put(patient("p1", mrn="1")), put(fact("o1", valueInteger=1)))
    transaction.accept(fed.database, other, sender="another system")
    source.put(patient("p9", mrn="9"))
    source.put(fact("o1", "Patient/p9", valueInteger=9))

    fed.whole()

    assert fed.current("Observation/o1")["valueInteger"] == 1
    by_patient = dict(fed.rows("SELECT patient, id FROM resource WHERE type = 'Observation'"))
    assert by_patient["p1"] == "o1"
    assert by_patient["p9"] != "o1"
    assert fed.rows("SELECT their_id, id FROM origin WHERE type = 'Observation'") == [
        ("o1", by_patient["p9"])
    ]


@pytest.mark.parametrize(
    ("here", "there"),
    [
        pytest.param([patient("p1", mrn="1")], patient("p1", mrn="2"), id="the same id, another number"),
        pytest.param([patient("p1", mrn="1")], patient("p1"), id="the same id, no number there"),
        pytest.param([patient("p1")], patient("p1", mrn="1"), id="the same id, no number here"),
        pytest.param([patient("p1")], patient("p1"), id="the same id and nothing else"),
        pytest.param(
            [person("a", "1"), person("b", None, "2")],
            person("p1", "1", "2"),
            id="two people",
        ),
        pytest.param(
            [person("a", "1", "2")],
            person("p1", "1", "3"),
            id="one number alike, one not",
        ),
    ],
)
def test_who_may_be_somebody_else_waits_for_a_person(fed, source, here, there):
    for person in here:
        transaction.accept(fed.database, bundle(put(person)), sender="hospital")
    source.put(there)
    source.put(fact("o1"))

    assert fed.whole().taken

    assert fed.aside() == {"Observation/o1": "patient-unknown", "Patient/p1": "patient-ambiguous"}
    assert not [name for name in fed.stored() if name.startswith("Observation")]


def numbers(fed, reference: str = OF) -> list[tuple[str, str]]:
    return [(i["value"], i.get("use", "")) for i in fed.current(reference).get("identifier", [])]


@pytest.mark.parametrize(
    "corrected",
    [
        pytest.param([{"system": MRN, "value": "222"}], id="to another number"),
        pytest.param(
            [{"system": MRN, "value": "222"}, {"system": MRN, "value": "111", "use": "old"}],
            id="and kept as an old one",
        ),
        pytest.param([], id="to none"),
    ],
)
def test_a_number_that_the_hospital_takes_back_is_nobody_s_here(fed, source, corrected):
    source.put(person("p1", "111"))
    source.put(fact("o1"))
    fed.whole()
    source.put({**patient("p1"), **({"identifier": corrected} if corrected else {})})
    fed.whole()
    source.put({**fact("o2"), "subject": {"identifier": {"system": MRN, "value": "111"}}})

    fed.whole()

    assert numbers(fed) == [(i["value"], i.get("use", "")) for i in corrected]
    assert fed.aside() == {"Observation/o2": "patient-unknown"}


def test_a_number_of_another_sender_stays_when_the_hospital_writes_the_patient(fed, source):
    known = person("ours", "111", "X7")
    transaction.accept(fed.database, bundle(put(known)), sender="another system")
    source.put(person("p1", "111"))
    source.put(fact("o1"))
    fed.whole()
    source.put({**person("p1", "111"), "gender": "female"})

    fed.whole()

    assert numbers(fed, "Patient/ours") == [("111", ""), ("X7", "")]
    assert fed.current("Patient/ours")["gender"] == "female"


def test_an_old_number_of_somebody_here_recognises_nobody(fed, source):
    once = {"identifier": [{"system": MRN, "value": "111", "use": "old"}]}
    transaction.accept(fed.database, bundle(put({**patient("ours"), **once})), sender="hospital")
    source.put(person("p1", "111"))
    source.put(fact("o1"))

    fed.whole()

    assert fed.current("Observation/o1")["subject"] == {"reference": OF}


def test_two_records_of_one_person_there_are_not_written_over_one_another(fed, source):
    source.put(patient("p1", mrn="1"))
    source.put(patient("p2", mrn="1"))
    source.put(fact("o1"))
    source.put(fact("o2", "Patient/p2"))

    fed.whole()

    assert fed.aside() == {"Observation/o2": "patient-unknown", "Patient/p2": "patient-twice"}
    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}


def test_a_person_who_was_made_anew_there_is_the_same_person_here(fed, source):
    source.put(patient("p1", mrn="1"))
    source.put(fact("o1"))
    fed.whole()
    source.remove("Observation/o1")
    source.remove("Patient/p1")
    for _ in range(4):
        fed.whole()
    source.put(patient("p2", mrn="1"))
    source.put(fact("o2", "Patient/p2"))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o2", "Patient/p1"}
    assert fed.current("Observation/o2")["subject"] == {"reference": "Patient/p1"}


def test_what_the_hospital_files_under_a_joined_patient_is_the_one_s_who_stays(fed, source):
    for who, mrn, result in (("p1", "1", "o1"), ("p2", "2", "o2")):
        source.put(patient(who, mrn=mrn))
        source.put(fact(result, f"Patient/{who}"))
    fed.whole()
    with fed.database.transaction() as tx:
        join.announce(tx)
        join.join(tx, "p1", "p2", tenant=0, who="Practitioner/vogt")
    source.put(fact("o1", status="entered-in-error"))
    source.put(fact("o3"))
    source.put({**fact("o4"), "subject": {"identifier": {"system": MRN, "value": "1"}}})

    fed.whole()

    assert fed.aside() == {}
    assert fed.current("Observation/o1")["status"] == "entered-in-error"
    assert fed.rows("SELECT id, patient FROM resource WHERE type = 'Observation' ORDER BY id") == [
        (id_, "p2") for id_ in ("o1", "o2", "o3", "o4")
    ]


def test_who_could_not_be_told_is_tried_again_and_taken_in(fed, source):
    source.put(fact("o1"))
    fed.whole()
    assert fed.aside() == {"Observation/o1": "patient-unknown"}
    source.put(patient("p1"))
    fed.do("UPDATE set_aside SET retry_at = clock_timestamp()")

    fed.whole(fed.another())

    assert fed.aside() == {}
    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}


def test_what_became_another_patient_s_there_is_withdrawn_here(fed, source):
    for who in ("p1", "p2"):
        source.put(patient(who))
    source.put(fact("o1", "Patient/p1"))
    fed.whole()
    source.put(fact("o1", "Patient/p2"))

    fed.whole()

    rows = fed.rows("SELECT patient, deleted FROM resource WHERE type = 'Observation' ORDER BY patient")
    assert rows == [("p1", True), ("p2", False)]
    assert {who for (who,) in fed.rows("SELECT DISTINCT patient FROM arrival")} == {"p1", "p2"}


def test_what_is_refused_is_set_aside_and_keeps_nobody_waiting(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    source.put({**fact("o2"), "status": "nonsense"})
    source.put(fact("o3"))

    assert fed.whole().taken
    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o1", "Observation/o3", "Patient/p1"}
    assert fed.rows("SELECT their_id, reason, said, attempts FROM set_aside") == [
        ("o2", "not-valid", "status", 1)
    ]
    assert fed.rows("SELECT status, refused FROM sending WHERE refused > 0") == [(422, 1)]
    source.put(fact("o2"))
    fed.whole()
    assert "Observation/o2" in fed.stored()
    assert fed.aside() == {}


@pytest.mark.parametrize(
    "poison",
    [
        {"identifier": [{"system": "urn:x", "value": "a\0b"}]},
        {"subject": {"identifier": {"system": "urn:x", "value": "a\0b"}}},
        {"code": {"coding": [fhir_visits.observation("o", OF)["code"]["coding"][0], 7]}},
        {"subject": [{"reference": OF}]},
        {"meta": {"source": 7}, "contained": "nothing"},
    ],
    ids=[
        "a zero in an identifier",
        "a zero in a subject",
        "a number for a coding",
        "two subjects",
        "no list",
    ],
)
def test_whatever_shape_a_resource_has_it_keeps_nobody_waiting(fed, source, poison):
    source.put(patient("p1"))
    source.put({**fact("o1"), **poison})
    source.put(fact("o2"))

    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o2", "Patient/p1"}
    assert list(fed.aside()) == ["Observation/o1"]


def test_a_server_that_reads_out_another_patient_gives_nobody_a_result(fed, source):
    source.put(patient("p1"))
    source.put(patient("p2", mrn="2"))
    source.put(fact("o1"))

    def another(asked):
        if asked.path.endswith("/Patient/p1"):
            return asked.answer(200, source.current("Patient/p2"))
        return hospital_server.WELL

    source.mood = another
    fed.whole()

    assert fed.stored() == {}
    assert fed.aside() == {"Observation/o1": "patient-unknown"}


def test_what_we_delivered_is_no_new_fact(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    fed.whole()
    with fed.database.transaction() as tx:
        body = fhir_visits.decision(OF, "Task/x")
        task = Write(type="Task", id="t1", body={**body, "id": "t1"}, patient="p1", owned=True)
        seen = resources.look_up_or_lock(tx, [task], tenant=0)
        resources.save(tx, [task], tenant=0, now=clock.now(tx), seen=seen)
    # As HAPI stores it, with stamps of its own.
    source.put({**body, "id": "t1"})

    fed.whole()

    assert fed.rows("SELECT version, owned FROM resource WHERE type = 'Task'") == [(1, True)]
    assert fed.aside() == {}
    assert fed.rows("SELECT count(*) FROM origin WHERE type = 'Task'") == [(0,)]


def test_who_is_not_known_here_stays_unknown(fed, source):
    source.put(patient("p1", gender="female"))
    source.put(fact("o1"))
    fed.whole()
    source.put(patient("p2"))
    source.put(patient("p1", gender="male"))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}
    assert fed.current("Patient/p1")["gender"] == "male"


def test_an_urgent_fact_wakes_a_worker_at_once(fed, source):
    source.put(patient("p1"))
    encounter = fhir_visits.decision(OF, OF)
    source.put({**encounter, "id": "d1", "for": {"reference": OF}})
    fed.whole()

    assert "p1" in fed.woken


def test_nothing_of_a_patient_is_logged(fed, source, caplog, capsys):
    source.put(patient("p1", mrn="MRN-canary", name=[{"family": "Canary"}]))
    source.put(fact("o1", valueString="canary-value"))
    source.put({**fact("o2", note=[{"text": "canary-note"}]), "status": "canary"})
    fed.whole()

    said = caplog.text + capsys.readouterr().out
    assert "set_aside" in said
    assert "anary" not in said
    assert "anary" not in str(fed.rows("SELECT * FROM set_aside") + fed.rows("SELECT * FROM sending"))

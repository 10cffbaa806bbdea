"""Reading from the hospital's server: nothing is lost, doubled or misfiled, whatever the server answers.

http://hl7.org/fhir/R4/search.html, http://hl7.org/fhir/R4/http.html
"""

from collections.abc import Iterator

import fhir_visits
import hospital_server
import pytest
from fhir_visits import MRN, bundle, observation, patient, post, practitioner, put
from hospital_server import answering, doing_and_hanging_up, half, hanging_up
from reading_from import TABLES, Fed
from source_server import SourceServer
from sqlalchemy import text

from service import clock
from service.fhir import transaction
from service.hospital import feed
from service.hospital.answers import Kind
from service.hospital.feed import COUNT
from service.store import resources
from service.store.database import Database
from service.store.resources import Write

HTML = b"<html><body>Please sign in</body></html>"
OF = "Patient/p1"


@pytest.fixture(scope="module")
def only_server() -> Iterator[SourceServer]:
    with hospital_server.running(make=SourceServer) as started:
        yield started


@pytest.fixture
def server(only_server: SourceServer) -> SourceServer:
    only_server.begin()
    return only_server


@pytest.fixture
def fed(database: Database, owner: Database, server: SourceServer) -> Iterator[Fed]:
    with owner.transaction() as tx:
        for table in TABLES:
            tx.execute(text(f"DELETE FROM {table}"))
        clock.unset(tx)
    made = Fed(database, server)
    yield made
    made.connection.close()


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


def test_a_fact_is_taken_in_with_whom_it_is_about_and_who_said_it(fed, server):
    server.put(patient("p1", mrn="1003"))
    server.put(practitioner("dr"))
    server.put(fact("o1", performer=[{"reference": "Practitioner/dr"}]))

    assert fed.whole().taken

    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1, "Practitioner/dr": 1}
    taken = fed.current("Observation/o1")
    assert taken["subject"] == {"reference": OF}
    assert taken["meta"]["source"] == f"{server.url}/Observation/o1"
    assert fed.rows("SELECT patient, count(*) FROM arrival GROUP BY patient") == [("p1", 2)]


def test_what_was_taken_in_is_not_taken_in_again(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    fed.whole()

    for feeding in (fed.feeding, fed.another()):
        assert fed.whole(feeding).taken

    assert set(fed.stored().values()) == {1}
    assert fed.rows("SELECT count(*) FROM sending") == [(2,)]


def test_a_change_there_is_a_version_here(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1", valueInteger=6))
    fed.whole()
    server.put(fact("o1", valueInteger=4, status="corrected"))

    fed.whole()

    assert fed.stored()["Observation/o1"] == 2
    assert fed.current("Observation/o1")["valueInteger"] == 4
    assert fed.rows("SELECT their_version, version FROM origin WHERE type = 'Observation' ORDER BY 1") == [
        ("1", 1),
        ("2", 2),
    ]


def test_an_older_version_that_a_search_still_shows_undoes_nothing(fed, server):
    server.put(patient("p1"))
    old = server.put(fact("o1", valueInteger=6))
    server.put(fact("o1", valueInteger=4))
    fed.whole()
    server.record["Observation/o1"] = [old]

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
def test_a_fact_that_is_also_posted_is_one_fact(fed, server, posted, first):
    server.put(patient("p1", mrn="1"))
    server.put(fact("o1", **({} if "PUT" in str(posted) else numbered("7"))))
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


def test_a_correction_that_was_posted_is_not_undone_by_the_version_before_it(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1", valueInteger=6))
    transaction.accept(fed.database, bundle(put(patient("p1")), put(fact("o1", valueInteger=6))), sender="h")
    transaction.accept(fed.database, bundle(put(fact("o1", valueInteger=3))), sender="h")

    fed.whole()

    assert fed.current("Observation/o1")["valueInteger"] == 3


def test_a_patient_is_found_by_identifier_whatever_the_id(fed, server):
    transaction.accept(fed.database, bundle(put(patient("ours", mrn="1003"))), sender="hospital")
    server.put(patient("p1", mrn="1003", gender="female"))
    server.put(fact("o1"))

    fed.whole()

    assert fed.stored() == {"Observation/o1": 1, "Patient/ours": 2}
    assert fed.current("Observation/o1")["subject"] == {"reference": "Patient/ours"}
    assert fed.current("Patient/ours")["gender"] == "female"


def test_a_subject_that_is_named_by_identifier_alone_is_found_there(fed, server):
    server.put(patient("p1", mrn="1003"))
    server.put({**fact("o1"), "subject": {"identifier": {"system": MRN, "value": "1003"}}})

    fed.whole()

    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}
    assert fed.rows("SELECT patient FROM resource WHERE type = 'Observation'") == [("p1",)]


def test_an_id_that_somebody_else_has_here_is_not_taken_for_theirs(fed, server):
    other = bundle(put(patient("p1", mrn="1")), put(fact("o1", valueInteger=1)))
    transaction.accept(fed.database, other, sender="another system")
    server.put(patient("p9", mrn="9"))
    server.put(fact("o1", "Patient/p9", valueInteger=9))

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
def test_who_may_be_somebody_else_waits_for_a_person(fed, server, here, there):
    for person in here:
        transaction.accept(fed.database, bundle(put(person)), sender="hospital")
    server.put(there)
    server.put(fact("o1"))

    assert fed.whole().taken

    assert fed.aside() == {"Observation/o1": "patient-unknown", "Patient/p1": "patient-ambiguous"}
    assert not [name for name in fed.stored() if name.startswith("Observation")]


def test_two_records_of_one_person_there_are_not_written_over_one_another(fed, server):
    server.put(patient("p1", mrn="1"))
    server.put(patient("p2", mrn="1"))
    server.put(fact("o1"))
    server.put(fact("o2", "Patient/p2"))

    fed.whole()

    assert fed.aside() == {"Observation/o2": "patient-unknown", "Patient/p2": "patient-twice"}
    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}


def test_a_person_who_was_made_anew_there_is_the_same_person_here(fed, server):
    server.put(patient("p1", mrn="1"))
    server.put(fact("o1"))
    fed.whole()
    server.remove("Observation/o1")
    server.remove("Patient/p1")
    for _ in range(4):
        fed.whole()
    server.put(patient("p2", mrn="1"))
    server.put(fact("o2", "Patient/p2"))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o2", "Patient/p1"}
    assert fed.current("Observation/o2")["subject"] == {"reference": "Patient/p1"}


def test_who_could_not_be_told_is_tried_again_and_taken_in(fed, server):
    server.put(fact("o1"))
    fed.whole()
    assert fed.aside() == {"Observation/o1": "patient-unknown"}
    server.put(patient("p1"))
    fed.do("UPDATE set_aside SET retry_at = clock_timestamp()")

    fed.whole(fed.another())

    assert fed.aside() == {}
    assert fed.stored() == {"Observation/o1": 1, "Patient/p1": 1}


def test_what_became_another_patient_s_there_is_withdrawn_here(fed, server):
    for who in ("p1", "p2"):
        server.put(patient(who))
    server.put(fact("o1", "Patient/p1"))
    fed.whole()
    server.put(fact("o1", "Patient/p2"))

    fed.whole()

    rows = fed.rows("SELECT patient, deleted FROM resource WHERE type = 'Observation' ORDER BY patient")
    assert rows == [("p1", True), ("p2", False)]
    assert {who for (who,) in fed.rows("SELECT DISTINCT patient FROM arrival")} == {"p1", "p2"}


def test_what_is_refused_is_set_aside_and_keeps_nobody_waiting(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    server.put({**fact("o2"), "status": "nonsense"})
    server.put(fact("o3"))

    assert fed.whole().taken
    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o1", "Observation/o3", "Patient/p1"}
    assert fed.rows("SELECT their_id, reason, said, attempts FROM set_aside") == [
        ("o2", "not-valid", "status", 1)
    ]
    assert fed.rows("SELECT status, refused FROM sending WHERE refused > 0") == [(422, 1)]
    server.put(fact("o2"))
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
def test_whatever_shape_a_resource_has_it_keeps_nobody_waiting(fed, server, poison):
    server.put(patient("p1"))
    server.put({**fact("o1"), **poison})
    server.put(fact("o2"))

    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o2", "Patient/p1"}
    assert list(fed.aside()) == ["Observation/o1"]


def test_what_something_still_refers_to_is_withdrawn_when_nothing_does(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "subject": {"reference": OF}}
    code = {"coding": [{"system": "http://loinc.org", "code": "24762-7"}]}
    server.put({**report, "code": code, "result": [{"reference": "Observation/o1"}]})
    fed.whole()
    server.remove("Observation/o1")
    for _ in range(4):
        fed.whole()
    assert fed.aside() == {"Observation/o1": "removed-there"}

    server.remove("DiagnosticReport/r1")
    for _ in range(6):
        fed.do("UPDATE set_aside SET retry_at = clock_timestamp()")
        fed.whole()

    assert set(fed.stored()) == {"Patient/p1"}
    assert fed.aside() == {}


def test_what_was_not_asked_for_is_not_taken_in(fed, server):
    server.ignored = {"code"}
    server.put(patient("p1"))
    server.put(patient("p2"))
    server.put(fact("o1"))
    server.put(fact("o2", "Patient/p2", code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]}))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_what_is_of_another_type_than_was_asked_for_is_told(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))

    def mixed(asked):
        if asked.path.endswith("Observation/_search"):
            flag = {"resourceType": "Flag", "id": "f1", "status": "active"}
            entry = [{"resource": flag}, {"resource": server.current("Observation/o1")}]
            return asked.answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": entry})
        return hospital_server.WELL

    server.mood = mixed
    assert fed.whole().kind is Kind.MIXED_UP
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_a_server_that_reads_out_another_patient_gives_nobody_a_result(fed, server):
    server.put(patient("p1"))
    server.put(patient("p2", mrn="2"))
    server.put(fact("o1"))

    def another(asked):
        if asked.path.endswith("/Patient/p1"):
            return asked.answer(200, server.current("Patient/p2"))
        return hospital_server.WELL

    server.mood = another
    fed.whole()

    assert fed.stored() == {}
    assert fed.aside() == {"Observation/o1": "patient-unknown"}


def test_what_we_delivered_is_no_new_fact(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    fed.whole()
    with fed.database.transaction() as tx:
        body = fhir_visits.decision(OF, "Task/x")
        task = Write(type="Task", id="t1", body={**body, "id": "t1"}, patient="p1", owned=True)
        seen = resources.look_up_or_lock(tx, [task], tenant=0)
        resources.save(tx, [task], tenant=0, now=clock.now(tx), seen=seen)
    # As HAPI stores it, with stamps of its own.
    server.put({**body, "id": "t1"})

    fed.whole()

    assert fed.rows("SELECT version, owned FROM resource WHERE type = 'Task'") == [(1, True)]
    assert fed.aside() == {}
    assert fed.rows("SELECT count(*) FROM origin WHERE type = 'Task'") == [(0,)]


def test_pages_are_followed_to_the_end(fed, server):
    server.most = 2
    server.put(patient("p1"))
    for number in range(7):
        server.put(fact(f"o{number}"))

    fed.whole()

    assert len(fed.stored()) == 8
    assert server.searches("Observation")[0]["_count"] == str(COUNT)


def test_a_link_to_another_host_is_not_followed(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    link = [{"relation": "next", "url": "http://127.0.0.1:9/fhir?_getpages=1"}]
    page = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": []}
    server.moods = [answering(200, page)]

    assert fed.whole().kind is Kind.ELSEWHERE

    assert fed.rows("SELECT answer, failures FROM circuit") == [("elsewhere", 1)]
    assert fed.whole().taken
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


@pytest.mark.parametrize("during", ["the first search", "a page", "the patient"])
@pytest.mark.parametrize(
    ("mood", "kind"),
    [
        pytest.param(half, Kind.CUT_OFF, id="half a body"),
        pytest.param(hanging_up, Kind.CUT_OFF, id="no answer"),
        pytest.param(doing_and_hanging_up, Kind.CUT_OFF, id="lost after it was done"),
        pytest.param(answering(200, HTML), Kind.NOT_FHIR, id="a page of HTML"),
        pytest.param(answering(500, HTML), Kind.SERVER_ERROR, id="an error"),
        pytest.param(answering(302, b"", Location="/login"), Kind.MOVED, id="a redirect"),
        pytest.param(answering(401, b""), Kind.UNAUTHENTICATED, id="no longer let in"),
        pytest.param(answering(429, b"", Retry_After="30"), Kind.BUSY, id="busy"),
        pytest.param(
            answering(200, hospital_server.outcome("exception")), Kind.FAILED_INSIDE, id="an error in 200"
        ),
    ],
)
def test_a_bad_answer_loses_nothing(fed, server, mood, kind, during):
    server.most = 2
    server.put(patient("p1"))
    for number in range(5):
        server.put(fact(f"o{number}"))

    def sometimes(asked):
        at = {
            "the first search": asked.path.endswith("Observation/_search"),
            "a page": "_getpages=1" in asked.path,
            "the patient": asked.path.endswith("/Patient/p1"),
        }
        return mood(asked) if at[during] else hospital_server.WELL

    server.mood = sometimes
    assert fed.whole().kind is kind
    assert fed.rows("SELECT answer FROM circuit WHERE purpose = 'read'") == [(str(kind),)]
    server.mood = None

    assert fed.whole().taken

    assert len(fed.stored()) == 6
    assert set(fed.stored().values()) == {1}
    assert fed.aside() == {}


def test_a_server_that_is_busy_is_left_alone_as_long_as_it_says(fed, server):
    server.mood = answering(429, b"", Retry_After="30")
    fed.soon()
    asked = len(server.asked)

    fed.soon()

    assert len(server.asked) == asked
    (left,) = fed.rows("SELECT extract(epoch FROM open_until - clock_timestamp())::int FROM circuit")
    assert 25 <= left[0] <= 30


def test_a_resource_that_cannot_be_read_hides_no_other(fed, server):
    server.put(patient("p1"))
    for number in range(3):
        server.put(fact(f"o{number}"))
    poison = b'{"resourceType": "Observation", "id": "o1", "valueInteger": 1e99999999}'

    def poisoned(asked):
        if asked.path.endswith("Observation/_search") and b"_elements" not in asked.content:
            return asked.answer(200, b'{"resourceType": "Bundle", "entry": [' + poison + b"]}")
        return asked.answer(200, poison) if asked.path.endswith("/o1") else hospital_server.WELL

    server.mood = poisoned
    assert fed.whole().taken
    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o0", "Observation/o2", "Patient/p1"}
    assert fed.aside() == {"Observation/o1": "not-fhir"}


def test_a_look_goes_on_where_it_was_cut_off_and_overlaps(fed, server):
    server.most = 2
    server.put(patient("p1"))
    for number in range(6):
        server.put(fact(f"o{number}"))
        server.pass_(hours=1)

    def at_the_third_page(asked):
        pages = [a for a in server.asked if "_getpages" in a.path]
        return asked.answer(500, b"") if len(pages) == 2 else hospital_server.WELL

    server.mood = at_the_third_page
    fed.whole()
    assert len(fed.stored()) == 5
    server.mood = None

    fed.whole()

    assert len(fed.stored()) == 7
    first, again = server.searches("Observation")[:2]
    assert "_lastUpdated" not in first
    # Two pages were whole, so it goes on from the end of the second, and a little before.
    assert again["_lastUpdated"].startswith("ge2026-01-05T11:59:30")


@pytest.mark.parametrize("wrong", [{"days": 3}, {"days": -3}, {}], ids=["ahead", "behind", "right"])
def test_a_clock_that_is_wrong_loses_nothing(fed, server, wrong):
    server.pass_(**wrong)
    server.put(patient("p1"))
    for number in range(4):
        server.put(fact(f"o{number}"))
        fed.whole()
        server.pass_(minutes=10)

    assert len(fed.stored()) == 5


def test_a_clock_that_is_set_back_loses_nothing(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    fed.whole()
    server.pass_(hours=-2)
    server.put(fact("o2"))

    fed.whole()

    assert "Observation/o2" in fed.stored()


def test_our_own_clock_has_no_say(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    with fed.database.transaction() as tx:
        clock.set_(tx, clock.now(tx).replace(year=2031), held=False)
    fed.whole()
    server.pass_(minutes=1)
    server.put(fact("o2"))

    fed.whole()

    assert len(fed.stored()) == 3


def test_what_is_removed_there_is_withdrawn_here(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    server.put(fact("o2"))
    fed.whole()
    server.remove("Observation/o1")
    server.pass_(days=1)

    fed.whole()
    fed.whole()

    assert fed.rows("SELECT id, deleted FROM resource WHERE type = 'Observation' ORDER BY id") == [
        ("o1", True),
        ("o2", False),
    ]
    server.put(fact("o1"))
    fed.whole()
    assert "Observation/o1" in fed.stored()


def test_what_no_window_shows_any_more_is_found_by_its_id(fed, server, monkeypatch):
    monkeypatch.setattr(feed, "CHECKED", 2)
    server.put(patient("p1"))
    for number in range(5):
        server.put(fact(f"o{number}"))
    fed.whole()
    # Stored there without a new time, as after a repair of its database.
    changed = server.record["Observation/o4"][-1]
    server.record["Observation/o4"].append(
        {**changed, "valueInteger": 1, "meta": {**changed["meta"], "versionId": "2"}}
    )
    server.pass_(days=1)
    server.put(fact("o9"))

    for _ in range(5):
        fed.whole()

    assert fed.current("Observation/o4")["valueInteger"] == 1


def test_a_report_with_a_code_of_the_hospital_s_own_comes_with_its_results(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    code = {"coding": [{"system": "https://hospital.example.org/codes", "code": "R"}]}
    report = {"resourceType": "DiagnosticReport", "status": "preliminary", "code": code}
    of = {"subject": {"reference": OF}}
    server.put({**report, **of, "id": "r1", "result": [{"reference": "Observation/o1"}]})
    server.put({**report, **of, "id": "r2", "result": [{"reference": "Observation/o9"}]})

    assert fed.whole().taken

    assert set(fed.stored()) == {"DiagnosticReport/r1", "Observation/o1", "Patient/p1"}
    server.put({**report, **of, "id": "r1", "status": "final", "result": [{"reference": "Observation/o1"}]})
    # No question names its code; it is asked for by its id, in turn.
    for _ in range(4):
        fed.whole()
    assert fed.current("DiagnosticReport/r1")["status"] == "final"


def test_a_server_that_cannot_search_for_reports_is_read_even_so(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))

    def unable(asked):
        if b"result=" in asked.content:
            return asked.answer(400, hospital_server.outcome("not-supported"))
        return hospital_server.WELL

    server.mood = unable

    assert fed.whole().taken
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_who_is_not_known_here_stays_unknown(fed, server):
    server.put(patient("p1", gender="female"))
    server.put(fact("o1"))
    fed.whole()
    server.put(patient("p2"))
    server.put(patient("p1", gender="male"))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}
    assert fed.current("Patient/p1")["gender"] == "male"


def test_one_reads_at_a_time_and_who_lost_the_lease_writes_nothing(fed, server):
    server.put(patient("p1"))
    server.put(fact("o1"))
    other = fed.another()

    def taken_over(asked):
        fed.do("UPDATE source SET leased_by = gen_random_uuid()")
        return hospital_server.WELL

    server.moods = [taken_over]
    assert fed.soon() is None
    assert fed.stored() == {}

    fed.do("UPDATE source SET lease_until = clock_timestamp() + interval '1 minute'")
    assert other.round(1e6) is None
    fed.do("UPDATE source SET lease_until = NULL, leased_by = NULL")
    assert other.round(2e6).taken
    assert len(fed.stored()) == 2


def test_an_urgent_fact_wakes_a_worker_at_once(fed, server):
    server.put(patient("p1"))
    encounter = fhir_visits.decision(OF, OF)
    server.put({**encounter, "id": "d1", "for": {"reference": OF}})
    fed.whole()

    assert "p1" in fed.woken


def test_nothing_of_a_patient_is_logged(fed, server, caplog, capsys):
    server.put(patient("p1", mrn="MRN-canary", name=[{"family": "Canary"}]))
    server.put(fact("o1", valueString="canary-value"))
    server.put({**fact("o2", note=[{"text": "canary-note"}]), "status": "canary"})
    fed.whole()

    said = caplog.text + capsys.readouterr().out
    assert "set_aside" in said
    assert "anary" not in said
    assert "anary" not in str(fed.rows("SELECT * FROM set_aside") + fed.rows("SELECT * FROM sending"))

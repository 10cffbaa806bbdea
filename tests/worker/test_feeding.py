"""Looking at what is new on the hospital's server: whatever it answers, and whatever its clock shows.

http://hl7.org/fhir/R4/search.html, http://hl7.org/fhir/R4/http.html
"""

import hospital_server
import pytest
from fhir_visits import observation, patient, practitioner
from hospital_server import answering, doing_and_hanging_up, half, hanging_up
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service import clock
from service.hospital import feed
from service.hospital.answers import Kind
from service.hospital.feed import COUNT
from service.store import sources

HTML = b"<html><body>Please sign in</body></html>"
OF = "Patient/p1"


def fact(id_: str, of: str = OF, **more: object) -> dict:
    return observation(id_, of, **more)


def test_what_something_still_refers_to_is_withdrawn_when_nothing_does(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "subject": {"reference": OF}}
    code = {"coding": [{"system": "http://loinc.org", "code": "24762-7"}]}
    source.put({**report, "code": code, "result": [{"reference": "Observation/o1"}]})
    fed.whole()
    source.remove("Observation/o1")
    for _ in range(4):
        fed.whole()
    assert fed.aside() == {"Observation/o1": "removed-there"}

    source.remove("DiagnosticReport/r1")
    for _ in range(6):
        fed.do("UPDATE set_aside SET retry_at = clock_timestamp()")
        fed.whole()

    assert set(fed.stored()) == {"Patient/p1"}
    assert fed.aside() == {}


def test_what_was_not_asked_for_is_not_taken_in(fed, source):
    source.ignored = {"code"}
    source.put(patient("p1"))
    source.put(patient("p2"))
    source.put(fact("o1"))
    source.put(fact("o2", "Patient/p2", code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]}))

    fed.whole()

    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_what_is_of_another_type_than_was_asked_for_is_told(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))

    def mixed(asked):
        if asked.path.endswith("Observation/_search"):
            flag = {"resourceType": "Flag", "id": "f1", "status": "active"}
            entry = [{"resource": flag}, {"resource": source.current("Observation/o1")}]
            return asked.answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": entry})
        return hospital_server.WELL

    source.mood = mixed
    assert fed.whole().kind is Kind.MIXED_UP
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_pages_are_followed_to_the_end(fed, source):
    source.most = 2
    source.put(patient("p1"))
    for number in range(7):
        source.put(fact(f"o{number}"))

    fed.whole()

    assert len(fed.stored()) == 8
    assert source.searches("Observation")[0]["_count"] == str(COUNT)


def test_a_link_to_another_host_is_not_followed(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    link = [{"relation": "next", "url": "http://127.0.0.1:9/fhir?_getpages=1"}]
    page = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": []}
    source.moods = [answering(200, page)]

    assert fed.whole().kind is Kind.ELSEWHERE

    assert fed.rows("SELECT answer, failures FROM circuit") == [("elsewhere", 1)]
    assert fed.whole().taken
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


@pytest.mark.parametrize("during", ["the first search", "a page", "everything about the patient"])
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
def test_a_bad_answer_loses_nothing(fed, source, mood, kind, during):
    source.most = 2
    source.put(patient("p1"))
    for number in range(5):
        source.put(fact(f"o{number}"))

    def sometimes(asked):
        at = {
            "the first search": asked.path.endswith("Observation/_search"),
            "a page": "_getpages=1" in asked.path,
            "everything about the patient": "/Patient" in asked.path,
        }
        return mood(asked) if at[during] else hospital_server.WELL

    source.mood = sometimes
    assert fed.whole().kind is kind
    assert fed.rows("SELECT answer FROM circuit WHERE purpose = 'read'") == [(str(kind),)]
    source.mood = None

    assert fed.whole().taken

    assert len(fed.stored()) == 6
    assert set(fed.stored().values()) == {1}
    assert fed.aside() == {}


@pytest.mark.parametrize(
    "mood",
    [
        pytest.param(answering(200, HTML), id="a page of HTML"),
        pytest.param(answering(500, HTML), id="an error"),
        pytest.param(answering(200, hospital_server.outcome("exception")), id="an error in 200"),
        pytest.param(answering(403, b""), id="no right"),
    ],
)
@pytest.mark.parametrize("of", ["Patient/p1", "Practitioner/dr"])
def test_one_resource_that_the_server_fails_at_keeps_no_other_away(fed, source, mood, of):
    source.put(patient("p1"))
    source.put(patient("p2"))
    source.put(practitioner("dr"))
    source.put(fact("o1", performer=[{"reference": "Practitioner/dr"}]))
    source.put(fact("o2", "Patient/p2"))
    source.mood = lambda asked: mood(asked) if asked.path.endswith(of) else hospital_server.WELL

    assert fed.whole().taken

    lost = {"Observation/o1": "patient-unknown"} if of == OF else {}
    assert fed.aside() == lost
    assert "Observation/o2" in fed.stored()
    source.mood = None
    fed.do("UPDATE set_aside SET retry_at = clock_timestamp()")
    fed.whole(fed.another())
    assert {"Observation/o1", "Observation/o2"} < set(fed.stored())


@pytest.mark.parametrize("status", [200, 400])
def test_an_identifier_that_the_server_cannot_look_for_keeps_no_other_away(fed, source, status):
    odd = {"system": "https://hospital.example.org/n", "value": "1|2,3$"}
    source.put({**patient("p1"), "identifier": [odd]})
    source.put({**fact("o1"), "subject": {"identifier": odd}})
    source.put(patient("p2"))
    source.put(fact("o2", "Patient/p2"))
    refusing = answering(400, hospital_server.outcome("value"))
    source.mood = lambda asked: (
        refusing(asked) if status == 400 and b"identifier=" in asked.content else hospital_server.WELL
    )

    assert fed.whole().taken

    assert ("Observation/o1" in fed.stored()) is (status == 200)
    assert "Observation/o2" in fed.stored()


@pytest.mark.parametrize("mood", [answering(403), answering(404), answering(200, HTML)])
def test_a_type_that_cannot_be_read_keeps_no_other_away(fed, source, mood):
    source.put(patient("p1"))
    source.put(report("r1", "o1", code={"coding": [{"system": "http://loinc.org", "code": "24762-7"}]}))
    source.mood = lambda asked: (
        mood(asked) if asked.path.endswith("Observation/_search") else hospital_server.WELL
    )

    answer = fed.whole()

    assert answer.of_server
    assert fed.rows("SELECT answer FROM circuit WHERE purpose = 'read'") == [(str(answer.kind),)]
    assert "DiagnosticReport/r1" in fed.stored()
    assert fed.rows("SELECT looked_at IS NOT NULL FROM source") == [(True,)]


def test_what_cannot_be_tried_again_now_lets_others_go_first(fed, source):
    for number in range(3):
        source.put(fact(f"o{number}", f"Patient/p{number}"))
    fed.whole()
    fed.do("UPDATE set_aside SET retry_at = clock_timestamp() - interval '1 minute' WHERE their_id = 'o0'")
    fed.do("UPDATE set_aside SET retry_at = clock_timestamp() WHERE their_id <> 'o0'")
    for number in range(3):
        source.put(patient(f"p{number}"))
    source.mood = lambda asked: (
        asked.answer(403, b"") if asked.path.endswith("/Observation/o0") else hospital_server.WELL
    )

    fed.whole(fed.another())

    assert {"Observation/o1", "Observation/o2"} < set(fed.stored())
    assert fed.rows("SELECT their_id, attempts, retry_at > clock_timestamp() FROM set_aside") == [
        ("o0", 2, True)
    ]


def test_a_server_that_is_busy_is_left_alone_as_long_as_it_says(fed, source):
    source.mood = answering(429, b"", Retry_After="30")
    fed.soon()
    asked = len(source.asked)

    fed.soon()

    assert len(source.asked) == asked
    (left,) = fed.rows("SELECT extract(epoch FROM open_until - clock_timestamp())::int FROM circuit")
    assert 25 <= left[0] <= 30


def test_a_resource_that_cannot_be_read_hides_no_other(fed, source):
    source.put(patient("p1"))
    for number in range(3):
        source.put(fact(f"o{number}"))
    poison = b'{"resourceType": "Observation", "id": "o1", "valueInteger": 1e99999999}'

    def poisoned(asked):
        if asked.path.endswith("Observation/_search") and b"_elements" not in asked.content:
            return asked.answer(200, b'{"resourceType": "Bundle", "entry": [' + poison + b"]}")
        return asked.answer(200, poison) if asked.path.endswith("/o1") else hospital_server.WELL

    source.mood = poisoned
    assert fed.whole().taken
    assert fed.whole().taken

    assert set(fed.stored()) == {"Observation/o0", "Observation/o2", "Patient/p1"}
    assert fed.aside() == {"Observation/o1": "not-fhir"}


def test_a_look_goes_on_where_it_was_cut_off_and_overlaps(fed, source):
    source.most = 2
    source.put(patient("p1"))
    for number in range(6):
        source.put(fact(f"o{number}"))
        source.pass_(hours=1)

    def at_the_third_page(asked):
        pages = [a for a in source.asked if "_getpages" in a.path]
        return asked.answer(500, b"") if len(pages) == 2 else hospital_server.WELL

    source.mood = at_the_third_page
    fed.whole()
    assert len(fed.stored()) == 5
    source.mood = None

    fed.whole()

    assert len(fed.stored()) == 7
    first, again = source.searches("Observation")[:2]
    assert "_lastUpdated" not in first
    # Two pages were whole, so it goes on from the end of the second, and a little before.
    assert again["_lastUpdated"].startswith("ge2026-01-05T11:59:30")


@pytest.mark.parametrize("wrong", [{"days": 3}, {"days": -3}, {}], ids=["ahead", "behind", "right"])
def test_a_clock_that_is_wrong_loses_nothing(fed, source, wrong):
    source.pass_(**wrong)
    source.put(patient("p1"))
    for number in range(4):
        source.put(fact(f"o{number}"))
        fed.whole()
        source.pass_(minutes=10)

    assert len(fed.stored()) == 5


def test_a_clock_that_is_set_back_loses_nothing(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    fed.whole()
    source.pass_(hours=-2)
    source.put(fact("o2"))

    fed.whole()

    assert "Observation/o2" in fed.stored()


@pytest.mark.parametrize("cut_off", [True, False])
def test_what_is_changed_during_a_look_moves_the_window_past_nothing(fed, source, cut_off):
    source.most = 2
    source.put(patient("p1"))
    for number in range(4):
        source.put(fact(f"o{number}"))
    source.pass_(seconds=10)

    def changing(asked):
        # As HAPI does: the list as it was when it was asked for, each as it is now.
        if asked.path.endswith("Observation/_search"):
            _, page = source.do(asked.command, asked.path, asked.content)
            date = source.date
            source.pass_(minutes=30)
            source.put(fact("o8"))
            source.pass_(minutes=30)
            page["entry"][1]["resource"] = source.put(fact("o1", valueInteger=9))
            source.date = date
            return asked.answer(200, page)
        return asked.answer(500, b"") if cut_off and "_getpages" in asked.path else hospital_server.WELL

    source.mood = changing
    fed.whole()
    source.mood = None
    source.tell()

    fed.whole()

    assert {f"Observation/o{number}" for number in (0, 1, 2, 3, 8)} < set(fed.stored())


def test_who_asks_for_everything_again_during_a_look_does_not_hide_a_clock_that_is_set_back(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    fed.whole()
    fed.whole()

    def asking_again(asked):
        if asked.path.endswith("Observation/_search"):
            with fed.database.transaction() as tx:
                sources.again(tx, tenant=0, server=source.url)
        return hospital_server.WELL

    source.mood = asking_again
    fed.whole()

    assert fed.rows("SELECT count(*) FROM source_window WHERE asked_at IS NULL") == [(0,)]
    # The look that was asked for is still to come.
    assert fed.rows("SELECT looked_at IS NULL FROM source") == [(True,)]


def test_our_own_clock_has_no_say(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    with fed.database.transaction() as tx:
        clock.set_(tx, clock.now(tx).replace(year=2031), held=False)
    fed.whole()
    source.pass_(minutes=1)
    source.put(fact("o2"))

    fed.whole()

    assert len(fed.stored()) == 3


def test_what_is_removed_there_is_withdrawn_here(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    source.put(fact("o2"))
    fed.whole()
    source.remove("Observation/o1")
    source.pass_(days=1)

    fed.whole()
    fed.whole()

    assert fed.rows("SELECT id, deleted FROM resource WHERE type = 'Observation' ORDER BY id") == [
        ("o1", True),
        ("o2", False),
    ]
    source.put(fact("o1"))
    fed.whole()
    assert "Observation/o1" in fed.stored()


@pytest.mark.parametrize("left", [0, 1], ids=["a smaller number", "the same number"])
def test_a_correction_after_the_server_was_restored_is_taken_in(fed, source, left):
    source.put(patient("p1"))
    for value in (6, 5):
        source.put(fact("o1", valueInteger=value))
    fed.whole()
    del source.record["Observation/o1"][left:]
    source.pass_(hours=1)
    source.put(fact("o1", valueInteger=4))

    for _ in range(2):
        fed.whole()

    assert fed.current("Observation/o1")["valueInteger"] == 4
    assert fed.stored()["Observation/o1"] == 2


def test_what_was_removed_and_is_there_again_is_here_again(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    fed.whole()
    source.remove("Observation/o1")
    source.pass_(days=1)
    source.put(fact("o9"))
    for _ in range(6):
        fed.whole()
    assert "Observation/o1" not in fed.stored()
    source.record["Observation/o1"].pop()

    for _ in range(6):
        fed.whole()

    assert fed.stored()["Observation/o1"] == 3


def test_what_no_window_shows_any_more_is_found_by_its_id(fed, source, monkeypatch):
    monkeypatch.setattr(feed, "CHECKED", 2)
    source.put(patient("p1"))
    for number in range(5):
        source.put(fact(f"o{number}"))
    fed.whole()
    # Stored there without a new time, as after a repair of its database.
    changed = source.record["Observation/o4"][-1]
    source.record["Observation/o4"].append(
        {**changed, "valueInteger": 1, "meta": {**changed["meta"], "versionId": "2"}}
    )
    source.pass_(days=1)
    source.put(fact("o9"))

    for _ in range(5):
        fed.whole()

    assert fed.current("Observation/o4")["valueInteger"] == 1


def test_a_report_with_a_code_of_the_hospital_s_own_comes_with_its_results(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))
    code = {"coding": [{"system": "https://hospital.example.org/codes", "code": "R"}]}
    report = {"resourceType": "DiagnosticReport", "status": "preliminary", "code": code}
    of = {"subject": {"reference": OF}}
    source.put({**report, **of, "id": "r1", "result": [{"reference": "Observation/o1"}]})
    source.put({**report, **of, "id": "r2", "result": [{"reference": "Observation/o9"}]})

    assert fed.whole().taken

    assert set(fed.stored()) == {"DiagnosticReport/r1", "Observation/o1", "Patient/p1"}
    source.put({**report, **of, "id": "r1", "status": "final", "result": [{"reference": "Observation/o1"}]})
    # No question names its code; it is asked for by its id, in turn.
    for _ in range(4):
        fed.whole()
    assert fed.current("DiagnosticReport/r1")["status"] == "final"


def report(id_: str, *results: str, **more: object) -> dict:
    code = {"coding": [{"system": "https://hospital.example.org/codes", "code": "R"}]}
    of = {"subject": {"reference": OF}, "result": [{"reference": f"Observation/{one}"} for one in results]}
    return {
        "resourceType": "DiagnosticReport",
        "id": id_,
        "status": "preliminary",
        "code": code,
        **of,
        **more,
    }


@pytest.mark.parametrize("mood", [half, answering(500, HTML)], ids=["half a body", "an error"])
def test_no_result_is_here_before_the_report_that_holds_it_back(fed, source, mood):
    source.put(patient("p1"))
    source.put(fact("o1"))
    source.put(report("r1", "o1"))
    source.mood = lambda asked: mood(asked) if b"result=" in asked.content else hospital_server.WELL

    assert not fed.whole().taken
    assert fed.stored() == {}
    source.mood = None
    fed.whole()

    assert set(fed.stored()) == {"DiagnosticReport/r1", "Observation/o1", "Patient/p1"}
    # One Bundle: nobody sees the result without its report.
    assert fed.rows("SELECT entries FROM sending ORDER BY entries") == [(1,), (2,)]


@pytest.mark.parametrize("unreadable", [False, True], ids=["page by page", "one by one"])
def test_every_report_of_a_result_is_found(fed, source, unreadable):
    source.most = 1
    source.put(patient("p1"))
    source.put(fact("o1"))
    for number in range(3):
        source.put(report(f"r{number}", "o1", issued=f"2026-01-05T09:00:0{number}Z"))

    def poisoned(asked):
        if unreadable and b"result=" in asked.content and b"_elements" not in asked.content:
            return asked.answer(200, HTML)
        return hospital_server.WELL

    source.mood = poisoned

    assert fed.whole().taken
    assert {f"DiagnosticReport/r{number}" for number in range(3)} < set(fed.stored())


def test_a_server_that_cannot_search_for_reports_is_read_even_so(fed, source):
    source.put(patient("p1"))
    source.put(fact("o1"))

    def unable(asked):
        if b"result=" in asked.content:
            return asked.answer(400, hospital_server.outcome("not-supported"))
        return hospital_server.WELL

    source.mood = unable

    assert fed.whole().taken
    assert set(fed.stored()) == {"Observation/o1", "Patient/p1"}


def test_nobody_takes_the_lease_over_while_something_is_stored_under_it(fed, source):
    fed.soon()
    with fed.database.transaction() as tx:
        claim = sources.claim(tx, tenant=0, server=source.url, lease_s=0.0)

    with fed.database.transaction() as tx:
        sources.hold(tx, claim)
        with fed.database.transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(DBAPIError):
                sources.claim(other, tenant=0, server=source.url, lease_s=0.0)


@pytest.mark.parametrize(
    "during", ["/Observation/_search", "/Patient/p1"], ids=["asking", "before it stores"]
)
def test_one_reads_at_a_time_and_who_lost_the_lease_writes_nothing(fed, source, during):
    source.put(patient("p1"))
    source.put(fact("o1"))
    other = fed.another()

    def taken_over(asked):
        if asked.path.endswith(during):
            fed.do("UPDATE source SET leased_by = gen_random_uuid()")
        return hospital_server.WELL

    source.mood = taken_over
    assert fed.soon() is None
    assert fed.stored() == {}
    source.mood = None

    fed.do("UPDATE source SET lease_until = clock_timestamp() + interval '1 minute'")
    assert other.round(1e6) is None
    fed.do("UPDATE source SET lease_until = NULL, leased_by = NULL")
    assert other.round(2e6).taken
    assert len(fed.stored()) == 2

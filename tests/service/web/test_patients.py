"""Finding a person: two parts, no name in an address, nobody opened by itself (ui.md, section 5)."""

import re
from datetime import UTC, datetime

import pytest
import structlog
from fhir_visits import UNSAID

from service import log
from service.store import resources
from service.store.resources import Write
from service.store.search_index import folded
from service.web.search import ROWS

NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)
DOUBLE = {"family": "Müller-Lüdenscheidt", "given": ["Zoë"]}
LONG = {"family": "van der Berg", "given": ["Anna", "Maria"]}
JANSEN = {"family": "Jansen", "given": "Petra", "birthdate": "1970-04-04", "identifier": "GMT-1010"}


def find(client, **parts):
    return client.post("/patients", data=parts)


def names(answer):
    return re.findall(r'<tr id="patient-([\w.-]+)">', answer.text)


def known(database, *patients):
    """Store patients, each given as its name and the rest of its body."""
    with database.transaction() as tx:
        resources.save(
            tx,
            [
                Write(
                    type="Patient",
                    id=f"p-{number}",
                    body={"resourceType": "Patient", "id": f"p-{number}", "name": [name], **rest},
                    patient=f"p-{number}",
                    owned=False,
                )
                for number, (name, rest) in enumerate(patients)
            ],
            tenant=0,
            now=NOW,
        )


@pytest.fixture
def jansen(record, story):
    return story("referral").save(record)


def test_the_page_begins_empty_and_says_how_many_are_known(client, jansen):
    page = client.get("/patients").text

    assert "1 patient" in page
    assert "JANSEN" not in page
    assert re.findall(r'<input id="f-\w+" name="(\w+)"', page) == list(JANSEN)


@pytest.mark.parametrize("part", JANSEN)
def test_one_part_shows_nobody(client, jansen, part):
    answer = find(client, **{part: JANSEN[part]})

    assert names(answer) == []
    assert "Two parts are needed, so that" in answer.text


@pytest.mark.parametrize("first", JANSEN)
@pytest.mark.parametrize("second", JANSEN)
def test_any_two_parts_find_the_person_with_the_stage_of_each_hip(client, jansen, first, second):
    if first == second:
        return
    answer = find(client, **{part: JANSEN[part] for part in (first, second)})

    assert names(answer) == ["gmt-1010"]
    assert "JANSEN, Petra" in answer.text
    assert "4 Apr 1970, 56 y" in answer.text
    assert "female" in answer.text.lower()
    assert f"/careplans/{jansen.plan}" in answer.text
    assert "Surgical referral" in answer.text


@pytest.mark.parametrize("part", JANSEN)
def test_a_part_that_does_not_fit_finds_nobody(client, jansen, part):
    wrong = {"family": "Jensen", "given": "Paula", "birthdate": "1970-04-05", "identifier": "GMT-101"}

    answer = find(client, **{**JANSEN, part: wrong[part]})

    assert names(answer) == []
    assert "Nobody by these parts is known here." in answer.text
    assert all(f'value="{value}"' in answer.text for value in ({**JANSEN, part: wrong[part]}).values())


@pytest.mark.parametrize(
    ("name", "family", "given"),
    [
        pytest.param(DOUBLE, "muller", "zoe", id="no accents, small"),
        pytest.param(DOUBLE, "LÜDENSCH", "Z", id="the second half"),
        pytest.param(LONG, "berg", "anna  maria", id="two given names"),
        pytest.param(LONG, "der berg", "maria", id="the later one"),
        pytest.param({"family": "O’Brien", "given": ["Sean"]}, "brien", "sean", id="after an apostrophe"),
        pytest.param({"family": "Groß", "given": ["Ute"]}, "GROSS", "ute", id="sharp s"),
        pytest.param({"text": "Li Wei"}, "wei", "li", id="a text only"),
        pytest.param({"family": "50%_off", "given": ["A"]}, "50%_", "a", id="signs of a pattern are letters"),
    ],
)
def test_a_name_is_found_however_it_is_written(client, record, name, family, given):
    known(record, (name, {}))

    assert names(find(client, family=family, given=given)) == ["p-0"]


@pytest.mark.parametrize("family", ["%", "_erg", "erg", "berg van", "\0", "x" * 5000, "' OR 1=1 --"])
def test_what_no_name_begins_with_finds_nobody(client, record, family):
    known(record, ({"family": "van der Berg", "given": ["Anna"]}, {}))

    answer = find(client, family=family, given="Anna")

    assert answer.status_code == 200
    assert names(answer) == []


@pytest.mark.parametrize(("born", "found"), [("1970", 1), ("1970-04", 1), ("1970-04-04", 1), ("1970-05", 0)])
def test_a_birth_date_that_is_known_in_part_may_be_the_one(client, record, born, found):
    known(record, ({"family": "Berg"}, {"birthDate": born}))

    assert len(names(find(client, family="Berg", birthdate="1970-04-04"))) == found


def test_people_of_one_name_are_marked_and_none_is_opened(client, record):
    person = {"family": "Berg", "given": ["Anna"]}
    known(
        record,
        (person, {"birthDate": "1980-01-02"}),
        ({"family": "BERG", "given": ["Anna"]}, {"birthDate": "1970-01-02"}),
        ({"family": "Bergmann", "given": ["Anna"]}, {}),
    )

    answer = find(client, family="berg", given="anna")

    rows = re.findall(r'<tr id="patient-(p-\d)">(.*?)</tr>', answer.text, re.DOTALL)
    assert [id for id, row in rows if "similar name" in row] == ["p-1", "p-0"]
    assert [id for id, _ in rows] == ["p-1", "p-0", "p-2"]
    assert all("on no pathway here. This does not mean healthy." in row for _, row in rows)


def test_a_patient_that_was_deleted_is_not_found(client, record, jansen):
    with record.transaction() as tx:
        tx.exec_driver_sql("UPDATE resource SET deleted = true WHERE type = 'Patient' AND id = 'gmt-1010'")

    assert names(find(client, **JANSEN)) == []


def test_more_than_can_be_compared_are_counted_and_asked_about(client, record):
    known(record, *(({"family": "Berg", "given": ["Anna"]}, {}) for _ in range(ROWS + 1)))

    answer = find(client, family="Berg", given="Anna")

    assert len(names(answer)) == ROWS
    assert "More fit and are not shown" in answer.text


def test_a_closed_plan_is_said_to_be_closed(client, record, story):
    closed = story(stage=("discharged", "Discharged"), status="completed").person().care_plan()
    closed.save(record)

    assert "Discharged (closed)" in find(client, family="Jansen", given="Petra").text


def test_what_is_searched_for_stands_in_no_address_and_no_log(client, jansen, capfd):
    """SP-37: a name is posted, never part of a URL or a log line."""
    log.configure("web", level="debug")
    try:
        answer = find(client, **JANSEN)
    finally:
        structlog.reset_defaults()

    assert "Location" not in answer.headers
    assert not re.search(r'(?:href|action|hx-get)="[^"]*(?:[Jj]ansen|1970|GMT-1010)', answer.text)
    written = capfd.readouterr()
    assert not any(value in written.out + written.err for value in JANSEN.values())


def test_a_form_of_another_site_searches_nothing(client, jansen):
    answer = client.post("/patients", data=JANSEN, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert "JANSEN" not in answer.text


@pytest.mark.parametrize(
    ("text", "expected"), [("  Anna   Maria ", "anna maria"), ("ÅSA", "asa"), ("ﬁ", "fi"), ("", "")]
)
def test_names_are_compared_without_case_accents_and_double_blanks(text, expected):
    assert folded(text) == expected


def test_a_given_name_may_be_an_extension_alone(client, database, record):
    known(database, ({"family": "Unsaid", "given": [None, "Zoë"], "_given": [UNSAID, None]}, {}))

    answer = find(client, family="Unsaid", given="Zoë")

    assert answer.status_code == 200
    assert "UNSAID, Zoë" in answer.text

"""The inbox: what arrived and could not be used, what is wrong with it, and who mends it (ui.md, 6)."""

import html
import re

import pytest
from fhir_visits import CODES, LOCAL, bundle, observation, put, unusable

from fhir_profiles import reading
from service import clock
from service.fhir import transaction
from service.store import promises, resources
from service.web import inbox
from worker.advance import advance

PATIENT = "gmt-1018"
ISSUES = {
    "sideless": "No usable side",
    "two": "Sides disagree",
    "value": "Impossible value",
    "unit": "Unit not usable",
    "words": "Value not usable",
    "time": "No effective time",
    "future": "Dated in the future",
}
GRADE = {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": "hip-abduction-strength-mmt"}]}
ONSET = {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": "symptom-onset"}]}
VISUAL = {"coding": [{"system": "http://loinc.org", "code": "38214-3"}]}
SIXTY = {"value": 60, "code": "{score}", "system": "http://unitsofmeasure.org"}
SIDELESS = "No usable side One side, in the body site: Left hip, Right hip"

pytestmark = pytest.mark.usefixtures("impatient")


def send(database, sent):
    transaction.accept(database, reading.read(reading.write(sent)), sender="hospital")
    assert advance(database, 0, PATIENT)


@pytest.fixture
def held(record):
    """Somebody of whom nothing could be used."""
    send(record, unusable(PATIENT))
    return record


def site(side):
    return {"coding": [{"system": CODES + "gluteus-medius-pathway", "code": f"hip-{side}"}]}


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def group(page, name):
    """Return the rows of a heading: the address of each entry, by what is said to be wrong with it."""
    section = page.split(f'<section class="card" id="{name}"')[1].split("</section>")[0]
    rows = re.findall(r'<tr id="[^"]+">.*?</tr>', section, re.DOTALL)
    return {re.search(r'need">(.*?)<', row)[1]: re.search(r'href="(/inbox/[^"]+)"', row)[1] for row in rows}


def entry(client, name):
    page = client.get("/inbox").text
    return (group(page, "side") | group(page, "data"))[ISSUES[name]]


def faulty(page):
    """Return the path, the value and the needs of each element that is said to be wrong."""
    table = page.split('id="wrong-h"')[1].split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [plain(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
        if "t-late" in row
    ]


def test_everything_set_aside_is_listed_under_what_is_wrong(client, held):
    page = client.get("/inbox").text

    assert set(group(page, "side")) == {ISSUES["sideless"], ISSUES["two"]}
    assert set(group(page, "data")) == set(ISSUES.values()) - set(group(page, "side"))
    assert page.count("ROSSI, Lucia") == 2 * len(ISSUES)
    assert "GMT-1018" in page


def test_an_empty_inbox_says_what_is_well(client, record):
    text = plain(client.get("/inbox").text)

    assert "Every side that arrived could be used." in text
    assert "Every value, unit and date that arrived could be used." in text
    assert "Nobody's evaluation is stopped." in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sideless", [["bodySite", "missing", SIDELESS]]),
        ("value", [["valueInteger", "65", "Impossible value 0 to 10"]]),
        ("unit", [["valueQuantity", "6 kg", "Unit not usable One of the units {score}, 1, mm"]]),
        ("words", [["valueString", "a lot", "Value not usable One of: Quantity, integer, 0 to 10"]]),
        ("time", [["effectiveDateTime", "2026-06", None]]),
        ("future", [["effectiveDateTime", "2031-01-01", None]]),
    ],
)
def test_the_faulty_element_is_shown_as_it_was_sent_with_what_is_needed(client, held, name, expected):
    found = faulty(client.get(entry(client, name)).text)

    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert all(row[2] == wanted[2] for row, wanted in zip(found, expected, strict=True) if wanted[2])
    assert all(ISSUES[name] in row[2] for row in found)


def test_sides_that_disagree_are_both_shown(client, held):
    ((path, said, _),) = faulty(client.get(entry(client, "two")).text)

    assert path == "bodySite"
    assert "hip-left" in said
    assert "24028007" in said


def test_an_entry_closes_by_itself_when_its_resource_arrives_usable(client, held):
    address = entry(client, "value")
    corrected = observation(
        f"{PATIENT}-value",
        f"Patient/{PATIENT}",
        valueInteger=6,
        bodySite=site("right"),
        effectiveDateTime="2026-06-21T08:40:00Z",
        status="corrected",
    )

    send(held, bundle(put(corrected)))

    page = client.get(address).text
    assert ISSUES["value"] not in group(client.get("/inbox").text, "data")
    assert "This entry is closed." in plain(page)
    assert faulty(page) == [["valueInteger", "65", "Impossible value 0 to 10"]]
    assert "Shown is version 1, which was set aside." in plain(page)
    history = plain(page.split('id="history-h"')[1])
    assert "Received and kept, version 1" in history
    assert history.index("Received and kept") < history.index("Set aside") < history.index("Closed")
    assert "<form" not in page.split("<main")[1]


def test_the_entry_of_somebody_without_a_plan_says_so_and_what_is_known_links_to_it(client, held):
    assert "This does not mean healthy." in plain(client.get(entry(client, "unit")).text)

    usable = observation("ok", f"Patient/{PATIENT}", bodySite=site("left"), effectiveDateTime="2026-06-21")
    send(held, bundle(put(usable)))

    page = client.get(entry(client, "unit")).text
    assert re.search(r'<a class="strong" href="/careplans/[^"]+">Left hip</a>', page)
    assert "This does not mean healthy." not in page


def test_a_clinician_closes_an_entry_once_and_nobody_else_does(client, held, act, form):
    address = entry(client, "words")
    assert "Choose who acts" in client.get(address).text
    act(client, "arslan")
    assert "closing is a clinician" in plain(client.get(address).text)
    assert "close-task" not in client.get(address).text
    act(client, "vogt")
    fields = form(client.get(address).text, "close-task")

    first = client.post(fields.action, data={**fields.values, "text": "will not be corrected"})
    again = client.post(fields.action, data={**fields.values, "text": "will not be corrected"})
    checking = plain(client.get(first.headers["Location"]).text)
    assert advance(held, 0, PATIENT)

    assert (first.status_code, again.status_code) == (303, 303)
    assert first.headers["Location"] == again.headers["Location"]
    assert "Not confirmed, checking: Close a task" in checking
    assert "This entry is closed." in plain(client.get(first.headers["Location"]).text)
    with held.transaction() as tx:
        tasks = resources.of_patient(tx, PATIENT, types=["Task"], owned=False, tenant=0)
    (task,) = (stored.resource for stored in tasks)
    assert task["focus"] == {"reference": "Task/" + address.rpartition("/")[2]}
    assert task["reasonCode"] == {"text": "will not be corrected"}


def test_a_decision_on_an_entry_that_changed_is_refused_with_what_changed_and_what_was_typed(
    client, held, act, form
):
    address = entry(client, "words")
    act(client, "vogt")
    fields = form(client.get(address).text, "close-task")
    take = form(client.get(address).text, "take")
    assert client.post(take.action, data=take.values).headers["Location"] == address

    answer = client.post(fields.action, data={**fields.values, "text": "a reason"})

    assert answer.status_code == 409
    assert "Owner: Dr Maren Vogt" in plain(answer.text).split("What is wrong")[0]
    assert "a reason" in answer.text
    assert "Owner: Dr Maren Vogt" in plain(client.get(address).text).split("History")[1]


def test_a_decision_that_the_engine_refused_is_told_and_not_checked_for_ever(client, held, act, form):
    address = entry(client, "words")
    act(client, "vogt")
    fields = form(client.get(address).text, "close-task")
    other = form(client.get(address).text, "close-task")
    client.post(fields.action, data=fields.values)
    second = client.post(other.action, data=other.values)
    assert advance(held, 0, PATIENT)

    page = plain(client.get(second.headers["Location"]).text)

    assert "being checked" not in page
    assert "This entry is closed." in page


def test_an_entry_of_somebody_who_is_not_evaluated_says_so(client, held):
    address = entry(client, "words")
    with held.transaction() as tx:
        promises.want(tx, PATIENT, tenant=0, due_at=clock.now(tx))
        claim = promises.claim(tx, tenant=0, patient=PATIENT)
        promises.fail(tx, claim, "EvaluationFailed: a division by zero", max_attempts=1)

    assert "a division by zero" in client.get(address).text


def test_after_a_refused_form_one_comes_back_to_a_page_that_can_be_opened(client, held, act, form):
    address = entry(client, "words")
    act(client, "vogt")
    fields = form(client.get(address).text, "close-task")
    act(client, None)

    refused = client.post(fields.action, data=fields.values)

    assert refused.status_code == 422
    for back in re.findall(r'href="/acting\?back=([^"]*)"', refused.text):
        assert client.get(html.unescape(back).replace("%2F", "/") or "/").status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        pytest.param(
            "a code with one unit",
            {
                "code": VISUAL,
                "valueQuantity": SIXTY,
            },
            ["One of the units mm"],
            id="unit of a code",
        ),
        pytest.param(
            "a grade", {"code": GRADE, "valueInteger": 9}, ["0 to 5, whole numbers"], id="whole numbers"
        ),
        pytest.param(
            "an answer",
            {"code": ONSET, "valueCodeableConcept": {"text": "last week"}},
            ["One of: Traumatic onset", "Date of onset"],
            id="answers and a component",
        ),
    ],
)
def test_what_is_needed_is_what_the_gate_accepts(client, held, kind, body, expected):
    fields = {"bodySite": site("left"), "effectiveDateTime": "2026-06-20", **body}
    send(held, bundle(put(observation("new", f"Patient/{PATIENT}", **fields))))
    with held.transaction() as tx:
        query = """SELECT t.id FROM resource t JOIN resource i ON t.type = 'Task' AND i.type = 'DetectedIssue'
            AND t.body LIKE '%%DetectedIssue/' || i.id || '%%' WHERE i.body LIKE '%%Observation/new"%%'"""
        id = tx.exec_driver_sql(query).scalar_one()

    needs = " ".join(row[2] for row in faulty(client.get(f"/inbox/{id}").text))

    assert all(text in needs for text in expected), (kind, needs)


def test_of_what_is_there_nothing_is_said_to_be_missing(client, held):
    code = {
        "coding": [
            {
                "system": CODES + "gluteus-medius-pathway",
                "code": "trochanteric-bursa-corticosteroid-injection",
            }
        ]
    }
    procedure = {
        "resourceType": "Procedure",
        "id": "late",
        "status": "completed",
        "code": code,
        "subject": {"reference": f"Patient/{PATIENT}"},
        "performedDateTime": "2031-01-01",
        "bodySite": [site("left")],
    }
    send(held, bundle(put(procedure)))
    with held.transaction() as tx:
        query = """SELECT t.id FROM resource t JOIN resource i ON t.type = 'Task' AND i.type = 'DetectedIssue'
            AND t.body LIKE '%%DetectedIssue/' || i.id || '%%' WHERE i.body LIKE '%%Procedure/late"%%'"""
        id = tx.exec_driver_sql(query).scalar_one()

    assert [row[:2] for row in faulty(client.get(f"/inbox/{id}").text)] == [
        ["performedDateTime", "2031-01-01"]
    ]


def test_only_tasks_about_data_are_entries(client, held, story):
    other = story("referral").save(held)
    with held.transaction() as tx:
        (task, *_) = resources.of_patient(tx, other.patient, types=["Task"], owned=True, tenant=0)

    assert client.get(f"/inbox/{task.id}").status_code == 404
    assert client.get("/inbox/unknown").status_code == 404
    assert client.get("/inbox/%00").status_code == 404
    assert client.post("/inbox/unknown/decisions").status_code == 404


def test_the_worklist_opens_the_entry_of_what_was_set_aside(client, held):
    address = entry(client, "sideless")

    assert f'href="{address}"' in client.get("/?view=all").text


def test_whose_evaluation_stopped_is_listed_with_the_reason(client, held):
    with held.transaction() as tx:
        promises.want(tx, PATIENT, tenant=0, due_at=clock.now(tx))
        claim = promises.claim(tx, tenant=0, patient=PATIENT)
        promises.fail(tx, claim, "EvaluationFailed: a division by zero", max_attempts=1)

    stopped = client.get("/inbox").text.split('id="stopped"')[1]

    assert "EvaluationFailed: a division by zero" in stopped
    assert "ROSSI, Lucia" in stopped


def test_codes_that_nothing_reads_are_counted_by_sender(client, held):
    rows = re.findall(r"<tr><th scope=\"row\".*?</tr>", client.get("/inbox/codes").text, re.DOTALL)

    (row,) = (plain(row).split() for row in rows)
    assert row == [LOCAL + "|PT-1", "Observation.code", "hospital", "1", "1", *row[5:]]


def test_while_every_code_is_read_nothing_is_counted(client, record):
    assert "Every code that arrived is read by a pathway." in client.get("/inbox/codes").text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"coding": [{"system": "s", "code": "c", "display": "d"}]}, "d (s|c)"),
        ({"coding": [{"code": "c"}], "text": "t"}, "c, “t”"),
        ({"text": "t"}, "“t”"),
        ({"comparator": "<", "value": 7, "unit": "kg"}, "<7 kg"),
        ({"value": 7, "code": "kg"}, "7 kg"),
        ({"reference": "Patient/a"}, "Patient/a"),
        ({"reference": "Patient/a", "display": "A"}, "A"),
        ({"start": "2026", "end": "2027"}, "2026 – 2027"),
        ({"start": "2026"}, "2026"),
        ({"end": "2027"}, "– 2027"),
        ([{"code": {"text": "a"}, "valueInteger": 1}, {"code": {"text": "b"}}], "“a”: 1; “b”"),
        (True, "true"),
        ({"numerator": {"value": 1}, "denominator": {"value": 2}}, "numerator 1; denominator 2"),
        ("words", "words"),
    ],
)
def test_values_are_said_as_they_were_sent(value, expected):
    assert inbox.said(value) == expected
